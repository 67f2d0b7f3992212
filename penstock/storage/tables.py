"""The tables in their present form. Imports SQLAlchemy: import it late, and never on the event loop."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    false,
)

from penstock.core.access import masked

LONG = 500
"""Characters of a text from outside that are kept."""


class Foreign(TypeDecorator[str]):
    """Text from outside: without what PostgreSQL cannot hold (zero bytes, halves of characters), without the secrets of
    API keys, and not too long."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        """The text as it is kept."""
        return None if value is None else cleaned(value)


def cleaned(value: str) -> str:
    """A text from outside as it is kept."""
    if value.isascii() and "\0" not in value and len(value) <= LONG and "pst-" not in value:
        return value
    return masked(value)[:LONG].replace("\0", "").encode("utf-8", "replace").decode()


_Number = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData()

keys = Table(
    "penstock_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    Column("previous", LargeBinary(32)),
    Column("previous_until", Double),
    Column("verbs", Text, nullable=False),
    Column("routes", Text),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    Column("revoked_at", Double),
    Column("used_at", Double),
    Column("revision", Integer, nullable=False),
)
"""API keys. `digest`: SHA-256 of the secret; `previous`: of the one before a rotation, good until
`previous_until`; `verbs`: with commas between; `routes`: a JSON list, or NULL for all; `revision` grows with
each change but of `used_at`."""

requests = Table(
    "penstock_requests",
    metadata,
    Column("number", _Number, primary_key=True, autoincrement=True),
    Column("id", Foreign, nullable=False),
    Column("at", Double, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("name", Foreign, nullable=False),
    Column("route", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("status", Integer, nullable=False),
    Column("code", Text, nullable=False),
    Column("cache", Text, nullable=False),
    Column("degraded", Text, nullable=False),
    Column("rows", _Number, nullable=False),
    Column("prompt_tokens", _Number, nullable=False),
    Column("cached_tokens", _Number, nullable=False),
    Column("completion_tokens", _Number, nullable=False),
    Column("queue_s", Double, nullable=False),
    Column("first_s", Double, nullable=False),
    Column("total_s", Double, nullable=False),
    Column("busy_s", Double, nullable=False),
    Column("cost", Double),
    Column("premium", Double),
    Column("count", _Number, nullable=False, server_default="1"),
    Column("features", Text, nullable=False, server_default=""),
    Column("shadow", Boolean, nullable=False, server_default=false()),
    Index("penstock_requests_at", "at"),
    Index("penstock_requests_tenant_at", "tenant", "at"),
    Index("penstock_requests_id", "id"),
)
"""The ledger: one row per request, by the names of `core.ledger.Entry`. Clients may choose ids, so they repeat.
`count`: for how many requests a row stands; one without an id is a sum of several, and all its amounts are too."""

feedback = Table(
    "penstock_feedback",
    metadata,
    Column("number", _Number, primary_key=True, autoincrement=True),
    Column("request", Foreign, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("score", Double, nullable=False),
    Column("source", Text, nullable=False),
    Column("comment", Foreign, nullable=False),
    Index("penstock_feedback_request", "request", "tenant"),
    Index("penstock_feedback_at", "at"),
)
"""Scores of answers, by the names of `core.ledger.Feedback`; the newest of a request, tenant and source counts."""
