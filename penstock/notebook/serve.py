"""`penstock.serve`: a live object, a file or a folder becomes a URL, without blocking the notebook."""

from __future__ import annotations

import asyncio
import atexit
import tempfile
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from penstock.app import App
from penstock.client import Client
from penstock.config.models import spec_of
from penstock.config.ports import free_port
from penstock.config.schema import Config, HttpSettings, ModelSettings
from penstock.core.errors import ConfigError, ModelFileError
from penstock.core.model import ModelSpec
from penstock.notebook.save import Output, save_as
from penstock.repository.sources import name_of
from penstock.runtimes import registry
from penstock.runtimes.callable import CallableRuntime
from penstock.runtimes.contract import Runtime
from penstock.runtimes.examples import has_columns, rows_of
from penstock.scheduling.settings import DeploymentSettings
from penstock.storage.contract import StateSettings
from penstock.telemetry import logs

START_S = 300.0
STOP_S = 60.0


class Server:
    """A running server in a thread of this process; its workers are processes of their own.

    Use it as a context manager, or call `stop()`; it also stops when Python ends.
    """

    def __init__(self, app: App, name: str, folder: tempfile.TemporaryDirectory[str]):
        self.name = name
        self._app = app
        self._loop = _new_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"penstock-{name}", daemon=True)
        self._folder = folder
        self._client: Client | None = None
        self._stopped = False

    @property
    def url(self) -> str:
        """Where it answers, such as http://127.0.0.1:8000"""
        return f"http://127.0.0.1:{self._app.server.port}"

    def predict(self, inputs: Any, **wishes: Any) -> list[Any]:
        """One output per input row, over HTTP as any client gets it (see `penstock.Client.predict`)."""
        if self._client is None:
            self._client = Client(self.url)
        return self._client.predict(inputs, model=self.name, **wishes)

    def stop(self) -> None:
        """Finishes accepted requests, then stops the workers and the thread."""
        if self._stopped:
            return
        self._stopped = True
        atexit.unregister(self.stop)
        if self._client is not None:
            self._client.close()
        try:
            self._run(self._app.drain(), STOP_S)
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(STOP_S)
            self._loop.close()
            self._folder.cleanup()

    def start(self) -> None:
        """Starts the thread and waits until the model is ready. Raises `ModelFileError`, with the reason."""
        self._thread.start()
        atexit.register(self.stop)
        try:
            self._run(self._app.start(), START_S)
            failures = self._run(self._app.loaded(), START_S)
            if failures:
                raise ModelFileError("\n".join(failures.values()))
        except BaseException:
            self.stop()
            raise

    def _run(self, work: Coroutine[Any, Any, Any], patience_s: float) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(patience_s)

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = "stopped" if self._stopped else f"{self.url}, docs at {self.url}/docs"
        return f"<penstock server {self.name!r}: {state}>"


def serve(
    model: Any,
    example: Any = None,
    name: str | None = None,
    *,
    port: int | None = None,
    trust: str | tuple[str, ...] = (),
    output: Output | None = None,
    batched: bool | None = None,
    **settings: Any,
) -> Server:
    """Serves a model and returns at once with its `Server`.

    `model`: a fitted scikit-learn, XGBoost or LightGBM model, a torch module, a function of a batch, a
    `penstock.Model`, or the path of a model file or folder. `example`: a few input rows, from which
    names, datatypes and shapes are read. `batched=False`: the first axis does not count independent
    rows, so requests run one at a time, and the example is one whole input. `port`: 8000 when free, else any
    free one. `settings`: replicas, timeout_ms, batching={...} and the other settings of a model in penstock.yaml.

    Raises `SetupError` when the model cannot be served; the message says what would work.
    """
    logs.configure("warning")
    options = _settings(settings)
    label = name or _name_of(model)
    folder = tempfile.TemporaryDirectory(prefix="penstock-")
    try:
        http = HttpSettings(port=free_port() if port is None else port)
        app = App(Config(http=http, state=StateSettings(url="none")))
        app.add(*_model(model, example, label, Path(folder.name), options, trust, output, batched))
        server = Server(app, label, folder)
        server.start()
    except BaseException:
        folder.cleanup()
        raise
    return server


def _model(
    model: Any,
    example: Any,
    label: str,
    folder: Path,
    options: DeploymentSettings,
    trust: str | tuple[str, ...],
    output: Output | None,
    batched: bool | None,
) -> tuple[ModelSpec, DeploymentSettings, Callable[[str], Runtime] | None]:
    """What to serve and how; an object is written into `folder` for its workers."""
    create: Callable[[str], Runtime] | None = None
    if isinstance(model, (str, Path)):
        _refuse_inline(options, "a path")
        rows = _friendly(example, batched)
        settings = ModelSettings(source=str(model), trust=trust, output=output, batched=batched, example=rows)
        spec = spec_of(label, settings, Path.cwd())
    elif options.placement == "inline":
        if registry.saver_for(model)[0] != "callable":
            _refuse_inline(options, f"a {type(model).__qualname__}")
        spec, create = _inline_spec(label, example, batched), lambda _: CallableRuntime(model)
    else:
        spec = _written(model, folder / label, example, output or "both", batched)
    return spec, options, create


def _refuse_inline(options: DeploymentSettings, what: str) -> None:
    if options.placement == "inline":
        raise ConfigError(
            f"placement='inline' is for functions and penstock.Model objects, not for {what}; leave it out"
        )


def _friendly(example: Any, batched: bool | None) -> list[Any] | None:
    """An example as the predict door takes it; a list is taken to be that already."""
    if example is None:
        return None
    rows = example if isinstance(example, list) and not _holds_arrays(example) else rows_of(example)
    return [_one_input(example, rows)] if rows is not None and batched is False else rows


def _holds_arrays(rows: list[Any]) -> bool:
    return any(hasattr(value, "dtype") for row in rows for value in ([row, *row] if isinstance(row, list) else [row]))


def _one_input(example: Any, rows: list[Any]) -> Any:
    """A whole input of a model that is not batched: columns by name, or the rows as they are."""
    if not has_columns(example):
        return rows
    return {name: [row[name] for row in rows] for name in rows[0]} if isinstance(rows[0], dict) else rows


def _settings(given: dict[str, Any]) -> DeploymentSettings:
    """Deployment settings from keyword arguments. Raises `ConfigError` naming the wrong one."""
    try:
        settings = msgspec.convert(given, DeploymentSettings)
    except msgspec.ValidationError as error:
        raise ConfigError(f"penstock.serve: {error}") from None
    settings.check()
    return settings


def _written(model: Any, folder: Path, example: Any, output: Output, batched: bool | None) -> ModelSpec:
    """The object in a folder that its workers load it from; nothing is remembered as trusted."""
    try:
        return save_as(model, folder, example, output=output, batched=batched, remember=False)
    except ModelFileError as error:
        if "cannot be written" in error.message:
            raise ModelFileError(f"{error.message}; to run it in this process, pass placement='inline'") from error
        raise


def _inline_spec(name: str, example: Any, batched: bool | None) -> ModelSpec:
    """A function that runs in this process; its example is the batch that it takes."""
    return ModelSpec(
        name=name,
        runtime="callable",
        path="",
        trusted=True,
        example=_friendly(example, batched),
        batched=batched,
        platform="python_callable",
    )


def _name_of(model: Any) -> str:
    """A name from the path, the function or the class."""
    if isinstance(model, (str, Path)):
        return name_of(str(model))
    label = getattr(model, "__name__", None) or type(model).__name__
    return "model" if label.startswith("<") else label.lower()


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
