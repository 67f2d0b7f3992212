"""What a key looks like, how requests carry it, and who is let in by it."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable

import pytest

from penstock.admission.keys import ring as rings
from penstock.admission.keys import secret
from penstock.admission.keys.key import INTERNAL_ID
from penstock.admission.keys.presented import presented
from penstock.admission.keys.ring import Held, Ring
from penstock.core.errors import Unauthenticated
from penstock.core.principal import Principal


def held(made: secret.Secret, **rest: object) -> Held:
    return Held(Principal("acme", made.id), made.digest, **rest)  # type: ignore[arg-type]


def refusal(call: Callable[[], object]) -> Unauthenticated:
    with pytest.raises(Unauthenticated) as refused:
        call()
    return refused.value


# --- the key


def test_keys_are_random_and_long() -> None:
    made = [secret.new() for _ in range(200)]
    assert len({one.text for one in made}) == len({one.id for one in made}) == len({one.digest for one in made}) == 200
    assert all(re.fullmatch(r"pst-[a-z2-9]{12}-[A-Za-z0-9_-]{43}", one.text) for one in made)
    assert all(secret.parsed(one.text.encode()) == (one.id, one.digest) for one in made)
    assert len(made[0].digest) == 32


def test_no_key_that_is_made_is_the_servers_own() -> None:
    assert len(INTERNAL_ID) == secret.ID_LENGTH
    assert not set(INTERNAL_ID) <= set(secret._LETTERS)


@pytest.mark.parametrize("change", ["", "x", " ", "\n", "\0", "-"])
def test_a_key_with_more_at_its_ends_is_none(change: str) -> None:
    text = secret.new().text
    for wrong in (text + change, change + text) if change else ("", text[:-1], text[1:]):
        assert secret.parsed(wrong.encode()) is None


def test_a_person_names_a_key_by_its_id_or_the_whole_of_it() -> None:
    made = secret.new()
    for text in (made.id, f"pst-{made.id}", made.text, f" {made.text}\n"):
        assert secret.id_in(text) == made.id
    for text in ("", "pst-", made.id[:-1], made.text[:-1], made.id.upper(), "' OR 1=1 --"):
        assert secret.id_in(text) == ""


# --- as requests carry it


@pytest.mark.parametrize(
    "headers",
    [
        {b"authorization": b"Bearer k"},
        {b"authorization": b"bearer  k "},
        {b"authorization": b"BEARER k"},
        {b"x-api-key": b"k"},
        {b"api-key": b" k"},
        {b"authorization": b"Bearer k", b"x-api-key": b"k"},
        {b"authorization": b"Bearer ", b"x-api-key": b"k"},
        {b"authorization": b"Basic dTpw", b"x-api-key": b"k"},
        {b"authorization": b"", b"api-key": b"k", b"x-api-key": b""},
    ],
)
def test_the_ways_of_the_clients(headers: dict[bytes, bytes]) -> None:
    assert presented(headers) == b"k"


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({}, "asks for an API key"),
        ({b"authorization": b"Bearer "}, "as: Bearer KEY"),
        ({b"authorization": b"Basic dTpw"}, "as: Bearer KEY"),
        ({b"authorization": b"pst-a"}, "as: Bearer KEY"),
        ({b"x-api-key": b" "}, "asks for an API key"),
        ({b"authorization": b"Bearer a", b"x-api-key": b"b"}, "several"),
        ({b"api-key": b"a", b"x-api-key": b"b"}, "several"),
        ({b"cookie": b"authorization=Bearer a"}, "asks for an API key"),
    ],
)
def test_none_and_several_are_refused(headers: dict[bytes, bytes], says: str) -> None:
    assert says in refusal(lambda: presented(headers)).message


# --- the ring


def test_a_good_key_is_its_owners() -> None:
    made = secret.new()
    assert Ring([held(secret.new()), held(made)]).principal(made.text.encode(), 0.0).key == made.id


def test_wrong_unknown_and_malformed_keys_hear_the_same() -> None:
    made, other = secret.new(), secret.new()
    ring = Ring([held(made)])
    swapped = f"pst-{made.id}-{other.text[-43:]}"
    told = [refusal(lambda text=text: ring.principal(text.encode(), 0.0)) for text in (other.text, swapped, "sk-x")]
    assert len({error.message for error in told}) == 1
    assert not any(made.text[-43:] in (error.detail or "") for error in told)


def test_only_who_knows_the_secret_hears_that_it_ended() -> None:
    made, late, other = secret.new(), secret.new(), secret.new()
    ring = Ring([held(made, revoked=True), held(late, expires_at=10.0)])
    assert "revoked" in refusal(lambda: ring.principal(made.text.encode(), 0.0)).message
    guessed = f"pst-{made.id}-{other.text[-43:]}".encode()
    assert "revoked" not in refusal(lambda: ring.principal(guessed, 0.0)).message
    assert ring.principal(late.text.encode(), 9.9).key == late.id
    assert "expired" in refusal(lambda: ring.principal(late.text.encode(), 10.0)).message


def test_a_rotated_secret_has_its_time_of_grace() -> None:
    old = secret.new()
    new = secret.new(old.id)
    ring = Ring([held(new, previous=old.digest, previous_until=10.0)])
    assert ring.principal(new.text.encode(), 99.0).key == ring.principal(old.text.encode(), 9.9).key == old.id
    assert "not valid" in refusal(lambda: ring.principal(old.text.encode(), 10.0)).message


def test_the_dummy_that_unknown_ids_are_compared_with_lets_nobody_in() -> None:
    made = secret.new()
    ring = Ring([held(made)])
    refusal(lambda: ring.principal(b"pst-" + b"a" * 12 + b"-" + b"A" * 43, 0.0))
    assert rings.NOBODY.digest != secret.digest_of(b"")
    assert not rings.NOBODY.revoked, "it must be refused because its secret is wrong, as others are"


def test_known_and_unknown_ids_take_as_long() -> None:
    """Medians of many: they must not tell which ids there are. Ten times is far beyond noise."""
    keys = [secret.new() for _ in range(100)]
    ring = Ring([held(made) for made in keys])
    tail = secret.new().text[-43:]
    known = f"pst-{keys[50].id}-{tail}".encode()
    unknown = f"pst-{secret.new().id}-{tail}".encode()

    def took(text: bytes) -> float:
        began = time.perf_counter()
        refusal(lambda: ring.principal(text, 0.0))
        return time.perf_counter() - began

    pairs = [(took(known), took(unknown)) for _ in range(500)]
    ratio = statistics.median(a for a, _ in pairs) / statistics.median(b for _, b in pairs)
    assert 0.1 < ratio < 10
