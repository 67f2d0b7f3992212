"""From a configured model to what scheduling and its workers need."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec

from penstock.config import languages, remotes
from penstock.config.schema import ModelSettings
from penstock.conversion import serving
from penstock.conversion.jobs import Sample
from penstock.core.model import ModelSpec
from penstock.repository import sources
from penstock.runtimes import registry
from penstock.scheduling.settings import DeploymentSettings
from penstock.telemetry.logs import logger

log = logger("conversion")


def specs_of(models: Mapping[str, ModelSettings], base: Path) -> Iterator[ModelSpec]:
    """What workers need to know about each configured model, in order; language models share the memory that is
    free."""
    taken = 0
    for name, model in models.items():
        spec = spec_of(name, model, base, taken=taken)
        taken += languages.promised(spec, model.replicas)
        yield spec


def spec_of(
    name: str, model: ModelSettings, base: Path, say: Callable[[str], None] = log.info, *, taken: int = 0
) -> ModelSpec:
    """What a worker needs to know about a configured model.

    A model whose format or precision needs it is converted first, once; `say` is told when that begins and ends.
    `taken`: bytes of the free memory that are promised to other models.
    """
    spec = _described(name, model, base)
    if spec.runtime == remotes.RUNTIME:
        return remotes.ready(spec, model, base)
    if spec.runtime == languages.RUNTIME:
        return languages.ready(spec, model, base, taken)
    spec = serving.servable(spec, model.precision, _calibration(model, base), model.options, say)
    runtime = spec.runtime or registry.for_format(spec.format)
    registry.check_reads(runtime, spec.format)
    registry.check_settings(runtime, spec.device, spec.options)
    registry.check_installed(runtime)
    platform = spec.platform or registry.entry(runtime).platform
    return msgspec.structs.replace(spec, runtime=runtime, platform=platform)


def check(name: str, model: ModelSettings, base: Path) -> None:
    """Raises what is wrong with a configured model's source and settings, as far as can be told without converting."""
    spec = _described(name, model, base)
    if spec.runtime in (remotes.RUNTIME, languages.RUNTIME):
        spec_of(name, model, base)
        return
    calibration = _calibration(model, base)
    if serving.needed(spec, model.precision, calibration):
        serving.check(spec, model.precision, calibration)
    else:
        spec_of(name, model, base)


def _described(name: str, model: ModelSettings, base: Path) -> ModelSpec:
    trust = (model.trust,) if isinstance(model.trust, str) else model.trust
    if model.runtime is not None:
        registry.entry(model.runtime)
    return sources.resolve(
        model.source,
        name=name,
        version=model.version,
        trust=frozenset(trust),
        base=base,
        runtime=model.runtime,
        output=model.output,
        batched=model.batched,
        device=model.device,
        example=model.example,
        options=model.options,
    )


def _calibration(model: ModelSettings, base: Path) -> Sample | None:
    """The rows to calibrate on; a relative path starts where relative sources do."""
    if model.calibration is None:
        return None
    return Sample(file=str(base / Path(model.calibration).expanduser()))


def deployment_settings(model: ModelSettings) -> DeploymentSettings:
    """The part of a model's settings that scheduling reads."""
    return DeploymentSettings(**{key: getattr(model, key) for key in DeploymentSettings.__struct_fields__})
