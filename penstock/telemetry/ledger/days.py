"""Spans of time in SQL, the same in SQLite and PostgreSQL. Imports SQLAlchemy."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, Double, cast, func

DAY_S = 86_400


def floored(connection: Connection, at: ColumnElement[float], step: int) -> ColumnElement[Any]:
    """The beginning of the span of `step` seconds (UTC) that a moment lies in."""
    steps = at / step
    # SQLite may lack floor(), and casts towards zero; PostgreSQL casts to the nearest.
    whole = func.floor(steps) if connection.dialect.name == "postgresql" else cast(steps, BigInteger)
    return cast(whole * step, Double)
