"""What a command says of a server that is slow, absent, or none of ours: real sockets."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from penstock.cli.chat import server
from penstock.cli.main import main

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
COMMANDS = (("run", "tiny", "hi"), ("ps",), ("show", "tiny"), ("stop", "tiny"))


def silent(connection: socket.socket) -> None:
    """Takes the request, and says nothing."""


def stalled(connection: socket.socket) -> None:
    """Begins an answer that does not go on."""
    connection.sendall(HEAD + b'Content-Length: 100\r\n\r\n{"models"')


def stranger(connection: socket.socket) -> None:
    """Another kind of server."""
    connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\nConnection: close\r\n\r\nnot found")


def hanging_up(connection: socket.socket) -> None:
    """Ends the connection instead of answering."""
    connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def listening(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """The URL of a server that does this to every connection after its first bytes, and holds it."""
    held: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            held.append(connection)
            connection.recv(65536)
            answer(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in held:
                connection.close()


def said(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """A command's exit status and what it wrote to standard error."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return int(ended.value.code or 0), capsys.readouterr().err


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(server, "ANSWER_S", 0.3)
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path))
    monkeypatch.delenv("PENSTOCK_URL", raising=False)


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda arguments: arguments[0])
@pytest.mark.parametrize("slow", [silent, stalled])
def test_a_slow_server_is_there(
    arguments: tuple[str, ...], slow: Callable[[socket.socket], None], capsys: pytest.CaptureFixture[str]
) -> None:
    with listening(slow) as url:
        status, error = said((*arguments, "--url", url), capsys)
    assert status == 1
    assert error == f"penstock: {url} is there, but does not answer in time: it is busy, or it hangs\n"


def test_beside_a_slow_server_nothing_is_started(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with listening(silent) as url:
        monkeypatch.setattr("penstock.cli.chat.find.DEFAULT_URL", url)
        assert "is there, but does not answer" in said(("run", "tiny", "hi"), capsys)[1]


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda arguments: arguments[0])
def test_another_server_is_said_to_be_one(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    for other, says in ((stranger, "is no Penstock server"), (hanging_up, "hung up without an answer")):
        with listening(other) as url:
            status, error = said((*arguments, "--url", url), capsys)
        assert (status, url in error, says in error) == (1, True, True), error


@pytest.mark.parametrize("command", ["run", "show"])
def test_another_server_at_the_usual_place_is_passed_by(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with listening(stranger) as url:
        for place in ("penstock.cli.chat.find.DEFAULT_URL", "penstock.cli.show.DEFAULT_URL"):
            monkeypatch.setattr(place, url)
        more = ("hi",) if command == "run" else ()
        status, error = said((command, "nowhere", *more), capsys)
    assert (status, "pulled model" in error) == (2, True)


def test_an_absent_server_is_said_to_be_absent(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in COMMANDS:
        status, error = said((*arguments, "--url", "http://127.0.0.1:9"), capsys)
        assert (status, "nothing answers at http://127.0.0.1:9: start it with" in error) == (1, True)


@pytest.mark.parametrize("url", ["localhost:8000", "http://", "http:///x", "ftp://a"])
def test_what_is_no_url(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, error = said(("ps", "--url", url), capsys)
    assert (status, "is no URL such as" in error) == (2, True)
