"""What was learned, as it is kept: one JSON file."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from penstock.core.errors import ConfigError
from penstock.routing.complexity.features import NAMES, VERSION
from penstock.routing.complexity.language import CLASSES, LENGTHS

SHIPPED = Path(__file__).with_name("model.json")
LARGEST = 4 << 20
"""Bytes of a file that is read."""


class Linear(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The log-odds that asking the strong model would help: `intercept` + `weights` · (features - `mean`) / `scale`."""

    intercept: float
    weights: tuple[float, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    bounds: tuple[tuple[float, float], ...]
    """Least and greatest value of each feature that was seen."""


class Known(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`table`, `limits`: see `Language`."""

    table: str
    limits: tuple[float, ...]


class Vectors(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What embeddings add: odds = `intercept` + `text` × the text's log-odds + `weights` · (vector - `mean`).

    `model`: whose vectors they are. `centres`: unit vectors of what is known, signed bytes in base64, `count` of them;
    `near`: the least cosine to one of them that known questions have. `quantiles`: as of the artifact.
    """

    model: str
    intercept: float
    text: float
    mean: tuple[float, ...]
    weights: tuple[float, ...]
    count: int
    centres: str
    near: float
    quantiles: tuple[float, ...]


class Artifact(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that the estimator needs.

    `quantiles`: of the estimates for questions that were not trained on, 0 %, 1 %, ... 100 %; `unsure`: the share of
    those that the gate sent on. `accepted`: reasons of the gate that no longer count, since one's own feedback has
    enough of such texts. `about`: where it comes from and how good it is, for people.
    """

    version: int
    features: tuple[str, ...]
    text: Linear
    known: Known
    quantiles: tuple[float, ...]
    unsure: float
    vectors: Vectors | None = None
    accepted: tuple[str, ...] = ()
    about: dict[str, Any] = {}


def read(path: Path) -> Artifact:
    """The artifact in a file. Raises `ConfigError` when there is none, or when it is of another version."""
    try:
        data = path.read_bytes() if path.stat().st_size <= LARGEST else b""
        artifact = msgspec.json.decode(data, type=Artifact)
    except OSError as error:
        raise ConfigError(f"the complexity model {path.name} cannot be read: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path.name} is no complexity model: {error}") from None
    if reason := _unfit(artifact):
        raise ConfigError(f"{path.name} is no complexity model of this version: {reason}; fit it again")
    return artifact


def _unfit(artifact: Artifact) -> str:
    """What the estimator could not work with; "" where all is right."""
    if artifact.version != VERSION or artifact.features != NAMES:
        return "it knows other features"
    text, size = artifact.text, len(NAMES)
    if any(len(each) != size for each in (text.weights, text.mean, text.scale, text.bounds)) or min(text.scale) <= 0:
        return "its numbers are not as many as its features"
    if len(artifact.quantiles) != 101 or not 0 <= artifact.unsure < 1:
        return "its calibration is not whole"
    if len(artifact.known.limits) != len(LENGTHS) or _bytes(artifact.known.table) != CLASSES**3:
        return "its language is not whole"
    vectors = artifact.vectors
    return "" if vectors is None or _whole(vectors) else "its embeddings are not whole"


def _whole(vectors: Vectors) -> bool:
    size = len(vectors.weights)
    table = vectors.count * size
    return len(vectors.mean) == size > 0 and _bytes(vectors.centres) == table > 0 and len(vectors.quantiles) == 101


def _bytes(text: str) -> int:
    """How many bytes a text in base64 stands for; -1 where it is none."""
    try:
        return len(base64.b64decode(text, validate=True))
    except ValueError:
        return -1


def write(artifact: Artifact, path: Path) -> None:
    """Writes the file, whole or not at all."""
    made = path.with_name(path.name + ".new")
    made.write_bytes(msgspec.json.format(msgspec.json.encode(artifact), indent=0) + b"\n")
    made.replace(path)


def quantiles(easy: NDArray[np.floating[Any]]) -> tuple[float, ...]:
    """0 %, 1 %, ... 100 %; rounded down, so that an estimate that is one of them reaches it."""
    found = np.floor(np.percentile(easy, np.arange(101)) * 1e5) / 1e5
    return tuple(round(float(value), 5) for value in found)


def packed(centres: NDArray[np.floating[Any]]) -> str:
    """Unit vectors as bytes."""
    return base64.b64encode(np.rint(centres * 127).astype(np.int8).tobytes()).decode()


def unpacked(vectors: Vectors) -> NDArray[np.float32]:
    """Unit vectors of bytes."""
    found = np.frombuffer(base64.b64decode(vectors.centres), dtype=np.int8).astype(np.float32)
    table = found.reshape(vectors.count, -1)
    return np.asarray(table / np.linalg.norm(table, axis=1, keepdims=True))
