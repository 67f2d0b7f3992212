"""Rated answers for a calibration: from a file, or from the ledger."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from penstock.core.errors import BadInput, ConfigError
from penstock.routing.complexity.estimate import Estimator
from penstock.routing.complexity.feedback import Rated, rated
from penstock.routing.complexity.logged import Logged
from penstock.storage.database import Database

LARGEST = 1 << 30
"""Bytes of a file that is read."""


def of_file(path: Path, estimator: Estimator, model: str | None) -> list[Rated]:
    """CSV with a header, or JSON Lines: `prompt` (or the logged `features`) and `score` from 0 to 1. With `model`,
    only rows whose `model` is that. Raises `ConfigError` for a file and `BadInput` for a row that is none."""
    try:
        if path.stat().st_size > LARGEST:
            raise ConfigError(f"{path.name} is over 1 GiB; a hundredth of it calibrates as well")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path.name} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path.name} is no UTF-8 text") from None
    rows = _of_json(text) if text.lstrip()[:1] == "{" else enumerate(csv.DictReader(io.StringIO(text, newline="")), 2)
    wanted = ((line, row) for line, row in rows if model is None or row.get("model") == model)
    return [_rated(row, estimator, f"line {line} of {path.name}") for line, row in wanted]


def of_ledger(database: Database, route: str, model: str, since: float) -> list[Rated]:
    """Answers of a route's `model` that were rated by users, or compared with another model, and whose features were
    logged. `since`: Unix time. What another version of Penstock logged is left out."""
    if database.empty:
        return []
    from sqlalchemy import func, select

    from penstock.storage.tables import feedback, requests
    from penstock.telemetry.ledger.latest import latest, same

    query = (
        select(requests.c.features, func.avg(feedback.c.score))
        .select_from(requests.join(feedback, same()))
        .where(requests.c.route == route, requests.c.model == model.partition("@")[0])
        .where(requests.c.features != "", requests.c.at >= since, latest())
        .group_by(requests.c.number, requests.c.features)
    )
    with database.reading() as connection:
        found = connection.execute(query).all()
    return list(_known([(str(features), float(score)) for features, score in found]))


def _known(found: list[tuple[str, float]]) -> Iterator[Rated]:
    for features, score in found:
        try:
            yield Rated(Logged.read(features), min(1.0, max(0.0, score)))
        except ValueError:
            continue


def _of_json(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                yield number, msgspec.json.decode(line, type=dict[str, Any])
            except (msgspec.DecodeError, RecursionError) as error:
                raise BadInput(f"line {number} is no JSON object: {error}") from None


def _rated(row: dict[str, Any], estimator: Estimator, where: str) -> Rated:
    try:
        score = float(row["score"])
    except (KeyError, TypeError, ValueError):
        raise BadInput(f"{where} has no score; each row needs a prompt and a score from 0 to 1") from None
    if not 0 <= score <= 1:
        raise BadInput(f"{where}: a score goes from 0 (useless) to 1 (right), not {score:g}")
    if features := row.get("features"):
        try:
            return Rated(Logged.read(str(features)), score)
        except ValueError as error:
            raise BadInput(f"{where}: {error}") from None
    prompt = row.get("prompt")
    if not isinstance(prompt, str) or not prompt:
        raise BadInput(f"{where} has no prompt; each row needs a prompt and a score from 0 to 1")
    return rated(estimator, prompt, score)
