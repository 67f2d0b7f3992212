"""The rooms' settings put together: a YAML file, the environment, flags → `Config`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from penstock.admission.gate import AdmissionSettings
from penstock.admission.keys.settings import KeySettings
from penstock.admission.settings import TenantSettings
from penstock.core.prices import Price
from penstock.core.text import Precision
from penstock.protocols.http.limits import HttpLimits
from penstock.routing.failure.breaker import BreakerSettings
from penstock.routing.failure.budget import RetrySettings
from penstock.routing.settings import CacheSettings, RouteSettings
from penstock.scheduling.settings import DeploymentSettings
from penstock.storage.contract import StateSettings

DEFAULT_PORT = 8000


class HttpSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where and how HTTP is served."""

    host: str = "127.0.0.1"
    """Address to bind; loopback unless told otherwise."""
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = DEFAULT_PORT
    """Port to bind; 0 lets the system choose."""
    allowed_hosts: tuple[str, ...] = ()
    """More names that the Host header may carry on loopback; "*" allows any."""
    pull: bool | None = None
    """Whether clients may have models fetched from the hub to this machine, as Ollama's do (default: on loopback)."""
    lifecycle: bool | None = None
    """Whether clients may load and unload models (default: on loopback)."""
    open: bool = False
    """Let anybody in where other machines reach the server and there is no API key (default: it does not start)."""
    access_log: bool = False
    """Log every request, not only failures."""
    limits: HttpLimits = HttpLimits()
    """What clients may send, and how slowly."""


class LogSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Logs on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe entries to write."""
    format: Literal["auto", "json", "text"] = "auto"
    """json: one object per line; text: for people; auto: text on a terminal."""


class ModelSettings(DeploymentSettings, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One served model: where it comes from, and how it is run."""

    source: str
    """A model file, a model folder, "module:attribute" or "file.py:attribute"."""
    trust: str | tuple[str, ...] = ()
    """Digests ("sha256:...") of files that may run code when loaded."""
    version: str | None = None
    """The version's name (default: the manifest's, else 1)."""
    runtime: str | None = None
    """The runtime to use (default: by the file's format)."""
    batched: bool | None = None
    """Whether the first axis counts independent rows that may run together (default: read from the file)."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    output: Literal["label", "probabilities", "both"] | None = None
    """What classifiers answer (default: both)."""
    example: list[Any] | None = None
    """Example rows: for the docs, for warm-up, and to infer the signature."""
    options: dict[str, Any] = {}
    """Settings of the runtime, by its own names."""
    precision: Precision | None = None
    """fp32, fp16, bf16, int8 or int4: converted to it once, and kept (default: as the files are)."""
    calibration: str | None = None
    """A file of rows to calibrate int8 on (default: activations are quantized on the way)."""
    cache: CacheSettings | None = None
    """Keep answers row by row, so that rows asked for again are not computed again (default: keep none)."""


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything a server needs to know."""

    models: dict[str, ModelSettings] = {}
    """Served models by name."""
    aliases: dict[str, str] = {}
    """Other names for models: alias → model or model@version."""
    routes: dict[str, RouteSettings] = {}
    """Public names behind which several models stand, and how one of them is chosen."""
    retries: RetrySettings = RetrySettings()
    """Asking again after a failure, over all routes."""
    breaker: BreakerSettings = BreakerSettings()
    """When a model that fails is left out."""
    prices: dict[str, Price] = {}
    """What models cost, by model name or "provider:model", over the built-in price book."""
    keys: KeySettings = KeySettings()
    """API keys."""
    tenants: dict[str, TenantSettings] = {}
    """Limits, budgets and shares of those who pay, by name; "*" for all without their own."""
    state: StateSettings = StateSettings()
    """What outlives the server: keys, costs, budgets."""
    http: HttpSettings = HttpSettings()
    """The HTTP server."""
    admission: AdmissionSettings = AdmissionSettings()
    """What the server takes on at once."""
    log: LogSettings = LogSettings()
    """Logs."""
    drain_s: Annotated[float, msgspec.Meta(ge=0, le=86_400)] = 30.0
    """Time for accepted work to finish when the server is asked to stop."""
