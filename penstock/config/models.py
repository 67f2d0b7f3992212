"""From a configured model to what scheduling and its workers need."""

from __future__ import annotations

from pathlib import Path

import msgspec

from penstock.config.schema import ModelSettings
from penstock.core.model import ModelSpec
from penstock.repository import sources
from penstock.runtimes import registry
from penstock.scheduling.settings import DeploymentSettings


def spec_of(name: str, model: ModelSettings, base: Path) -> ModelSpec:
    """What a worker needs to know about a configured model."""
    trust = (model.trust,) if isinstance(model.trust, str) else model.trust
    if model.runtime is not None:
        registry.entry(model.runtime)
    spec = sources.resolve(
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
    runtime = spec.runtime or registry.for_format(spec.format)
    registry.check_reads(runtime, spec.format)
    registry.check_settings(runtime, spec.device, spec.options)
    registry.check_installed(runtime)
    platform = spec.platform or registry.entry(runtime).platform
    return msgspec.structs.replace(spec, runtime=runtime, platform=platform)


def deployment_settings(model: ModelSettings) -> DeploymentSettings:
    """The part of a model's settings that scheduling reads."""
    return DeploymentSettings(**{key: getattr(model, key) for key in DeploymentSettings.__struct_fields__})
