"""API keys in the database: made, listed, rotated, revoked. For threads and commands."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from penstock.admission.keys import secret
from penstock.admission.keys.key import DEFAULT_VERBS, Key, check, wrong
from penstock.admission.keys.ring import Held
from penstock.core.errors import Conflict, NotFound
from penstock.storage.database import Database

if TYPE_CHECKING:
    from sqlalchemy import Connection

Mark = tuple[int, int]
"""Changes whenever a key is made, rotated or revoked: how many there are, and the sum of their revisions."""


class KeyStore:
    """The keys of one database. `now`: Unix time. All raise as `Database.engine`."""

    def __init__(self, database: Database, now: Callable[[], float] = time.time):
        self._database = database
        self._now = now

    @property
    def shown(self) -> str:
        """Where the keys are kept, for people."""
        return self._database.shown

    @property
    def empty(self) -> bool:
        """Whether there is surely no key, without a look into the database."""
        return self._database.empty

    def create(
        self,
        tenant: str,
        *,
        name: str = "",
        verbs: Collection[str] = DEFAULT_VERBS,
        routes: Collection[str] | None = None,
        expires_at: float | None = None,
    ) -> tuple[Key, str]:
        """A new key, and its text, which is kept nowhere. Raises `BadInput`."""
        from sqlalchemy import insert

        from penstock.storage.tables import keys

        now = self._now()
        check(tenant, name, verbs, routes)
        if expires_at is not None and not now < expires_at < float("inf"):
            raise wrong("expires_at", "a key must expire in the future")
        made = secret.new()
        names = None if routes is None else tuple(dict.fromkeys(routes))
        key = Key(made.id, tenant, name, tuple(dict.fromkeys(verbs)), names, now, expires_at)
        row = {**_row(key), "digest": made.digest, "revision": 1}
        with self._database.writing() as connection:
            connection.execute(insert(keys).values(row))
        return key, made.text

    def all(self) -> list[Key]:
        """Every key there ever was, the oldest first."""
        from sqlalchemy import select

        from penstock.storage.tables import keys

        with self._database.reading() as connection:
            return [_key(row) for row in connection.execute(select(keys).order_by(keys.c.created_at, keys.c.id))]

    def revoke(self, key_id: str) -> Key:
        """Ends a key for good; one that was revoked before stays so. Raises `NotFound`."""
        from sqlalchemy import update

        from penstock.storage.tables import keys

        with self._database.writing() as connection:
            ended = update(keys).where(keys.c.id == key_id, keys.c.revoked_at.is_(None))
            connection.execute(ended.values(revoked_at=self._now(), revision=keys.c.revision + 1))
            return _found(connection, key_id)

    def rotate(self, key_id: str, grace_s: float = 0.0) -> str:
        """A new secret for a key, which keeps its id; for `grace_s` seconds the one before is good too, and any before
        that is not. Raises `NotFound`, and `Conflict` for a key that is no longer good."""
        from sqlalchemy import update

        from penstock.storage.tables import keys

        now, made = self._now(), secret.new(key_id)
        with self._database.writing() as connection:
            state = _found(connection, key_id).state(now)
            if state != "active":
                raise Conflict(f"the key {key_id} is {state}; make a new one with penstock keys create")
            connection.execute(
                update(keys)
                .where(keys.c.id == key_id)
                .values(
                    digest=made.digest,
                    previous=keys.c.digest if grace_s > 0 else None,
                    previous_until=now + grace_s if grace_s > 0 else None,
                    revision=keys.c.revision + 1,
                )
            )
        return made.text

    # --- for the guard, which must not wait for locks that others hold

    def mark(self) -> Mark:
        """What changes with every change."""
        from sqlalchemy import func, select

        from penstock.storage.tables import keys

        with self._database.reading(hurries=True) as connection:
            count, total = connection.execute(select(func.count(), func.sum(keys.c.revision)).select_from(keys)).one()
            return int(count), int(total or 0)

    def held(self) -> list[Held]:
        """Every key as it is checked."""
        from sqlalchemy import select

        from penstock.storage.tables import keys

        with self._database.reading(hurries=True) as connection:
            return [_held(row) for row in connection.execute(select(keys))]

    def used(self, key_ids: Iterable[str]) -> None:
        """Notes that keys were used just now."""
        from sqlalchemy import update

        from penstock.storage.tables import keys

        with self._database.writing(hurries=True) as connection:
            connection.execute(update(keys).where(keys.c.id.in_(list(key_ids))).values(used_at=self._now()))


def _found(connection: Connection, key_id: str) -> Key:
    from sqlalchemy import select

    from penstock.storage.tables import keys

    row = connection.execute(select(keys).where(keys.c.id == key_id)).one_or_none()
    if row is None:
        raise NotFound(f"there is no key {key_id}; penstock keys list shows those there are")
    return _key(row)


def _row(key: Key) -> dict[str, Any]:
    """A key as the table has it."""
    row: dict[str, Any] = msgspec.structs.asdict(key)
    routes = None if key.routes is None else msgspec.json.encode(key.routes).decode()
    return {**row, "verbs": ",".join(key.verbs), "routes": routes}


def _key(row: Any) -> Key:
    fields = {name: getattr(row, name) for name in Key.__struct_fields__}
    routes = None if row.routes is None else msgspec.json.decode(row.routes, type=tuple[str, ...])
    return Key(**{**fields, "verbs": tuple(row.verbs.split(",")), "routes": routes})


def _held(row: Any) -> Held:
    previous = None if row.previous is None else bytes(row.previous)
    until = row.previous_until or 0.0
    principal = _key(row).principal()
    return Held(principal, bytes(row.digest), previous, until, row.expires_at, row.revoked_at is not None)
