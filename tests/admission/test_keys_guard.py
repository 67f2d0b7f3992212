"""The guard over a real database: who comes in, what changes meanwhile, and what happens when that is away."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from penstock.admission.keys import follower
from penstock.admission.keys.guard import KeyGuard
from penstock.admission.keys.settings import KeySettings
from penstock.admission.keys.store import KeyStore
from penstock.core.errors import ConfigError, Forbidden, Unauthenticated
from penstock.core.principal import ANYBODY, VERBS, Verb
from penstock.storage.database import Database
from penstock.telemetry import logs
from tests.services import running_postgres

SOON = KeySettings(refresh_s=0.1)


@pytest.fixture(autouse=True)
def json_logs() -> Iterator[None]:
    logs.configure("info", "json")
    yield
    logs.configure()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[KeyStore]:
    database = Database(f"sqlite:///{tmp_path}/penstock.db")
    yield KeyStore(database)
    database.close()


def bearing(text: str) -> dict[bytes, bytes]:
    return {b"authorization": b"Bearer " + text.encode()}


def lets_in(guard: KeyGuard, text: str, verb: Verb = "infer") -> bool:
    try:
        guard.admit(bearing(text), verb)
    except (Unauthenticated, Forbidden):
        return False
    return True


async def soon(condition: Callable[[], bool], says: str) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError(says)


def guarded(guard: KeyGuard, body: Callable[[], Awaitable[None]]) -> None:
    """Runs the body between the guard's start and stop."""

    async def run() -> None:
        await guard.start()
        try:
            await body()
        finally:
            await guard.stop()

    asyncio.run(run())


# --- without keys


def test_without_keys_this_machine_may_ask_and_nothing_is_opened(store: KeyStore) -> None:
    guard = KeyGuard(store, public=False)

    async def body() -> None:
        assert not guard.asks
        for verb in VERBS:
            assert guard.admit({}, verb) is ANYBODY
            assert guard.admit(bearing("sk-whatever"), verb) is ANYBODY
        assert store.empty

    guarded(guard, body)


@pytest.mark.parametrize("nothing_kept", [True, False])
def test_without_keys_other_machines_are_not_served(store: KeyStore, nothing_kept: bool) -> None:
    guard = KeyGuard(None if nothing_kept else store, public=True)
    with pytest.raises(ConfigError, match=r"penstock keys create.*127\.0\.0\.1.*http\.open: true"):
        asyncio.run(guard.start())


def test_openness_is_chosen_knowingly_and_said(store: KeyStore, capfd: pytest.CaptureFixture[str]) -> None:
    guard = KeyGuard(store, public=True, open=True)

    async def body() -> None:
        assert guard.admit({}, "infer") is ANYBODY

    guarded(guard, body)
    assert "open_to_anybody" in capfd.readouterr().err


def test_keys_may_be_required_on_this_machine_too(store: KeyStore) -> None:
    with pytest.raises(ConfigError, match="require"):
        asyncio.run(KeyGuard(store, public=False, settings=KeySettings(required=True)).start())


def test_an_open_server_asks_for_keys_once_there_are_some(store: KeyStore) -> None:
    store.create("acme")
    guard = KeyGuard(store, public=True, open=True)

    async def body() -> None:
        with pytest.raises(Unauthenticated):
            guard.admit({}, "infer")

    guarded(guard, body)


# --- with keys


def test_a_key_allows_its_verbs_and_no_others(store: KeyStore) -> None:
    texts = {verb: store.create("acme", verbs=[verb])[1] for verb in VERBS}
    guard = KeyGuard(store, public=True)

    async def body() -> None:
        for verb, text in texts.items():
            assert guard.admit(bearing(text), verb).tenant == "acme"
            assert [other for other in VERBS if lets_in(guard, text, other)] == [verb]
            with pytest.raises(Forbidden, match="lacks the verb"):
                guard.admit(bearing(text), next(other for other in VERBS if other != verb))
        assert guard.admit({}, "none") is ANYBODY

    guarded(guard, body)


def test_changes_count_within_moments(store: KeyStore) -> None:
    guard = KeyGuard(store, public=False, settings=SOON)

    async def body() -> None:
        assert guard.admit({}, "manage") is ANYBODY
        key, first = store.create("acme", verbs=["infer"])
        await soon(lambda: guard.asks, "the first key must close the server")
        with pytest.raises(Unauthenticated):
            guard.admit({}, "infer")
        await soon(lambda: lets_in(guard, first), "a new key must count")
        second = store.rotate(key.id)
        await soon(lambda: lets_in(guard, second), "a rotated key must count")
        assert not lets_in(guard, first)
        store.revoke(key.id)
        await soon(lambda: not lets_in(guard, second), "a revoked key must end")
        with pytest.raises(Unauthenticated):
            guard.admit({}, "infer")

    guarded(guard, body)


def test_without_its_last_key_a_server_stays_closed(store: KeyStore) -> None:
    key, text = store.create("acme")
    store.revoke(key.id)
    guard = KeyGuard(store, public=True)

    async def body() -> None:
        assert guard.asks
        assert not lets_in(guard, text)

    guarded(guard, body)


def test_a_server_stays_closed_when_the_file_is_deleted(store: KeyStore, tmp_path: Path) -> None:
    _, text = store.create("acme")
    guard = KeyGuard(store, public=False, settings=SOON)

    async def body() -> None:
        await asyncio.to_thread(shutil.rmtree, tmp_path)
        await asyncio.sleep(0.5)
        with pytest.raises(Unauthenticated):
            guard.admit({}, "infer")
        assert lets_in(guard, text)

    guarded(guard, body)


def test_when_keys_were_used_is_noted(store: KeyStore) -> None:
    key, text = store.create("acme")
    unused, _ = store.create("beta")
    guard = KeyGuard(store, public=False)

    async def body() -> None:
        guard.admit(bearing(text), "infer")

    guarded(guard, body)
    used = {known.id: known.used_at for known in store.all()}
    assert used[key.id] is not None
    assert used[unused.id] is None


def test_a_guard_starts_again_after_it_stopped(store: KeyStore) -> None:
    _, text = store.create("acme")
    guard = KeyGuard(store, public=False, settings=SOON)

    async def body() -> None:
        assert lets_in(guard, text)

    guarded(guard, body)
    _, later = store.create("acme")

    async def again() -> None:
        await soon(lambda: lets_in(guard, later), "it follows no more")

    guarded(guard, again)


# --- models that ask models


def test_the_servers_own_key_is_for_what_its_models_need(store: KeyStore) -> None:
    store.create("acme")
    guard = KeyGuard(store, public=True, inner={"embed"})

    async def body() -> None:
        principal = guard.admit(bearing(guard.internal_key), "infer")
        assert principal.tenant == "internal"
        assert [name for name in ("embed", "premium") if principal.may_use(name)] == ["embed"]
        assert lets_in(guard, guard.internal_key, "read")
        for verb in ("manage", "metrics"):
            with pytest.raises(Forbidden):
                guard.admit(bearing(guard.internal_key), verb)
        other = KeyGuard(store, public=True, inner={"embed"})
        assert not lets_in(guard, other.internal_key), "it is another server's"

    guarded(guard, body)
    assert [key.tenant for key in store.all()] == ["acme"], "it is kept nowhere"


# --- logs


def test_refusals_are_said_once_a_second_and_never_with_a_key(
    store: KeyStore, capfd: pytest.CaptureFixture[str]
) -> None:
    key, text = store.create("acme")
    guard = KeyGuard(store, public=False)
    wrong = text[:-2] + ("AA" if not text.endswith("AA") else "BB")

    async def body() -> None:
        for _ in range(500):
            with pytest.raises(Unauthenticated) as refused:
                guard.admit(bearing(wrong), "infer")
            assert wrong not in repr(refused.value)
            assert refused.value.detail is None
        guard.admit(bearing(text), "infer")

    guarded(guard, body)
    said = capfd.readouterr().err
    lines = [json.loads(line) for line in said.splitlines()]
    refusals = [line for line in lines if line["event"] == "key_refused"]
    assert 1 <= len(refusals) < 10
    assert refusals[0]["key"] == f"wrong: {key.id}"
    assert text[-43:] not in said
    assert wrong[-43:] not in said
    assert guard.internal_key not in said


# --- the database is away


def test_a_database_that_cannot_be_read_at_the_start_is_said(tmp_path: Path) -> None:
    file = tmp_path / "penstock.db"
    file.write_text("no database, " * 1000)
    guard = KeyGuard(KeyStore(Database(f"sqlite:///{file}")), public=False)
    with pytest.raises(ConfigError, match="is no SQLite database"):
        asyncio.run(guard.start())


def test_keys_outlive_an_outage_of_the_database(capfd: pytest.CaptureFixture[str]) -> None:
    with running_postgres() as service:
        database = Database(service.new())
        store = KeyStore(database)
        _, text = store.create("acme")
        guard = KeyGuard(store, public=True, settings=SOON)

        async def body() -> None:
            service.stop()
            await asyncio.sleep(0.6)
            assert lets_in(guard, text)
            assert not lets_in(guard, "pst-wrong")
            service.start()
            _, later = store.create("beta")
            await soon(lambda: lets_in(guard, later), "it must follow the database again")

        guarded(guard, body)
        said = capfd.readouterr().err
        assert said.count("keys_not_read") == 1
        assert "keys_read_again" in said

        service.stop()
        with pytest.raises(ConfigError, match="cannot be read from postgresql://127"):
            asyncio.run(
                KeyGuard(KeyStore(Database(f"postgresql://penstock@127.0.0.1:{service.port}/d1")), True).start()
            )
        database.close()


@contextmanager
def held(database: Database, statement: str) -> Iterator[None]:
    """Holds the locks of a statement, as somebody's forgotten transaction does."""
    with database.engine().connect() as connection:
        connection.exec_driver_sql(statement)
        yield
        connection.rollback()


def test_locks_of_others_keep_no_change_of_keys_away(
    postgres: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(follower, "USED_EVERY_S", 0.0)
    database = Database(postgres)
    store = KeyStore(database)
    key, first = store.create("acme")
    guard = KeyGuard(store, public=True, settings=SOON)

    async def body() -> None:
        said = ""
        with held(database, "SELECT 1 FROM penstock_keys FOR UPDATE"):
            assert lets_in(guard, first)
            await asyncio.sleep(0.5)
            _, second = store.create("acme")
            await soon(lambda: lets_in(guard, second), "it waits for a row, to note that a key was used")
        await soon(lambda: store.all()[0].used_at is not None, "that it was used is noted later")
        with held(database, "LOCK TABLE penstock_keys IN ACCESS EXCLUSIVE MODE"):
            while "keys_not_read" not in said:
                await asyncio.sleep(0.05)
                said += capfd.readouterr().err
            assert lets_in(guard, first)
        store.revoke(key.id)
        await soon(lambda: not lets_in(guard, first), "it must follow again")
        said += capfd.readouterr().err
        assert said.count("keys_not_read") == said.count("keys_read_again") == 1
        assert "keys_use_not_noted" in said
        assert '"event": "bug"' not in said

    guarded(guard, body)
    database.close()


def test_admitting_costs_microseconds(store: KeyStore) -> None:
    _, text = store.create("acme")
    guard = KeyGuard(store, public=False)

    async def body() -> None:
        headers = bearing(text)
        began = time.perf_counter()
        for _ in range(2000):
            guard.admit(headers, "infer")
        assert (time.perf_counter() - began) / 2000 < 50e-6, "about 2 us on a quiet machine"

    guarded(guard, body)
