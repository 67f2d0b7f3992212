"""Who is next: fair between tenants, by urgency within each; bounded in requests and in tokens. Pure.

Tenants share by virtual token counters (Sheng et al., "Fairness in Serving Large Language Models", 2024): the one that
was given the fewest tokens is next. A prompt is counted when it is sent, by an estimate until it was read; an answer
token by token as it comes, so that what a request claims (`max_tokens`) gains or costs nothing. The tokens of a tenant
of weight 2 count half, so it gets twice as many. A tenant that was away does not save up its share: it starts where the
one furthest behind of those at work is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from penstock.core.errors import Overloaded, TooLarge
from penstock.scheduling.continuous.job import Job
from penstock.scheduling.queue import PATIENCE_S
from penstock.scheduling.work import Phase

MAX_REMEMBERED = 4096
"""Tenants above which those who are ahead are forgotten, too, when they leave."""


class Tenant:
    """One tenant's waiting jobs by level. `taken`: tokens that it was given, by its weight; `expected`: those of unread
    prompts."""

    __slots__ = ("ended", "expected", "levels", "running", "taken", "waiting", "weight")

    def __init__(self, taken: float, weight: float):
        self.taken = taken
        self.weight = weight
        self.expected = 0
        self.levels: dict[int, deque[Job]] = {}
        self.waiting = 0
        self.running = 0
        self.ended = 0

    @property
    def given(self) -> float:
        """Tokens that it was given so far, as far as known, by its weight."""
        return self.taken + self.expected / self.weight

    @property
    def here(self) -> bool:
        """Whether it wants or has anything."""
        return bool(self.waiting or self.running)

    def sweep(self) -> None:
        """Forgets jobs that ended in the middle of the lines."""
        for level, line in list(self.levels.items()):
            self.levels[level] = live = deque(job for job in line if job.phase is Phase.QUEUED)
            if not live:
                del self.levels[level]
        self.ended = 0

    def head(self) -> Job | None:
        """The most urgent waiting job: priorities age, so that none starves."""
        best: Job | None = None
        for level in list(self.levels):
            line = self.levels[level]
            while line and line[0].phase is not Phase.QUEUED:
                line.popleft()
            if not line:
                del self.levels[level]
            elif best is None or urgency(line[0]) < urgency(best):
                best = line[0]
        return best


def urgency(job: Job) -> float:
    """Smaller is more urgent: arrival, and a handicap per priority level."""
    return job.arrived + job.level * PATIENCE_S


class FairLine:
    """The bounded line of one deployment: `capacity` requests, `tokens` tokens."""

    def __init__(self, capacity: int, tokens: int):
        self.capacity = capacity
        self.tokens = tokens
        self.live = 0
        self.waiting_tokens = 0
        self._tenants: dict[str, Tenant] = {}
        self._behind = 0.0

    def __len__(self) -> int:
        return self.live

    def push(self, job: Job) -> None:
        """Adds to the end of its tenant's level. Raises `Overloaded` when the line is full, `TooLarge` when it could
        never fit."""
        self._check_room(job)
        tenant = self._tenant(job)
        tenant.levels.setdefault(job.level, deque()).append(job)
        tenant.waiting += 1
        self._count(job, 1)

    def enter(self, job: Job) -> None:
        """Takes a job at once, where nobody waits and there is a place for it. Raises `TooLarge` as `push` does."""
        if job.size > self.tokens:
            raise self._too_large(job)
        self._running(self._tenant(job), job)

    def put_back(self, job: Job) -> None:
        """Back to the head of its level, over every bound: it had been accepted already."""
        tenant = self._tenant(job)
        tenant.levels.setdefault(job.level, deque()).appendleft(job)
        tenant.waiting += 1
        self._count(job, 1)

    def head(self) -> Job | None:
        """The next job; None when nobody waits."""
        best: Job | None = None
        least = 0.0
        for tenant in self._tenants.values():
            if tenant.waiting and (best is None or tenant.given < least):
                head = tenant.head()
                if head is not None:
                    best, least = head, tenant.given
        return best

    def take(self, job: Job) -> None:
        """Takes the job that `head` returned, and charges its tenant what its prompt is expected to take."""
        tenant = self._tenants[job.tenant]
        tenant.levels[job.level].popleft()
        tenant.waiting -= 1
        self._running(tenant, job)
        self._count(job, -1)

    def gone(self, job: Job) -> None:
        """Accounts for a waiting job that has just ended."""
        tenant = self._tenants[job.tenant]
        tenant.waiting -= 1
        tenant.ended += 1
        if tenant.ended > tenant.waiting + 64:
            tenant.sweep()
        self._count(job, -1)
        self._tidy(job.tenant)

    def charge(self, job: Job, tokens: int) -> None:
        """A taken job has taken so many tokens by now, its prompt among them."""
        tenant = self._tenants[job.tenant]
        tenant.taken += (tokens - job.charged) / tenant.weight
        tenant.expected -= job.expected
        job.charged, job.expected = tokens, 0

    def settle(self, job: Job, tokens: int) -> None:
        """A taken job is off its worker; so many tokens it took in all."""
        self.charge(job, tokens)
        job.charged = 0
        self._tenants[job.tenant].running -= 1
        self._tidy(job.tenant)

    def jobs(self) -> Iterator[Job]:
        """Every waiting job."""
        for tenant in self._tenants.values():
            for line in tenant.levels.values():
                yield from (job for job in line if job.phase is Phase.QUEUED)

    def _check_room(self, job: Job) -> None:
        if job.size > self.tokens:
            raise self._too_large(job)
        if self.live >= self.capacity:
            raise Overloaded(f"the queue is full ({self.capacity} requests wait); try again shortly")
        if self.waiting_tokens + job.size > self.tokens:
            raise Overloaded(f"the queue is full ({self.waiting_tokens} tokens wait); try again shortly")

    def _too_large(self, job: Job) -> TooLarge:
        return TooLarge(f"the queue holds {self.tokens} tokens, this request may take {job.size}; lower max_tokens")

    def _running(self, tenant: Tenant, job: Job) -> None:
        """Charges a tenant what a job's prompt is expected to take."""
        tenant.running += 1
        job.expected = job.prompt
        tenant.expected += job.prompt

    def _tenant(self, job: Job) -> Tenant:
        tenant = self._tenants.get(job.tenant)
        if tenant is None:
            tenant = self._tenants[job.tenant] = Tenant(self._furthest_behind(), job.weight)
        elif not tenant.here:
            tenant.taken = max(tenant.taken, self._furthest_behind())
        return tenant

    def _furthest_behind(self) -> float:
        """Where a tenant starts: what the one furthest behind of those at work has taken. It never sinks."""
        taken = min((tenant.taken for tenant in self._tenants.values() if tenant.here), default=self._behind)
        self._behind = max(self._behind, taken)
        return self._behind

    def _count(self, job: Job, sign: int) -> None:
        self.live += sign
        self.waiting_tokens += sign * job.size

    def _tidy(self, name: str) -> None:
        """Forgets a tenant that is not ahead of the others, once nothing of it is left."""
        tenant = self._tenants[name]
        if not tenant.here:
            tenant.levels.clear()
            if tenant.taken <= self._furthest_behind() or len(self._tenants) > MAX_REMEMBERED:
                del self._tenants[name]
