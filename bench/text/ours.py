"""Penstock as a contestant of the text part: `penstock serve` with one YAML file for each way to run MiniLM."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench import penstock
from bench.contestant import Absent, Contestant
from bench.text.doors import BASE64, OPENAI, Door, Entrant
from bench.text.material import Material
from bench.text.rivals import FP32_COSINE, WARM_UP
from bench.wrk import Stream

FP32, BF16, INT8 = "Penstock, fp32", "Penstock, bf16", "Penstock, int8"
INT8_DYNAMIC, INT8_BASE64 = "Penstock, int8, dynamic", "Penstock, int8, base64"
FP32_CACHE, INT8_CACHE = "Penstock, fp32, cache", "Penstock, int8, cache"

INT8_COSINE = 0.98
BF16_COSINE = 0.999
_CACHE_MB = 256
# The model is converted and quantized when it is served for the first time.
_PATIENCE_S = 900.0


def fp32(material: Material) -> Entrant:
    """Nothing but the folder."""
    return _plain(FP32, "`/v1/embeddings`, JSON floats", {}, material, FP32_COSINE)


def bf16(material: Material) -> Entrant:
    """Arithmetic that only some CPUs have. Raises `Absent` on the others."""
    if not _has_bf16(Path("/proc/cpuinfo").read_text()):
        raise Absent("this CPU does not calculate in bf16")
    return _plain(BF16, "`precision: bf16`, otherwise the same", {"precision": "bf16"}, material, BF16_COSINE)


def int8(material: Material) -> Entrant:
    """Static quantization, calibrated on queries that the load does not ask."""
    note = "`precision: int8`, calibrated on 300 other queries, otherwise the same"
    return _plain(INT8, note, _quantized(material), material, INT8_COSINE)


def int8_dynamic(material: Material) -> Entrant:
    """What a person gets who gives no rows to calibrate on."""
    return _plain(INT8_DYNAMIC, "`precision: int8` and nothing else", {"precision": "int8"}, material, INT8_COSINE)


def int8_base64(material: Material) -> Entrant:
    """As OpenAI's own client asks."""
    note = "int8, calibrated; embeddings in base64, as OpenAI's client asks for them"
    return _plain(INT8_BASE64, note, _quantized(material), material, INT8_COSINE, BASE64)


def fp32_cache(material: Material) -> Entrant:
    """Rows that were computed before are not computed again."""
    return _repeating(FP32_CACHE, {}, material, FP32_COSINE)


def int8_cache(material: Material) -> Entrant:
    """The same with the faster model behind it."""
    return _repeating(INT8_CACHE, _quantized(material), material, INT8_COSINE)


def settings(material: Material, name: str, model: dict[str, Any]) -> Path:
    """A YAML file (JSON is YAML) that serves MiniLM this way."""
    path = material.folder / f"{''.join(c if c.isalnum() else '-' for c in name)}.yaml"
    path.write_text(json.dumps({"models": {"minilm": {"source": str(material.model), **model}}}))
    return path


def environment(material: Material) -> dict[str, str]:
    """A model cache of this run's own, so that nothing that an older version converted is measured."""
    return {"PENSTOCK_CACHE": str(material.folder / "cache")}


def _quantized(material: Material) -> dict[str, Any]:
    path = material.folder / "calibration.txt"
    path.write_text("".join(f"{text}\n" for text in material.calibration))
    return {"precision": "int8", "calibration": str(path)}


def _plain(
    name: str, note: str, model: dict[str, Any], material: Material, least: float, door: Door = OPENAI
) -> Entrant:
    return _entrant(name, note, model, material, least, door, material.plain(door.body))


def _repeating(name: str, model: dict[str, Any], material: Material, least: float) -> Entrant:
    cached = {**model, "cache": {"max_mb": _CACHE_MB}}
    note = f"`cache: {{max_mb: {_CACHE_MB}}}`, otherwise as without"
    return _entrant(name, note, cached, material, least, OPENAI, material.repeating(OPENAI.body))


def _entrant(
    name: str, note: str, model: dict[str, Any], material: Material, least: float, door: Door, traffic: Iterator[Stream]
) -> Entrant:
    contestant = Contestant(
        name,
        note,
        penstock.serve(settings(material, name, model)),
        lambda port: door.request(material.probes[0]),
        lambda answer: door.problem(answer, material, least),
        env=environment(material),
        versions=penstock.versions("penstock", "openvino", "onnxruntime", "tokenizers"),
        traffic=traffic,
        warm_up=WARM_UP,
        patience_s=_PATIENCE_S,
    )
    return Entrant(contestant, door, least)


def _has_bf16(cpuinfo: str) -> bool:
    return any(flag in cpuinfo.split() for flag in ("amx_bf16", "avx512_bf16", "bf16"))
