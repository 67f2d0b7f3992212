"""`penstock estimate`: the memory that a language model will take, told before anything is loaded."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, get_args, get_type_hints

import msgspec
import typer

from penstock.core.errors import ConfigError
from penstock.core.language import LanguageModel
from penstock.runtimes.generation import memory

if TYPE_CHECKING:
    from rich.table import Table

    from penstock.core.model import ModelSpec

_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")
TOO_LARGE = 3
"""Exit status when the model does not fit into what is free."""
FITS = "it fits"


class Told(NamedTuple):
    """An estimate, and what it is of. `free`: bytes; it and `fits` are None when nobody knows. `verdict`: in words."""

    name: str
    model: LanguageModel
    needs: memory.Estimate
    free: int | None
    fits: bool | None
    verdict: str


def estimate(
    source: Annotated[str, typer.Argument(help="A GGUF file, a folder, hf:org/name, or a pulled model's name.")],
    context: Annotated[int | None, typer.Option(min=1, help="Tokens of prompt and answer together.")] = None,
    sequences: Annotated[int | None, typer.Option(min=1, help="Answers generated at once (default 16).")] = None,
    engine: Annotated[
        str | None, typer.Option(help="openvino, llamacpp, vllm or transformers (default: by the files).")
    ] = None,
    kv_precision: Annotated[str | None, typer.Option(help="Of the key-value cache: f32, f16, bf16 or u8.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, in bytes.")] = False,
) -> None:
    """Tell how much memory a language model will take, and whether it fits here. Nothing is loaded.

    Of a model on the hub only some megabytes are fetched: its description, and the beginnings of its weights.

    Exit status 3 when it does not fit.
    """
    check_flags(engine, kv_precision, device)
    given = {"context": context, "sequences": sequences, "engine": engine, "kv_precision": kv_precision}
    told = tell(source, device, {key: value for key, value in given.items() if value is not None})
    if as_json:
        print(msgspec.json.encode(plain(told)).decode(), flush=True)
    else:
        show(told)
    raise typer.Exit(TOO_LARGE if told.fits is False else 0)


def check_flags(engine: str | None, kv_precision: str | None, device: str) -> None:
    """Raises `ConfigError` for a flag that says what there is not."""
    hints = get_type_hints(LanguageModel)
    for flag, value, known in (
        ("--engine", engine, hints["engine"]),
        ("--kv-precision", kv_precision, hints["kv_precision"]),
    ):
        if value is not None and value not in get_args(known):
            raise ConfigError(f"{flag} is one of {', '.join(get_args(known))}, and not {value!r:.40}")
    if not _DEVICE.fullmatch(device):
        raise ConfigError(f"--device is auto, cpu, cuda or cuda:N, and not {device!r:.40}")


def tell(source: str, device: str, options: dict[str, Any]) -> Told:
    """The estimate of a model with a person's options. Raises `SetupError` for what is no language model."""
    from penstock.repository import sources
    from penstock.repository.hub import fetching
    from penstock.repository.hub.names import is_hub, parse

    if not is_hub(source):
        return _told(sources.resolve(source, base=Path.cwd(), device=device, options=options), device)
    with tempfile.TemporaryDirectory(prefix="penstock-outline-") as folder:
        path = fetching.outline(parse(source), options, Path(folder))
        name = sources.name_of(source)
        return _told(sources.resolve(str(path), name=name, device=device, options=options), device)


def _told(spec: ModelSpec, device: str) -> Told:
    from penstock.runtimes.generation import choice
    from penstock.runtimes.generation.settling import settle

    model = described(spec)
    verdict = FITS
    try:
        model = settle(model, spec.format, device, spec.path)
    except memory.TooLarge as error:
        verdict = f"it does not fit: {error.message}"
        name, reason = choice.choose(model, spec.format, device, spec.path)
        context = model.context or model.trained_context
        model = msgspec.structs.replace(model, engine=name, reason=reason, context=context)
    where = choice.place(model.engine, device)
    needs = memory.estimate(model, model.engine, context=model.context, sequences=model.sequences, device=where)
    free = memory.available_to(model, model.engine, where)
    if free is None and verdict == FITS:
        return Told(
            spec.name, model, needs, free, None, "whether it fits is not known: no free memory can be seen there"
        )
    return Told(spec.name, model, needs, free, verdict == FITS, verdict)


def described(spec: ModelSpec) -> LanguageModel:
    """The language model of a spec. Raises `ConfigError` for models of other kinds."""
    if spec.runtime == "remote":
        raise ConfigError(f"{spec.name} runs at a provider and takes no memory here")
    if spec.runtime != "llm":
        raise ConfigError(f"{spec.name} is no language model; what others take is seen when they are loaded")
    return msgspec.convert(spec.options, LanguageModel)


def plain(told: Told) -> dict[str, Any]:
    """For programs."""
    model, needs = told.model, told.needs
    return {
        "name": told.name,
        "engine": model.engine,
        "reason": model.reason,
        "quantization": model.quantization,
        "parameters": model.parameters,
        "context": model.context,
        "trained_context": model.trained_context,
        "sequences": model.sequences,
        "bytes": {**needs._asdict(), "total": needs.total, "free": told.free},
        "fits": told.fits,
        "verdict": told.verdict,
    }


def show(told: Told) -> None:
    """For people."""
    from rich.console import Console

    console = Console()
    console.print(table(told))
    console.print(f"{told.model.engine}: {told.model.reason}", highlight=False, soft_wrap=True)
    console.print(told.verdict, highlight=False, soft_wrap=True)


def table(told: Told) -> Table:
    """What takes how much."""
    from rich import box
    from rich.table import Table

    model, needs = told.model, told.needs
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    made.add_column(told.name)
    made.add_column("memory", justify="right")
    made.add_column("")
    made.add_row("weights", memory.in_words(needs.weights), _files(model))
    made.add_row("cache", memory.in_words(needs.kv), _cache(model))
    made.add_row("overhead", memory.in_words(needs.overhead), "process, libraries, buffers")
    made.add_section()
    free = "unknown" if told.free is None else memory.in_words(told.free)
    made.add_row("together", memory.in_words(needs.total), f"free: {free}")
    return made


def _files(model: LanguageModel) -> str:
    count = f"{model.parameters / 1e9:.1f}B" if model.parameters >= 1e9 else f"{model.parameters / 1e6:.1f}M"
    return f"{count} parameters in {model.quantization}, {memory.in_words(model.weights_bytes)} of files"


def _cache(model: LanguageModel) -> str:
    trained = model.trained_context
    of = f" (trained on {trained})" if trained and trained != model.context else ""
    return f"{model.sequences} answers at once, {model.context} tokens each{of}"
