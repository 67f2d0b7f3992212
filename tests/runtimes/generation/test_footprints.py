"""A worker's resident memory, once all its sequences are full, is what was estimated.

Its own memory is compared closely. Pages of shared libraries are not: how many of them are resident is the kernel's
choice, and differs by half between libraries that were just installed and those that were read from the disk.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

import penstock
from penstock.core.language import LanguageModel
from penstock.repository.gguf import describe
from penstock.runtimes.generation import choice
from penstock.runtimes.generation.footprints import footprint
from penstock.runtimes.generation.memory import estimate

TINY = Path(penstock.__file__).parent / "cli" / "demo" / "tiny.gguf"
CONTEXT = 256
# What a worker process does: the runtime, and as many full sequences as it takes.
WORKER = """
import json, sys
import msgspec
from penstock.core.generation import Generation, Sampling
from penstock.core.model import ModelSpec
from penstock.runtimes.generation.runtime import LanguageRuntime
import penstock.scheduling.worker

path, options = sys.argv[1], json.loads(sys.argv[2])
runtime = LanguageRuntime()
runtime.load(ModelSpec(name="m", runtime="llm", path=path, format="gguf", options=options))
sampling = Sampling(max_tokens=8, temperature=0.0, ignore_eos=True)
for number in range(int(sys.argv[3])):
    prompt = tuple(3 + (number * 31 + at * 7) % 200 for at in range(options["context"] - 8))
    runtime.submit(number, Generation(prompt=prompt, sampling=sampling))
while runtime.busy:
    runtime.step()
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
anonymous, shared, files = (int(status[key].split()[0]) * 1024 for key in ("RssAnon", "RssShmem", "RssFile"))
mapped = model = 0
for line in open("/proc/self/smaps"):
    first, *rest = line.split()
    if not first.endswith(":"):
        model = path in line
    elif first == "Rss:" and model:
        mapped += int(rest[0]) * 1024
print(json.dumps({"own": anonymous + shared + mapped, "libraries": files - mapped}))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells a process's memory so")
@pytest.mark.parametrize("sequences", [1, 16])
@pytest.mark.parametrize("engine", ["openvino", "llamacpp"])
def test_a_workers_memory_is_what_was_estimated(engine: str, sequences: int) -> None:
    if not choice.installed(engine):
        pytest.skip(f"{engine} is not installed")
    model = described(engine, sequences)
    command = [sys.executable, "-c", WORKER, str(TINY), json.dumps(options_of(model)), str(sequences)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    took = json.loads(done.stdout.splitlines()[-1])
    libraries = footprint(engine).libraries
    own = estimate(model, engine, context=CONTEXT, sequences=sequences).total - libraries
    assert abs(took["own"] - own) < 0.15 * own, told(took["own"], own)
    assert 0.7 * libraries < took["libraries"] < 1.5 * libraries, told(took["libraries"], libraries)


def told(took: int, estimated: int) -> str:
    return f"{took / 2**20:.1f} MiB, {estimated / 2**20:.1f} MiB estimated"


def described(engine: str, sequences: int) -> LanguageModel:
    return msgspec.structs.replace(describe(TINY), engine=engine, sequences=sequences, context=CONTEXT)


def options_of(model: LanguageModel) -> object:
    return msgspec.to_builtins(model)
