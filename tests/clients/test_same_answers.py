"""MiniLM as it is served gives the embeddings of transformers and PyTorch, in fp32 and, nearly, in int8."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from penstock.conversion.quality import overlap
from penstock.core.tensors import Array
from tests import servers
from tests.clients.conftest import minilm

CATALOGUE = Path(__file__).parents[2] / "examples/semantic_search/catalogue.jsonl"
WORDS = {
    "latin": "the river brings water down to a mill whose wheel turns the heavy stone all day and every night",
    "accents": "l'été à Besançon où les élèves français goûtent des crêpes brûlées; größer, žluťoučký kůň, ığdır",
    "cyrillic": "река несёт воду к мельнице и колесо медленно крутит тяжёлый камень весь день и всю ночь",
    "greek": "το ποτάμι φέρνει νερό στον μύλο και ο τροχός γυρίζει αργά τη βαριά πέτρα όλη μέρα",
    "arabic": "النهر يحمل الماء إلى الطاحونة والعجلة تدير الحجر الثقيل طوال اليوم وكل ليلة",
    "hebrew": "הנהר מביא מים אל הטחנה והגלגל מסובב את האבן הכבדה כל היום וכל הלילה",
    "devanagari": "नदी चक्की तक पानी लाती है और पहिया दिन रात भारी पत्थर घुमाता है",
    "thai": "แม่น้ำพาน้ำมาสู่โรงสี และ วงล้อ หมุนหิน หนัก ทั้งวัน ทั้งคืน",
    "chinese": "河 水 流 到 磨 坊 轮 子 日 夜 转 动 沉 重 的 石 头",
    "japanese": "川 の 水 が 水車 を 回し 重い 石 が 昼も 夜も 回る",
    "korean": "강물이 방앗간으로 흘러 바퀴가 무거운 돌을 밤낮으로 돌린다",
    "signs": "🙂 🚲 👩‍🔬 €9.99 50 % #1 a@b.org C++ x=y**2 \t {json: [1,2]} … ¿qué? 2026-11-21 \u200b \u0301",
}


def texts(count: int) -> list[str]:
    """From one to some 250 tokens, of one script or of two."""
    draw = random.Random(3)
    made = []
    for index in range(count):
        scripts = draw.sample(list(WORDS), 1 + index % 2)
        words = [word for script in scripts for word in WORDS[script].split(" ")]
        made.append(" ".join(draw.choices(words, k=1 + int(45 * draw.random() ** 2))))
    return made


def by_torch(texts: list[str]) -> Array:
    """Mean pooling over the tokens, then length one: what the model card of MiniLM says."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(minilm()))
    model = AutoModel.from_pretrained(str(minilm())).eval()
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    vectors = np.empty((len(texts), model.config.hidden_size), np.float32)
    with torch.inference_mode():
        for at in range(0, len(order), 16):
            rows = order[at : at + 16]
            inputs = tokenizer([texts[row] for row in rows], return_tensors="pt", padding=True)
            assert inputs["input_ids"].shape[1] <= 256, "longer than what is served"
            mask = inputs["attention_mask"].unsqueeze(-1).float()
            state = (model(**inputs).last_hidden_state * mask).sum(1) / mask.sum(1)
            vectors[rows] = torch.nn.functional.normalize(state, dim=1).numpy()
    return vectors


@pytest.fixture(scope="module")
def pair(minilm_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    """MiniLM twice: as it is, and in int8, calibrated on half of the shop's products."""
    half = tmp_path_factory.mktemp("calibration") / "products.txt"
    half.write_text("\n".join(products()[::2]))
    quantized = {"source": str(minilm()), "precision": "int8", "calibration": str(half)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PENSTOCK_CACHE", str(minilm_cache))
        with servers.configured({"minilm": minilm(), "minilm8": quantized}, ready_s=110) as server:
            yield server


def products() -> list[str]:
    lines = CATALOGUE.read_text().splitlines()
    return [f"{item['title']}. {item['description']}" for item in map(json.loads, lines)]


def served(server: servers.Server, model: str, texts: list[str]) -> Array:
    """Embeddings over HTTP, some in large requests and some in small ones."""
    cuts = [0, 1, 2, 5, 40, len(texts) // 2, len(texts)]
    found = [
        item["embedding"]
        for start, stop in pairwise(cuts)
        for item in server.ask("POST", "/v1/embeddings", {"model": model, "input": texts[start:stop]}).json()["data"]
    ]
    return np.array(found, np.float32)


def test_500_texts_of_many_lengths_and_scripts_are_embedded_as_by_torch(pair: servers.Server) -> None:
    asked = texts(500)
    cosines = (served(pair, "minilm", asked) * by_torch(asked)).sum(axis=1)
    assert len(cosines) == 500
    assert cosines.min() >= 0.9999


def test_int8_stays_near_and_finds_the_same_products(pair: servers.Server) -> None:
    asked = products()
    exact, small = by_torch(asked), served(pair, "minilm8", asked)
    assert np.median((exact * small).sum(axis=1)) >= 0.99
    assert overlap(exact, small) >= 0.9
