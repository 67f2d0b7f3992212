"""Language models: from requests to events, whatever engine computes the tokens."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from penstock.core.errors import BadInput, ConfigError, ModelFailed, ModelFileError, PenstockError
from penstock.core.generation import EngineStats, Event, Generated, Generation, Started, Text, Usage
from penstock.core.language import GENERATION, LanguageModel, wrong_default
from penstock.core.model import ModelSpec
from penstock.core.signature import Signature
from penstock.runtimes.generation.arrivals import Arrival, Arrivals
from penstock.runtimes.generation.checks import Checks, refuse
from penstock.runtimes.generation.constraint import Constraints, wanted_by
from penstock.runtimes.generation.contract import Progress, TokenEngine
from penstock.runtimes.generation.engines import choice
from penstock.runtimes.generation.prompt import Prompt, Prompts
from penstock.runtimes.generation.reading import Readings
from penstock.runtimes.generation.session import Session

log = logging.getLogger("penstock.runtimes.generation")
_HUGE = (RecursionError, ValueError, OverflowError, MemoryError)
"""What reading a schema may come to that is nested deeply, or holds large numbers."""
News = tuple[int, Event | Generated | PenstockError]


class LanguageRuntime:
    """Runs one language model for many requests at once; an `Engine` of runtimes/contract.py.

    A request waits for its template (rendered by a child process), becomes one sequence per choice in the engine, and
    comes out as events. `create`: makes the engine of a name.
    """

    def __init__(self, create: Callable[[str], TokenEngine] = choice.create) -> None:
        self._create = create
        self._model = LanguageModel()
        self._sessions: dict[int, Session] = {}
        self._sequences: dict[int, tuple[Session, int]] = {}
        self._number = 0
        self._news: list[News] = []

    def load(self, spec: ModelSpec) -> Signature:
        """Loads the engine, and starts the process that renders the chat template."""
        self._model = model = description(spec)
        self._engine = self._create(model.engine)
        tokenizer = self._engine.load(spec, model)
        self._checks = Checks(model.engine, self._engine.can, model, len(tokenizer.pieces()))
        self._prompts = Prompts(model, tokenizer)
        self._constraints = Constraints(model, tokenizer)
        self._readings = Readings(model, tokenizer)
        self._arrivals = Arrivals(model, tokenizer, self._prompts)
        room = {"sequences": model.sequences, "cache_tokens": model.context * model.sequences}
        return Signature((), (), batched=False, task=GENERATION, max_tokens=model.context, **room)

    # --- requests come and go

    def submit(self, id: int, generation: Generation) -> None:
        """Takes a request. Errors come out of `step`, like everything else."""
        session = self._sessions[id] = Session(id, generation, alone=self._model.prefix_cache)
        try:
            self._check(session)
            self._arrivals.add(session)
        except PenstockError as error:
            self._fail(session, error)

    def _check(self, session: Session) -> None:
        """Everything that can be told before the prompt is written. Raises `BadInput`."""
        generation = session.generation
        self._prompts.check(generation)
        self._checks.prompt(generation)
        if generation.count_only:
            return
        self._checks.request(generation)
        if field := wanted_by(generation):
            self._checks.grammar(field, generation.sampling)
            session.grammar = self._grammar(generation, field)

    def _grammar(self, generation: Generation, field: str) -> str:
        try:
            return self._constraints.of(generation)
        except BadInput as error:
            error.param = error.param or field
            raise
        except Exception as error:
            # Whatever a schema does to its reader, it must not end the worker of everybody.
            raise _unreadable(field, error) from None

    def cancel(self, id: int) -> None:
        """Gives a request up, wherever it is."""
        session = self._sessions.pop(id, None)
        self._news = [news for news in self._news if news[0] != id]
        if session is not None:
            self._drop(session)

    def _drop(self, session: Session) -> None:
        """A request leaves the engine, or does not come to it."""
        self._arrivals.drop(session)
        for number in [number for number, (owner, _) in self._sequences.items() if owner is session]:
            del self._sequences[number]
            self._engine.cancel(number)

    def _fail(self, session: Session, error: PenstockError) -> None:
        self._sessions.pop(session.id, None)
        self._drop(session)
        self._news.append((session.id, error))

    # --- the work

    def step(self) -> list[News]:
        """Reads prompts that were written, begins what may begin, computes once."""
        for arrival in self._arrivals.ready():
            self._attempt(arrival.session, partial(self._enter, arrival))
        if self._engine.busy:
            for progress in self._engine.step():
                self._take(progress)
        news, self._news = self._news, []
        return news

    def _enter(self, arrival: Arrival) -> None:
        """A request's prompt is written. Raises `BadInput` for one that cannot be answered."""
        session, written = arrival
        if isinstance(written, PenstockError):
            raise written
        generation = session.generation
        if session.grammar and isinstance(written, str):
            written += self._constraints.close(generation, written)
        prompt = self._prompts.prompt(generation, written)
        if generation.count_only:
            self._count(session, prompt)
            return
        if not prompt.tokens:
            refuse("the prompt is empty", "prompt")
        sampling = self._checks.filled(generation, len(prompt.tokens))
        session.enter(prompt, sampling, self._constraints.whole(session.grammar, generation, prompt.text))
        self._begin(session)

    def _count(self, session: Session, prompt: Prompt) -> None:
        tokens = prompt.tokens
        news: list[Event | Generated] = [Started(len(tokens), tokens=tuple(tokens))]
        if session.generation.echo:
            news.append(Text(0, prompt.text))
        news.append(Generated(Usage(prompt_tokens=len(tokens))))
        self._tell(session, news)

    def _begin(self, session: Session) -> None:
        """Submits the choices whose turn it is. Raises `BadInput` when the engine refuses them."""
        for index in session.due():
            self._number += 1
            sampling = session.begin(self._readings.answer(session.generation, index, session.prompt.text))
            self._sequences[self._number] = session, index
            self._engine.submit(
                self._number, session.prompt.tokens, sampling, session.grammar, session.generation.adapter
            )

    def _take(self, progress: Progress) -> None:
        """What a step brought for one sequence."""
        session, index = self._sequences.get(progress.id, (None, 0))
        if session is None:
            return
        if progress.finished == "error":
            self._fail(session, ModelFailed("the engine gave up the answer", detail=progress.error))
            return
        self._tell(session, session.take(index, progress))
        if progress.finished or session.done(index):
            del self._sequences[progress.id]
        if not progress.finished and session.done(index):
            self._engine.cancel(progress.id)
        self._attempt(session, partial(self._begin, session))

    def _attempt(self, session: Session, act: Callable[[], None]) -> None:
        """Does something for a request; an error is its end."""
        try:
            act()
        except PenstockError as error:
            self._fail(session, error)

    def _tell(self, session: Session, news: Sequence[Event | Generated]) -> None:
        self._news += [(session.id, event) for event in news]
        if news and isinstance(news[-1], Generated):
            del self._sessions[session.id]

    # --- how it goes

    @property
    def busy(self) -> bool:
        """Whether a step has something to do: news, prompts, or sequences."""
        return bool(self._news) or self._engine.busy or self._arrivals.busy

    def descriptors(self) -> Sequence[int]:
        """Readable when a template was rendered."""
        return self._arrivals.descriptors()

    def close(self) -> None:
        """Ends the process that renders templates. The worker's own end does so too."""
        self._arrivals.close()

    def stats(self) -> EngineStats:
        """The engine's state; requests that have no sequence in it yet wait."""
        stats = self._engine.stats()
        begun = {session.id for session, _ in self._sequences.values()}
        return msgspec.structs.replace(stats, waiting=stats.waiting + len(self._sessions.keys() - begun))


def _unreadable(field: str, error: Exception) -> BadInput:
    """The refusal of a schema at which its reader failed. What nobody foresaw is logged."""
    says = "the schema is nested too deeply, or holds numbers that are too large"
    if not isinstance(error, _HUGE):
        log.error("a schema could not be read, which is a fault of the server", exc_info=error)
        says = "the server cannot read the schema; write it simpler"
    refusal = BadInput(says, detail=repr(error)[:500])
    refusal.param = field
    return refusal


def description(spec: ModelSpec) -> LanguageModel:
    """The model's description. Raises `ConfigError` when its options are none."""
    try:
        model = msgspec.convert(spec.options, LanguageModel)
    except msgspec.ValidationError as error:
        raise ConfigError(f"the options describe no language model: {error}") from error
    if wrong := wrong_default(model.defaults):
        raise ConfigError(f"the options describe no language model: {wrong}")
    if model.context < 1:
        raise ModelFileError("the model's context is not known; its setting `context` can say it (tokens)")
    return model
