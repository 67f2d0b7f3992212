"""The peers of the text part."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from bench import peers
from bench.contestant import Contestant
from bench.text.doors import PLAIN, UNVERSIONED, Entrant
from bench.text.material import Material
from bench.venvs import installed_versions
from bench.wrk import Stream

FASTAPI = "FastAPI + transformers + torch"
FASTAPI_ONE = "FastAPI + transformers + torch, one thread"
INFINITY = "infinity-emb"
FP32_COSINE = 0.999
# Loading torch, and infinity's own warm-up, take their time on a busy machine.
PATIENCE_S = 240.0
WARM_UP = (32, 2.0)

_OFFLINE = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1"}


def fastapi(material: Material) -> Entrant:
    """The app that everybody writes, under the plain load."""
    return _fastapi(material, material.plain(PLAIN.body))


def fastapi_repeating(material: Material) -> Entrant:
    """The same under the load whose queries come back; it keeps no answers."""
    return _fastapi(material, material.repeating(PLAIN.body))


def fastapi_one_thread(material: Material) -> Entrant:
    """What a careful author makes of it: requests run beside each other anyhow, so torch need not split each."""
    found = _fastapi(material, material.plain(PLAIN.body))
    note = "the same with OMP_NUM_THREADS=1, so that concurrent requests do not compete for the cores"
    env = {**found.contestant.env, "OMP_NUM_THREADS": "1"}
    return replace(found, contestant=replace(found.contestant, name=FASTAPI_ONE, note=note, env=env))


def infinity(material: Material) -> Entrant:
    """The server for embeddings that batches."""
    venv = peers.venv_of("infinity", shared=("torch",))
    start = [str(venv / "bin" / "infinity_emb"), "v2", "--model-id", str(material.model), "--engine", "torch"]
    start += ["--device", "cpu", "--served-model-name", "minilm", "--host", "127.0.0.1", "--port"]
    contestant = Contestant(
        INFINITY,
        "`infinity_emb v2 --engine torch --device cpu`, otherwise as it comes: batches of up to 32, OpenAI's JSON",
        lambda port: [*start, str(port)],
        lambda port: UNVERSIONED.request(material.probes[0]),
        lambda answer: UNVERSIONED.problem(answer, material, FP32_COSINE),
        env=_OFFLINE,
        versions=installed_versions(venv, ("infinity-emb",)),
        traffic=material.plain(UNVERSIONED.body),
        warm_up=WARM_UP,
        patience_s=PATIENCE_S,
    )
    return Entrant(contestant, UNVERSIONED, FP32_COSINE)


def _fastapi(material: Material, traffic: Iterator[Stream]) -> Entrant:
    venv = peers.venv_of("text", shared=("numpy", "safetensors", "tokenizers", "torch", "transformers"))
    contestant = Contestant(
        FASTAPI,
        f"pydantic body, `def` endpoint, one text per request, torch's own choice of threads ({_threads(venv)} here), "
        "uvicorn with uvloop and httptools, access log off",
        peers.uvicorn(venv, "fastapi_text:app"),
        lambda port: PLAIN.request(material.probes[0]),
        lambda answer: PLAIN.problem(answer, material, FP32_COSINE),
        env={"TEXT_MODEL": str(material.model), **_OFFLINE},
        versions=installed_versions(venv, ("fastapi", "uvicorn", "pydantic", "torch", "transformers")),
        traffic=traffic,
        warm_up=WARM_UP,
        patience_s=PATIENCE_S,
    )
    return Entrant(contestant, PLAIN, FP32_COSINE)


def _threads(venv: Path) -> str:
    argv = [str(venv / "bin" / "python"), "-c", "import torch; print(torch.get_num_threads())"]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()
