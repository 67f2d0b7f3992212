"""Pages of other sites make browsers send requests; a server on loopback takes none that change or cost anything."""

from __future__ import annotations

import pytest

from tests.protocols.doors import Doors

HOSTS = ["localhost", "127.0.0.1", "[::1]"]


@pytest.mark.parametrize("path", ["/v2/repository/models/m/unload", "/api/pull", "/v1/chat/completions", "/predict"])
@pytest.mark.parametrize("origin", ["https://evil.example", "http://localhost.evil.example:8000", "null", "file://"])
def test_foreign_pages_are_refused(path: str, origin: str) -> None:
    doors = Doors(hosts=HOSTS)
    answer = doors.ask("POST", path, b"{}", host="localhost:8000", origin=origin)
    assert answer.status == 403
    assert not doors.lifecycle.asked


@pytest.mark.parametrize("origin", ["http://localhost:8000", "http://127.0.0.1:3000", "http://[::1]:8000"])
def test_own_pages_are_not(origin: str) -> None:
    doors = Doors(hosts=HOSTS)
    assert doors.ask("POST", "/v2/repository/index", b"{}", host="localhost:8000", origin=origin).status == 200


def test_reading_is_open_to_pages_and_other_hosts_allow_all() -> None:
    assert Doors(hosts=HOSTS).ask("GET", "/v2", host="localhost", origin="https://evil.example").status == 200
    assert Doors(hosts=None).ask("POST", "/v2/repository/index", b"", origin="https://a.example").status == 200
