"""Keys in both databases: made, listed, rotated, revoked; a digest is all that is kept of a secret."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from penstock.admission.keys.key import Key
from penstock.admission.keys.ring import Ring
from penstock.admission.keys.store import KeyStore
from penstock.core.clock import StillClock
from penstock.core.errors import BadInput, Conflict, NotFound, Unauthenticated
from penstock.storage import tables
from penstock.storage.database import Database
from tests.servers import together


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path}/penstock.db" if request.param == "sqlite" else request.getfixturevalue("postgres")
    made = Database(url)
    yield made
    made.close()


@pytest.fixture
def clock() -> StillClock:
    return StillClock(1000.0)


@pytest.fixture
def store(database: Database, clock: StillClock) -> KeyStore:
    return KeyStore(database, clock)


def lets_in(store: KeyStore, text: str, now: float) -> bool:
    try:
        return bool(Ring(store.held()).principal(text.encode(), now).tenant)
    except Unauthenticated:
        return False


def test_a_key_is_kept_as_it_was_made(store: KeyStore) -> None:
    key, text = store.create(
        "acme", name="it's \u00fc", verbs=["infer"], routes=["a b", "c,d", "a b"], expires_at=2000.0
    )
    assert store.all() == [key]
    assert key.routes == ("a b", "c,d")
    (held,) = store.held()
    assert held.principal.tenant == "acme"
    assert held.principal.verbs == {"infer"}
    assert held.principal.may_use("c,d")
    assert not held.principal.may_use("c")
    assert lets_in(store, text, 1999.0)
    assert not lets_in(store, text, 2000.0)


def test_by_default_a_key_asks_and_reads_everywhere(store: KeyStore) -> None:
    key, _ = store.create("acme")
    assert key.verbs == ("infer", "read")
    assert key.principal().may_use("anything")


def test_the_secret_is_nowhere_in_the_database(store: KeyStore, database: Database, tmp_path: Path) -> None:
    key, first = store.create("acme")
    second = store.rotate(key.id, 100.0)
    with database.reading() as connection:
        kept = repr([tuple(row) for row in connection.execute(select(tables.keys))]).encode()
    database.close()
    kept += b"".join(file.read_bytes() for file in tmp_path.iterdir())
    for text in (first, second):
        assert text[-43:].encode() not in kept
    assert key.id.encode() in kept


def test_a_revoked_key_stays_revoked(store: KeyStore, clock: StillClock) -> None:
    key, text = store.create("acme")
    assert store.revoke(key.id).revoked_at == 1000.0
    clock.advance(5)
    assert store.revoke(key.id).revoked_at == 1000.0
    assert not lets_in(store, text, clock())
    with pytest.raises(Conflict, match="is revoked"):
        store.rotate(key.id)


def test_rotation_changes_the_secret_alone(store: KeyStore, clock: StillClock) -> None:
    key, first = store.create("acme", routes=["a"], name="n")
    second = store.rotate(key.id, grace_s=60.0)
    assert lets_in(store, first, clock())
    assert lets_in(store, second, clock())
    assert not lets_in(store, first, clock() + 60)
    third = store.rotate(key.id, grace_s=60.0)
    assert [lets_in(store, text, clock()) for text in (first, second, third)] == [False, True, True]
    fourth = store.rotate(key.id)
    assert [lets_in(store, text, clock()) for text in (second, third, fourth)] == [False, False, True]
    (now,) = store.all()
    assert (now.id, now.tenant, now.name, now.routes) == (key.id, "acme", "n", ("a",))


def test_an_expired_key_is_not_rotated(store: KeyStore, clock: StillClock) -> None:
    key, _ = store.create("acme", expires_at=1001.0)
    clock.advance(1)
    with pytest.raises(Conflict, match="is expired"):
        store.rotate(key.id)


def test_every_change_changes_the_mark_and_use_does_not(store: KeyStore) -> None:
    marks = [store.mark()]

    def changed(change: Callable[[], object]) -> None:
        change()
        marks.append(store.mark())
        assert marks[-1] not in marks[:-1]

    key = Key("", "", "", (), None, 0.0)

    def create() -> None:
        nonlocal key
        key, _ = store.create("acme")

    changed(create)
    changed(lambda: store.rotate(key.id))
    store.used([key.id, "unknown"])
    assert store.mark() == marks[-1]
    assert store.all()[0].used_at == 1000.0
    changed(lambda: store.revoke(key.id))


def test_rotations_at_the_same_time_leave_one_good_secret(store: KeyStore, clock: StillClock) -> None:
    key, _ = store.create("acme")
    texts = together([lambda: store.rotate(key.id)] * 6)
    assert sum(lets_in(store, text, clock()) for text in texts) == 1


@pytest.mark.parametrize("key_id", ["", "aaaaaaaaaaaa", "' OR '1'='1", "a'; DROP TABLE penstock_keys; --"])
def test_a_key_that_there_is_not(store: KeyStore, key_id: str) -> None:
    store.create("acme")
    with pytest.raises(NotFound, match="penstock keys list"):
        store.revoke(key_id)
    with pytest.raises(NotFound):
        store.rotate(key_id)
    assert [key.revoked_at for key in store.all()] == [None]


@pytest.mark.parametrize(
    ("tenant", "rest", "param"),
    [
        ("", {}, "tenant"),
        ("a b", {}, "tenant"),
        ("-a", {}, "tenant"),
        ("a\n", {}, "tenant"),
        ("x" * 65, {}, "tenant"),
        ("a'; DROP TABLE penstock_keys; --", {}, "tenant"),
        ("internal", {}, "tenant"),
        ("a", {"name": "two\nlines"}, "name"),
        ("a", {"name": "x" * 101}, "name"),
        ("a", {"verbs": []}, "verbs"),
        ("a", {"verbs": ["none"]}, "verbs"),
        ("a", {"verbs": ["infer", "Read"]}, "verbs"),
        ("a", {"routes": []}, "routes"),
        ("a", {"routes": [""]}, "routes"),
        ("a", {"routes": [" a"]}, "routes"),
        ("a", {"expires_at": 1000.0}, "expires_at"),
        ("a", {"expires_at": float("nan")}, "expires_at"),
        ("a", {"expires_at": float("inf")}, "expires_at"),
    ],
)
def test_what_no_key_can_have(tmp_path: Path, tenant: str, rest: dict[str, object], param: str) -> None:
    store = KeyStore(Database(f"sqlite:///{tmp_path}/penstock.db"), StillClock(1000.0))
    with pytest.raises(BadInput) as refused:
        store.create(tenant, **rest)  # type: ignore[arg-type]
    assert refused.value.param == param
    assert store.empty, "nothing was opened for it"


def test_ten_thousand_keys_are_read_in_a_moment(tmp_path: Path) -> None:
    import time

    from sqlalchemy import insert

    database = Database(f"sqlite:///{tmp_path}/penstock.db")
    row = {"tenant": "t", "name": "", "digest": b"d" * 32, "verbs": "infer", "created_at": 1.0, "revision": 1}
    with database.writing() as connection:
        connection.execute(insert(tables.keys), [{**row, "id": f"k{i}"} for i in range(10_000)])
    store = KeyStore(database)
    began = time.perf_counter()
    assert store.mark() == (10_000, 10_000)
    assert time.perf_counter() - began < 0.5
    assert len(Ring(store.held())) == 10_000
    database.close()


def test_a_key_shows_no_secret(store: KeyStore) -> None:
    key, text = store.create("acme")
    assert text[-43:] not in repr(key)
    assert re.search("digest|secret", repr(key)) is None
