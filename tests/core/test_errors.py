"""The error tree: drawn as it is coded, each class with its numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from penstock.core import errors
from penstock.core.errors import (
    Internal,
    MethodNotAllowed,
    PenstockError,
    SetupError,
    Unavailable,
    UntrustedFile,
    by_code,
)

GRPC = {
    "INVALID_ARGUMENT",
    "UNAUTHENTICATED",
    "PERMISSION_DENIED",
    "NOT_FOUND",
    "FAILED_PRECONDITION",
    "RESOURCE_EXHAUSTED",
    "UNAVAILABLE",
    "DEADLINE_EXCEEDED",
    "CANCELLED",
    "INTERNAL",
    "UNIMPLEMENTED",
}
LASTING = (errors.Unloaded, errors.ProviderRefused, errors.BudgetSpent)
LINE = re.compile(r"^(?P<indent>[│ ]*)[├└]── (?P<name>\w+)\s+(?:(?P<status>\d{3})\s+(?P<grpc>[A-Z_]+))?")


def tree(root: type[PenstockError] = PenstockError) -> Iterator[type[PenstockError]]:
    """Every class of the package below the root."""
    for kind in root.__subclasses__():
        if kind.__module__ == errors.__name__:
            yield kind
            yield from tree(kind)


def drawn() -> Iterator[tuple[str, str, str | None, str | None]]:
    """Name, parent, status and gRPC code of every line of the drawing."""
    assert errors.__doc__ is not None
    parents = ["PenstockError"]
    for line in errors.__doc__.splitlines():
        if (match := LINE.match(line.removeprefix("    "))) is not None:
            depth = len(match["indent"]) // 4
            parents[depth + 1 :] = [match["name"]]
            yield match["name"], parents[depth], match["status"], match["grpc"]


CLASSES = list(tree())


def test_the_drawing_is_the_tree() -> None:
    assert {(name, parent) for name, parent, _, _ in drawn()} == {
        (kind.__name__, kind.__mro__[1].__name__) for kind in CLASSES
    }


def test_the_drawing_has_the_right_numbers() -> None:
    for name, _, status, grpc in drawn():
        kind = getattr(errors, name)
        if not issubclass(kind, SetupError):
            assert (str(kind.status), kind.grpc) == (status, grpc), name


@pytest.mark.parametrize("kind", CLASSES)
def test_every_class_has_its_numbers(kind: type[PenstockError]) -> None:
    assert 400 <= kind.status <= 599
    assert kind.grpc in GRPC
    assert re.fullmatch(r"[a-z_]+", kind.code)
    heals = kind.status in (408, 429, 502, 503, 504) or kind is errors.HubUnreachable
    assert kind.may_retry == (heals and kind not in LASTING)
    assert kind.__doc__


def test_codes_are_unique_and_lead_back() -> None:
    codes = [kind.code for kind in CLASSES]
    assert len(set(codes)) == len(codes)
    assert [by_code(code) for code in codes] == CLASSES
    assert by_code("of a newer worker") is Internal


def test_a_message_a_detail_and_when_to_come_back() -> None:
    error = PenstockError("say", detail="log", retry_after_s=2.5)
    assert (str(error), error.message, error.detail, error.retry_after_s) == ("say", "say", "log", 2.5)
    assert "log" not in str(error)


@pytest.mark.parametrize("kind", [Unavailable, *Unavailable.__subclasses__()])
def test_who_is_unavailable_says_when_to_come_back(kind: type[Unavailable]) -> None:
    assert kind("later").retry_after_s == 1.0
    assert kind("later", retry_after_s=30).retry_after_s == 30


def test_a_wrong_verb_says_which_are_right() -> None:
    assert MethodNotAllowed("no", allow="GET, HEAD").allow == "GET, HEAD"


def test_an_untrusted_file_names_the_flag_to_pass() -> None:
    assert "--trust sha256:abc" in UntrustedFile.naming("a pickle", "abc").message
