"""Who is measured: Penstock, llama-server built from llama-cpp-python's sources, and vLLM where it is at hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.contestant import Absent
from bench.llm.load import Door
from bench.process import Service, free_port, wait_until
from bench.venvs import cache_folder

SEQUENCES = 16
CONTEXT = 1280
START_S = 180.0
LLAMA_CPP = "llama-cpp-python==0.3.36"
BUILD = ("-DCMAKE_BUILD_TYPE=Release", "-DGGML_NATIVE=ON", "-DLLAMA_CURL=OFF", "-DLLAMA_OPENSSL=OFF",
         "-DLLAMA_BUILD_TESTS=OFF", "-DLLAMA_BUILD_EXAMPLES=OFF")  # fmt: skip


class Server:
    """A running server and its door."""

    def __init__(self, name: str, argv: Sequence[str], door: Door, folder: Path, env: Mapping[str, str] | None = None):
        self.name = name
        self.door = door
        self.service = Service(argv, env or {}, folder, folder / f"{name.replace(' ', '-')}.log")
        if not wait_until(self._answers, START_S, 0.2):
            self.service.stop()
            raise Absent(f"{name} did not start: {self.service.log.read_text(errors='replace')[-300:]}")

    def _answers(self) -> bool:
        if self.service.exited() is not None:
            raise Absent(f"{self.name} ended: {self.service.log.read_text(errors='replace')[-300:]}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.door.port}/v1/models", timeout=2) as answer:
                listed = json.loads(answer.read())
            return bool(listed.get("data")) and _ready(self.door.port)
        except (OSError, urllib.error.HTTPError, ValueError):
            return False


def _ready(port: int) -> bool:
    for path in ("/readyz", "/health"):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2) as answer:
                return bool(answer.status == 200)
        except urllib.error.HTTPError as error:
            if error.code != 404:
                return False
    return True


def penstock(model: Path, folder: Path, name: str = "Penstock", **options: Any) -> Server:
    """Our own server, with the engine that it chooses."""
    port = free_port()
    config = folder / f"{name.replace(' ', '-')}.yaml"
    chosen = {"sequences": SEQUENCES, "context": CONTEXT, **options}
    config.write_text(json.dumps({"models": {"m": {"source": str(model), "options": chosen}}, "http": {"port": port}}))
    argv = [sys.executable, "-m", "penstock.cli.main", "serve", str(config)]
    return Server(name, argv, Door(port, "/v1/completions", _openai, _usage), folder)


def llama_server(model: Path, folder: Path) -> Server:
    """llama.cpp's own server. Raises `Absent` where it cannot be built."""
    port, slots = free_port(), SEQUENCES
    argv = [str(llama_binary()), "--model", str(model), "--port", str(port), "--parallel", str(slots)]
    argv += ["--ctx-size", str(CONTEXT * slots), "--threads", str(os.cpu_count()), "--no-webui"]
    return Server("llama-server", argv, Door(port, "/completion", _llama, _llama_tokens), folder)


def llama_binary() -> Path:
    """llama-server, built once into the cache from the source that llama-cpp-python's sdist carries, or BENCH_LLAMA."""
    if named := os.environ.get("BENCH_LLAMA"):
        return Path(named)
    home = cache_folder() / "llama-server"
    binary = home / "build" / "bin" / "llama-server"
    if not binary.exists():
        _build(home)
    return binary


def _build(home: Path) -> None:
    home.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", LLAMA_CPP]
    try:
        subprocess.run([*pip, "--dest", str(home)], check=True, capture_output=True, timeout=600)
        with tarfile.open(next(home.glob("*.tar.gz"))) as packed:
            packed.extractall(home / "source", filter="data")
        source = next((home / "source").glob("*/vendor/llama.cpp"))
        subprocess.run(["cmake", "-S", source, "-B", home / "build", *BUILD], check=True, capture_output=True)
        make = ["cmake", "--build", home / "build", "--target", "llama-server", "-j", str(os.cpu_count())]
        subprocess.run(make, check=True, capture_output=True, timeout=3600)
    except (OSError, subprocess.SubprocessError) as error:
        raise Absent(f"llama-server could not be built: {error}") from error


def vllm(model: Path, folder: Path) -> Server:
    """vLLM's own server, from the environment that BENCH_VLLM names. Raises `Absent` without one."""
    home = os.environ.get("BENCH_VLLM")
    if not home:
        raise Absent("vLLM: set BENCH_VLLM to an environment that has it")
    port = free_port()
    argv = [f"{home}/bin/vllm", "serve", str(model), "--port", str(port), "--served-model-name", "m"]
    argv += ["--max-num-seqs", str(SEQUENCES), "--max-model-len", str(CONTEXT), "--dtype", "bfloat16"]
    env = {"VLLM_CPU_KVCACHE_SPACE": "2", "HF_HUB_OFFLINE": "1"}
    return Server("vLLM", argv, Door(port, "/v1/completions", _openai, _usage), folder, env)


def _openai(prompt: Sequence[int], answer: int) -> dict[str, Any]:
    return {
        "model": "m",
        "prompt": list(prompt),
        "max_tokens": answer,
        "temperature": 0,
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def _usage(line: dict[str, Any]) -> int | None:
    return (line.get("usage") or {}).get("completion_tokens")


def _llama(prompt: Sequence[int], answer: int) -> dict[str, Any]:
    return {"prompt": list(prompt), "n_predict": answer, "temperature": 0, "ignore_eos": True, "stream": True}


def _llama_tokens(line: dict[str, Any]) -> int | None:
    return line.get("tokens_predicted") if line.get("stop") else None


def settled(seconds: float = 1.0) -> None:
    """A moment of rest between two who are measured."""
    time.sleep(seconds)
