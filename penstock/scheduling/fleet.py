"""All deployments: finds who serves a model, starts them together, drains them together."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from penstock.core.clock import system_clock
from penstock.core.errors import Conflict, ModelFileError, Unavailable, UnknownModel
from penstock.core.model import ModelSpec
from penstock.core.nearest import unknown
from penstock.core.reply import Reply
from penstock.core.request import Request
from penstock.runtimes import registry
from penstock.runtimes.remote.choice import REMOTE
from penstock.scheduling.deployment import Deployment
from penstock.scheduling.order import waves
from penstock.scheduling.service import Create, Service
from penstock.scheduling.settings import DeploymentSettings

if TYPE_CHECKING:
    from penstock.scheduling.continuous.deployment import LanguageDeployment
    from penstock.scheduling.remote.deployment import RemoteDeployment
    from penstock.scheduling.remote.embedding import RemoteEmbedding
    from penstock.scheduling.remote.language import RemoteLanguage

Served: TypeAlias = "Service | RemoteDeployment"
"""A version with workers, or a provider's."""
CGROUP = Path("/sys/fs/cgroup")


class Fleet:
    """The served versions of every model. The last step of the path. `drain_s`: time for accepted work to finish;
    `share`: threads of each worker that has no setting of its own."""

    def __init__(self, drain_s: float = 30.0) -> None:
        self.drain_s = drain_s
        self._models: dict[str, dict[str, Served]] = {}
        self.draining = False
        self._starting: asyncio.Task[None] | None = None
        self._locks: dict[str, asyncio.Lock] = {}
        self.share = 1
        self._url = self._key = ""

    def add(
        self,
        spec: ModelSpec,
        settings: DeploymentSettings,
        create: Create | None = None,
    ) -> Served:
        """Adds a version; `start` begins to load it."""
        deployment = _kind(spec)(spec, settings, create=create)
        self._models.setdefault(spec.name, {})[spec.version] = deployment
        return deployment

    async def load(self, name: str) -> None:
        """Loads a model's unloaded versions and waits for them. Raises `UnknownModel`, and `Unavailable` with the
        reason when one cannot be loaded; it then is as before."""
        self.find(name)
        async with self._changing(name):
            await self._load(name)

    async def _load(self, name: str) -> None:
        for deployment in list(self._models[name].values()):
            if deployment.parked:
                self._begin(deployment)
            await deployment.loaded.wait()
            if deployment.failure is not None:
                why = deployment.failure.message
                await self._park(deployment)
                raise Unavailable(f"the model could not be loaded: {why}", retry_after_s=30)

    async def unload(self, name: str) -> None:
        """Finishes what a model has accepted, in `drain_s` seconds, then frees its memory; it stays known. What is not
        finished by then ends with an error that says so. Raises `UnknownModel`, and `Conflict` when a loaded model
        needs it."""
        self.find(name)
        users = [d.spec.name for d in self.all() if name in d.settings.needs and not d.parked]
        if users:
            raise Conflict(f"the model {users[0]!r} needs {name!r}; unload that first")
        async with self._changing(name):
            for deployment in list(self._models[name].values()):
                if not deployment.parked:
                    await deployment.drain(self.drain_s, "the model was unloaded before the answer was finished")
                    await self._park(deployment)

    def _changing(self, name: str) -> asyncio.Lock:
        """Loading and unloading one model happen one after the other."""
        return self._locks.setdefault(name, asyncio.Lock())

    async def _park(self, deployment: Served) -> None:
        """Puts a new, unloaded one in its place."""
        await deployment.close()
        parked = self.add(deployment.spec, deployment.settings, deployment.create)
        parked.parked, parked.signature = True, deployment.signature

    def find(self, name: str, version: str | None = None) -> Served:
        """The version asked for, or the newest. Raises `UnknownModel`, with what is near."""
        versions = self._models.get(name)
        if versions is None:
            raise unknown(name, self._models)
        if version is None:
            return versions[next(reversed(versions))]
        deployment = versions.get(version)
        if deployment is None:
            raise UnknownModel(f"model {name!r} has no version {version[:32]!r}; served: {', '.join(versions)}")
        return deployment

    def all(self) -> Iterable[Served]:
        """Every served version, in the order added."""
        return [deployment for versions in self._models.values() for deployment in versions.values()]

    async def __call__(self, request: Request) -> Reply:
        """Hands the request to its deployment."""
        return await self.find(request.model, request.version)(request)

    def start(self, url: str = "", key: str = "") -> None:
        """Begins to load everything, models that others need first; each worker gets its share of the cores.

        `url`: where this server answers; `key`: with which models that need others may ask them there. Raises
        `ConfigError` when what a model needs is not served.
        """
        self.share = thread_share(sum(d.settings.replicas for d in self.all() if d.spec.runtime != REMOTE))
        self._url, self._key = url, key
        self._starting = asyncio.get_running_loop().create_task(self._start(self._waves()))

    async def _start(self, groups: list[list[Served]]) -> None:
        for group in groups:
            for deployment in group:
                broken = self._broken(deployment.settings.needs)
                if broken:
                    message = f"it needs the model {broken!r}, which could not be loaded"
                    deployment.load_failed(0, ModelFileError.code, message, "")
                else:
                    self._begin(deployment)
            for deployment in group:
                await deployment.loaded.wait()

    def _begin(self, deployment: Served) -> None:
        """Begins to load one; only those that ask others get the key."""
        deployment.key = self._key if deployment.settings.needs else ""
        deployment.start(self.share, self._url)

    def _broken(self, names: Iterable[str]) -> str:
        """The first of these models that could not be loaded, or nothing."""
        return next((n for n in names if any(d.failure for d in self._models[n].values())), "")

    def _waves(self) -> list[list[Served]]:
        """All deployments in the order in which they start."""
        needs = {
            name: {other for deployment in versions.values() for other in deployment.settings.needs}
            for name, versions in self._models.items()
        }
        return [[deployment for name in names for deployment in self._models[name].values()] for names in waves(needs)]

    async def loaded(self) -> None:
        """Waits until every model is ready or has failed."""
        for deployment in self.all():
            await deployment.loaded.wait()

    async def drain(self, patience_s: float) -> None:
        """Finishes accepted work, then stops all workers; a model that others need goes on until they are done."""
        self._stop_starting()
        until = system_clock() + patience_s
        for group in reversed(self._waves()):
            left = max(0.0, until - system_clock())
            await asyncio.gather(*(deployment.drain(left) for deployment in group))

    async def close(self) -> None:
        """Stops all workers now."""
        self._stop_starting()
        await asyncio.gather(*(deployment.close() for deployment in self.all()))

    def _stop_starting(self) -> None:
        self.draining = True
        if self._starting is not None:
            self._starting.cancel()


def _kind(spec: ModelSpec) -> type[Deployment | LanguageDeployment | RemoteLanguage | RemoteEmbedding]:
    """What serves a model: one that batches by itself, or is a provider's, brings much that others never need."""
    if spec.runtime == REMOTE:
        from penstock.scheduling.remote.choice import kind

        return kind(spec)
    if not registry.batches_itself(spec.runtime):
        return Deployment
    from penstock.scheduling.continuous.deployment import LanguageDeployment

    return LanguageDeployment


def thread_share(workers: int) -> int:
    """Threads for each of so many workers, so that together they do not exceed the cores."""
    return max(1, usable_cores() // max(1, workers))


def usable_cores() -> int:
    """Cores that this process may use: by affinity, and by a container's CPU quota (cgroup v2 or v1)."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(CGROUP / "cpu.max") or _quota(CGROUP / "cpu/cpu.cfs_quota_us", CGROUP / "cpu/cpu.cfs_period_us")
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def _quota(*files: Path) -> float | None:
    """Cores granted by "quota period" in one file or two; None without a limit."""
    try:
        quota, period = " ".join(file.read_text() for file in files).split()
        return int(quota) / int(period) if int(quota) > 0 else None
    except (OSError, ValueError):
        return None
