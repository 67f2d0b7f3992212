"""What a language model will take, and what fits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from penstock.core.errors import ConfigError
from penstock.core.language import LanguageModel
from penstock.runtimes.generation import choice, devices, free_memory, memory
from penstock.runtimes.generation.footprints import footprint
from penstock.runtimes.generation.memory import estimate, fit
from penstock.runtimes.generation.settling import settle

GB = 10**9
ENGINES = ("openvino", "llamacpp", "vllm", "transformers")


def llama(**changes: Any) -> LanguageModel:
    """Of the size of Llama 3 8B in Q4_K_M."""
    sizes = {
        "architecture": "llama", "parameters": 8_030_000_000, "weights_bytes": 4_920_000_000, "quantization": "Q4_K_M",
        "trained_context": 131_072, "layers": 32, "hidden_size": 4096, "heads": 32, "kv_heads": 8, "head_size": 128,
        "vocab_size": 128_256,
    }  # fmt: skip
    return LanguageModel(**{**sizes, **changes})


# --- estimates


@pytest.mark.parametrize("engine", ENGINES)
def test_more_of_anything_takes_more(engine: str) -> None:
    model = llama()
    least = estimate(model, engine, context=1024, sequences=1)
    longer = estimate(model, engine, context=8192, sequences=1)
    more = estimate(model, engine, context=1024, sequences=16)
    assert least.total == least.weights + least.kv + least.overhead
    assert least.weights == longer.weights == more.weights >= model.weights_bytes
    assert longer.kv == 8 * least.kv
    assert more.kv == 16 * least.kv
    assert longer.total > least.total < more.total
    assert estimate(llama(quantization="odd"), engine, context=1024, sequences=1).weights > 0


def test_the_cache_is_what_the_network_says() -> None:
    model = llama()
    assert estimate(model, "openvino", context=8192, sequences=16).kv == 2 * 32 * 8 * 128 * 2 * 8192 * 16
    small = estimate(llama(kv_precision="u8"), "openvino", context=8192, sequences=16).kv
    assert 0.5 < small / estimate(model, "openvino", context=8192, sequences=16).kv < 0.55


def test_the_last_block_of_a_cache_is_a_whole_one() -> None:
    model = llama()
    assert estimate(model, "openvino", context=1, sequences=1).kv == 32 * model.kv_bytes_per_token()


def test_a_draft_model_takes_its_share(tmp_path: Path) -> None:
    draft = tmp_path / "draft.gguf"
    draft.write_bytes(bytes(2_000_000))
    plain = estimate(llama(), "llamacpp", context=1024, sequences=1)
    drafted = estimate(llama(speculative=str(draft)), "llamacpp", context=1024, sequences=1)
    looking = estimate(llama(speculative="prompt_lookup"), "llamacpp", context=1024, sequences=1)
    assert drafted.weights > plain.weights == looking.weights


def test_an_engine_that_is_not_chosen_yet() -> None:
    assert footprint("auto") == footprint("openvino")


# --- what fits


def test_what_was_asked_for_when_it_fits() -> None:
    assert fit(llama(context=8192, sequences=4), "openvino", 64 * GB) == 8192
    assert fit(llama(sequences=1), "openvino", 64 * GB) == 131_072
    assert fit(llama(), "openvino", None) == 131_072, "nobody knows how much is free"


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("free", [48 * GB, 64 * GB, 100 * GB])
def test_the_longest_context_that_fits_when_none_was_asked_for(engine: str, free: int) -> None:
    model = llama()
    context = fit(model, engine, free)
    assert 512 <= context < 131_072
    assert context % memory.STEP == 0
    room = free * memory.SHARE + footprint(engine).droppable(model)
    assert estimate(model, engine, context=context, sequences=16).total <= room
    assert estimate(model, engine, context=context + memory.STEP, sequences=16).total > room
    assert fit(model, engine, 2 * free, replicas=2) == context


def test_the_refusal_says_what_would_fit() -> None:
    with pytest.raises(ConfigError) as refusal:
        fit(llama(context=8192, quantization="Q5_K_M"), "llamacpp", 20 * GB)
    message = refusal.value.message
    assert message.startswith("it needs 22.")
    assert "cache 17.2 for 16 answers of 8192 tokens" in message
    assert "20.0 GB are free" in message
    context = int(message.partition("context: ")[2].partition(" ")[0])
    sequences = int(message.partition("sequences: ")[2].partition(";")[0])
    model = llama(quantization="Q5_K_M")
    change = msgspec.structs.replace
    assert fit(change(model, context=context), "llamacpp", 20 * GB) == context
    assert fit(change(model, context=8192, sequences=sequences), "llamacpp", 20 * GB) == 8192
    with pytest.raises(memory.TooLarge):
        fit(change(model, context=8192, sequences=sequences + 1), "llamacpp", 20 * GB)


def test_the_refusal_when_only_less_of_both_would_fit() -> None:
    free = 7 * GB
    with pytest.raises(ConfigError, match="it would fit with sequences: 1 and context: ") as refusal:
        fit(llama(context=131_072, sequences=4096), "llamacpp", free)
    context = int(refusal.value.message.partition("and context: ")[2].partition(";")[0])
    assert fit(llama(context=context, sequences=1), "llamacpp", free) == context


def test_the_refusal_when_nothing_would_fit() -> None:
    with pytest.raises(ConfigError, match="not even one answer fits; take a smaller model, or files in fewer bits"):
        fit(llama(), "llamacpp", 3 * GB)


def test_the_refusal_of_several_workers() -> None:
    with pytest.raises(ConfigError, match="in each of 3 workers"):
        fit(llama(context=4096), "llamacpp", 20 * GB, replicas=3)


def test_sizes_in_words() -> None:
    assert [memory.in_words(size) for size in (9_800_000_000, 410_000_000, 1_200)] == ["9.8 GB", "410 MB", "0 MB"]


def test_a_person_may_know_better() -> None:
    with pytest.raises(memory.TooLarge, match="memory_check: false loads it without this estimate"):
        fit(llama(context=8192), "llamacpp", 3 * GB)
    assert fit(llama(context=8192, memory_check=False), "llamacpp", 3 * GB) == 8192
    assert fit(llama(memory_check=False), "llamacpp", 3 * GB) == memory.LEAST, "and nobody said how long"
    assert fit(llama(memory_check=False), "llamacpp", 48 * GB) == fit(llama(), "llamacpp", 48 * GB)


# --- GPUs


def large(**changes: Any) -> LanguageModel:
    """Of the size of Llama 3 70B in 16 bits."""
    sizes = {"parameters": 70_550_000_000, "weights_bytes": 141_100_000_000, "quantization": "bf16", "layers": 80}
    return llama(**{**sizes, "hidden_size": 8192, "heads": 64, "sequences": 4, **changes})


def gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *free: int) -> None:
    """Makes this machine one with such GPUs (GB free)."""
    lines = [f"{at}, GPU-{at}af, NVIDIA H100, 81559, {size * GB // 2**20}" for at, size in enumerate(free)]
    single = "\n".join(line.split(", ", 2)[2] for line in lines)
    program = tmp_path / "nvidia-smi"
    listed = "\n".join(lines)
    program.write_text(f"#!/bin/sh\ncase $1 in *index*) echo '{listed}';; *) echo '{single}';; esac\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def settled(engine: str, monkeypatch: pytest.MonkeyPatch, model: LanguageModel, device: str = "cuda") -> int:
    monkeypatch.setattr(choice, "installed", lambda name: True)
    format = "gguf" if engine == "llamacpp" else "causal-lm"
    return settle(msgspec.structs.replace(model, engine=engine), format, device, "m").context


def test_a_model_that_is_spread_over_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(tmp_path, monkeypatch, 80, 80, 80, 80)
    with pytest.raises(memory.TooLarge):
        settled("vllm", monkeypatch, large(context=8192))
    for options in (
        {"tensor_parallel_size": 4},
        {"tensor_parallel_size": 2, "pipeline_parallel_size": 2},
        {"tensor_parallel_size": 2, "cpu_offload_gb": 30},
        {"tensor_parallel_size": 2, "quantization": "fp8"},
        {"tensor_parallel_size": 16, "distributed_executor_backend": "ray"},
    ):
        assert settled("vllm", monkeypatch, large(context=8192, engine_options=options)) == 8192
    with pytest.raises(memory.TooLarge):
        settled("vllm", monkeypatch, large(context=8192, engine_options={"tensor_parallel_size": 2}))
    gpus(tmp_path, monkeypatch, 80, 80, 80, 10)
    with pytest.raises(memory.TooLarge, match=r"40\.0 GB are free"):
        settled("vllm", monkeypatch, large(context=8192, engine_options={"tensor_parallel_size": 4}))


def test_llama_cpp_takes_all_gpus_unless_one_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(tmp_path, monkeypatch, 80, 80, 40)
    assert settled("llamacpp", monkeypatch, large(context=8192)) == 8192
    for refused in ({"split_mode": "none"}, {"tensor_split": (1.0, 1.0, 1.0)}):
        with pytest.raises(memory.TooLarge):
            settled("llamacpp", monkeypatch, large(context=8192, engine_options=refused))
    for taken in ({"tensor_split": (2.0, 2.0, 1.0)}, {"split_mode": "none", "gpu_layers": 20}):
        assert settled("llamacpp", monkeypatch, large(context=8192, engine_options=taken)) == 8192
    with pytest.raises(memory.TooLarge):
        settled("llamacpp", monkeypatch, large(context=8192), "cuda:1")


def test_which_gpus_a_process_may_see(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(tmp_path, monkeypatch, 10, 20, 30)
    for visible, free in {"2,0": [30, 10], "GPU-1": [20], "": [], "1,GPU-0af": [20, 10]}.items():
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        assert [round(each.free / GB) for each in devices.gpus("cuda")] == free
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert [round(each.free / GB) for each in devices.gpus("cuda:1")] == [20, 30]
    monkeypatch.setenv("PATH", "")
    assert devices.gpus("cuda") == []


def test_transformers_is_in_16_bits_on_a_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(tmp_path, monkeypatch, 24)
    model = llama(quantization="bf16", weights_bytes=16_060_000_000, context=2048, sequences=4)
    assert settled("transformers", monkeypatch, model) == 2048
    wide = msgspec.structs.replace(model, engine_options={"dtype": "float32"})
    with pytest.raises(memory.TooLarge):
        settled("transformers", monkeypatch, wide)
    needs = estimate(model, "transformers", context=2048, sequences=4)
    assert needs.weights == 4 * model.parameters, "on a CPU it is in 32 bits"
    narrow = msgspec.structs.replace(model, engine_options={"dtype": "bfloat16"})
    assert estimate(narrow, "transformers", context=2048, sequences=4).kv * 2 == needs.kv


def test_weights_are_not_laid_out_anew_on_a_gpu() -> None:
    model = llama()
    assert estimate(model, "llamacpp", context=512, sequences=1, device="cuda").weights == model.weights_bytes
    assert footprint("llamacpp", "cuda").droppable(model) == 0


def test_llama_cpp_where_openvino_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """It maps the file, where OpenVINO keeps copies of the weights."""
    monkeypatch.setattr(choice, "installed", lambda name: True)
    monkeypatch.setattr(memory, "available", lambda device="cpu": 10 * GB)
    settled = settle(llama(sequences=1), "gguf", "auto", "m.gguf")
    assert settled.engine == "llamacpp"
    assert settled.reason == "OpenVINO takes more memory than the 10.0 GB that are free"
    assert 512 <= settled.context < 131_072
    with pytest.raises(memory.TooLarge, match="overhead"):
        settle(llama(sequences=1, engine="openvino"), "gguf", "auto", "m.gguf")
    monkeypatch.setattr(choice, "installed", lambda name: name == "openvino")
    with pytest.raises(memory.TooLarge):
        settle(llama(sequences=1), "gguf", "auto", "m.gguf")
    monkeypatch.setattr(memory, "available", lambda device="cpu": 40 * GB)
    assert settle(llama(sequences=1), "gguf", "auto", "m.gguf").engine == "openvino"


# --- what is free


def test_this_machine() -> None:
    free = memory.available()
    assert free is not None
    assert 0 < free < 2**50


def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str, **files: str) -> None:
    for name, text in {"meminfo": "MemTotal: 9 kB\nMemAvailable: 8000000 kB\n", "own": own, **files}.items():
        path = tmp_path / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(free_memory, "_MEMORY", tmp_path / "meminfo")
    monkeypatch.setattr(free_memory, "_OWN_GROUPS", tmp_path / "own")
    monkeypatch.setattr(free_memory, "_GROUPS", tmp_path / "cgroup")


def limits(folder: str, limit: str, used: str, cached: str = "0") -> dict[str, str]:
    stat = f"anon 5\ninactive_file {cached}\n"
    return {f"{folder}__memory.max": limit, f"{folder}__memory.current": used, f"{folder}__memory.stat": stat}


def test_a_container_has_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = limits("cgroup__a__b", "4000000000\n", "1500000000\n", "500000000")
    groups(tmp_path, monkeypatch, "0::/a/b\n", **own, **limits("cgroup__a", "max\n", "9000000000\n"))
    assert memory.available() == 3_000_000_000
    groups(tmp_path, monkeypatch, "0::/a/b\n", **limits("cgroup__a", "2000000000\n", "1900000000\n"))
    assert memory.available() == 100_000_000, "a group above may have less still"
    groups(tmp_path, monkeypatch, "0::/elsewhere\n")
    assert memory.available() == 8_000_000 * 1024


def test_a_container_of_the_first_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = "cgroup__memory__a"
    files = {f"{place}__memory.limit_in_bytes": "3000000000", f"{place}__memory.usage_in_bytes": "1000000000"}
    endless = {"cgroup__memory__memory.limit_in_bytes": str(2**63), "cgroup__memory__memory.usage_in_bytes": "1"}
    groups(tmp_path, monkeypatch, "4:memory:/a\n0::/\n", **files, **endless)
    assert memory.available() == 2_000_000_000


def test_systems_that_do_not_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    groups(tmp_path, monkeypatch, "garbage\n0::/\n", meminfo="MemAvailable: lots\n")
    assert memory.available() == free_memory._physical()
    (tmp_path / "own").unlink()
    assert memory.available() == free_memory._physical()
