"""hf:org/name[@revision][/file], as people type it."""

from __future__ import annotations

import pytest

from penstock.core.errors import ModelFileError
from penstock.repository.hub.names import HubName, parse
from penstock.repository.sources import name_of

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("hf:org/name", HubName("org/name")),
        ("HF://org/name", HubName("org/name")),
        ("hf:sentence-transformers/all-MiniLM-L6-v2", HubName("sentence-transformers/all-MiniLM-L6-v2")),
        ("hf:org/name@v1.0", HubName("org/name", "v1.0")),
        (f"hf:org/name@{COMMIT}", HubName("org/name", COMMIT)),
        ("hf:org/name@refs/pr/3", HubName("org/name", "refs/pr/3")),
        ("hf:org/name@refs%2Fpr%2F3/model.onnx", HubName("org/name", "refs/pr/3", "model.onnx")),
        ("hf:org/name/model.joblib", HubName("org/name", None, "model.joblib")),
        ("hf:org/name@main/onnx/model_O4.onnx", HubName("org/name", "main", "onnx/model_O4.onnx")),
        ("hf:org/name/a@b.onnx", HubName("org/name", None, "a@b.onnx")),
    ],
)
def test_names(source: str, expected: HubName) -> None:
    assert parse(source) == expected


@pytest.mark.parametrize(
    "source",
    [
        "hf:", "hf:name", "hf:/name", "hf:org/", "hf:org/name/", "hf:org/name@", "hf:org/name@/x", "hf:org/name@main/",
        "hf:../name", "hf:org/..", "hf:org/na..me", "hf:org/na--me", "hf:org/name.git", "hf:org/na me", "hf:örg/name",
        "hf:org/name/../../etc/passwd", "hf:org/name/a//b", "hf:org/name/./a", "hf:org/name/a\\b", "hf:org/name/a\nb",
        "hf:org/name@..", "hf:org/name@a b", "hf:org/name@-x", "hf:org/name@%2e%2e", "hf:org/name@a%00b",
        "hf:" + "a" * 200 + "/name", "hf:org/name/" + "a" * 600,
    ],
)  # fmt: skip
def test_what_cannot_be_a_name(source: str) -> None:
    with pytest.raises(ModelFileError, match="hf:org/name@revision"):
        parse(source)


def test_the_model_is_named_after_its_repository() -> None:
    assert name_of("hf:sentence-transformers/all-MiniLM-L6-v2@main") == "all-MiniLM-L6-v2"
    assert name_of("hf:org/some_model.v2/onnx/model.onnx") == "some_model.v2"
