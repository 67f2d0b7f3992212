"""Writes catalogue.jsonl, the products of an imaginary shop, from our own words in vocabulary.yaml.

    python examples/semantic_search/catalogue.py

The same words always give the same products: nothing is random.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent


def products(vocabulary: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every product: id, title, description, category, and price in euros."""
    for category, goods in vocabulary.items():
        for entry in goods["products"]:
            for number, (kind, said) in enumerate(zip(entry["kinds"], entry["said"], strict=True), start=1):
                title = f"{entry['thing']}, {kind}"
                yield {
                    "id": f"{slug(entry['thing'])}-{number}",
                    "title": title,
                    "description": f"{said} {pick(title, [*goods['closing'], ''])}".rstrip(),
                    "category": category,
                    "price": round(entry["price"] * pick(title, [0.85, 1, 1, 1.2, 1.3])) - 0.1,
                }


def slug(text: str) -> str:
    """A name fit for an id: "Chef's knife" → "chefs-knife"."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower().replace("'", "").replace("ó", "o")).strip("-")


def pick(key: str, choices: list[Any]) -> Any:
    """One of the choices, the same one for the same key on every machine."""
    return choices[zlib.crc32(key.encode()) % len(choices)]


def main() -> None:
    """Writes the file."""
    vocabulary = yaml.safe_load((HERE / "vocabulary.yaml").read_text("utf-8"))
    lines = [json.dumps(product, ensure_ascii=False) + "\n" for product in products(vocabulary)]
    (HERE / "catalogue.jsonl").write_text("".join(lines), "utf-8")
    print(f"{len(lines)} products in catalogue.jsonl")


if __name__ == "__main__":
    main()
