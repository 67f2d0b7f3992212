"""Who is measured: what is started, and how it is asked."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

from bench.contestant import Absent
from bench.penstock import command
from bench.venvs import VenvError, make_venv

OURS, THEIRS, BARE, DIRECT = "Penstock", "LiteLLM proxy", "a bare aiohttp gateway", "the provider itself"
_REQUIREMENTS = Path(__file__).parent / "requirements-litellm.txt"


@dataclass(frozen=True, slots=True)
class Gateway:
    """One way to the provider."""

    name: str
    argv: list[str]
    env: dict[str, str]
    port: int


def ours(folder: Path, port: int, provider: str) -> Gateway:
    """Penstock with a route over two names of the provider, keys off as LiteLLM's are, its ledger written."""
    config = {
        "models": {
            "first": {"source": f"{provider}#gpt"},
            "second": {"source": f"{provider}#gpt", "options": {"max_concurrency": 512}},
        },
        "routes": {"gpt": {"models": ["first", "second"]}},
        "prices": {"first": {"prompt": 0.25, "completion": 2.0}, "second": {"prompt": 0.25, "completion": 2.0}},
        "state": {"url": f"sqlite:///{folder}/penstock.db"},
    }
    path = folder / "penstock.yaml"
    path.write_text(yaml.safe_dump(config))
    return Gateway(OURS, [*command(), "serve", str(path), "--port", str(port)], {}, port)


def litellm(folder: Path, port: int, provider: str) -> Gateway:
    """LiteLLM's proxy, one worker, no database. Raises `Absent` where it cannot be installed."""
    named = os.environ.get("BENCH_LITELLM")
    try:
        venv = Path(named) if named else make_venv("litellm", _REQUIREMENTS, shared=())
    except VenvError as error:
        raise Absent(f"LiteLLM: {error}") from error
    path = folder / "litellm.yaml"
    model = {"model_name": "gpt", "litellm_params": {"model": "openai/gpt", "api_base": provider, "api_key": "none"}}
    path.write_text(yaml.safe_dump({"model_list": [model], "litellm_settings": {"telemetry": False}}))
    argv = [str(venv / "bin" / "litellm"), "--config", str(path), "--port", str(port), "--host", "127.0.0.1"]
    env = {
        "LITELLM_LOG": "ERROR",
        "NO_PROXY": "127.0.0.1",
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
    }
    return Gateway(THEIRS, [*argv, "--num_workers", "1"], env, port)


def bare(port: int, provider: str) -> Gateway:
    """The bare gateway."""
    return Gateway(BARE, [sys.executable, "-m", "bench.gateway.bare", str(port), provider], {}, port)


def direct(port: int) -> Gateway:
    """The provider itself."""
    return Gateway(DIRECT, [sys.executable, "-m", "bench.gateway.provider", str(port)], {}, port)
