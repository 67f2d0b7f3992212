"""Several language models in one configuration share the memory that is free."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.cli import demo
from penstock.config import languages
from penstock.config.models import specs_of
from penstock.config.schema import ModelSettings
from penstock.core.errors import ConfigError
from penstock.runtimes.generation import memory

pytest.importorskip("openvino_genai")
TINY = str(Path(demo.__file__).parent / "tiny.gguf")


def tiny(**options: int) -> ModelSettings:
    return ModelSettings(source=TINY, options=options)


def test_what_the_first_takes_the_second_cannot_have(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    [alone] = specs_of({"a": tiny()}, tmp_path)
    each = languages.promised(alone, 1)
    assert each > 0
    monkeypatch.setattr(memory, "available", lambda device="cpu": int(each * 1.5))
    with pytest.raises(ConfigError, match="b does not fit into memory"):
        list(specs_of({"a": tiny(context=2048, sequences=16), "b": tiny(context=2048, sequences=16)}, tmp_path))
    monkeypatch.setattr(memory, "available", lambda device="cpu": int(each * 3))
    both = list(specs_of({"a": tiny(context=2048, sequences=16), "b": tiny(context=2048, sequences=16)}, tmp_path))
    assert [spec.options["context"] for spec in both] == [2048, 2048]
