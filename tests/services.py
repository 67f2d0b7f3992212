"""Redis and PostgreSQL from Debian's packages: real servers on free ports, in folders that go away with them.

The fixtures `redis_server` and `postgres` share one server each for a whole run; a test that stops its server starts
one of its own with `running_redis()` or `running_postgres()`.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

START_S = 60.0
UNPRIVILEGED = ("postgres", "nobody")
"""PostgreSQL does not run as root."""


class Service:
    """One server process on a port of this machine, that can be stopped and started again."""

    at_once = signal.SIGKILL

    def __init__(self, folder: Path, user: str | None = None):
        self.folder = folder
        self.port = free_port()
        self._user = user
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def command(self) -> Sequence[str]:
        raise NotImplementedError

    def answers(self) -> bool:
        """Whether it takes requests."""
        raise NotImplementedError

    def start(self) -> None:
        """Starts it on its port, with what it knew, and waits until it answers."""
        with (self.folder / "log").open("ab") as log:
            self._process = self.spawn(self.command, stdout=log, stderr=log)
        until = time.monotonic() + START_S
        while not self.answers():
            said = (self.folder / "log").read_text(errors="replace")[-2000:]
            assert self._process.poll() is None, f"{self.command[0]} ended: {said}"
            assert time.monotonic() < until, f"{self.command[0]} does not answer: {said}"
            time.sleep(0.05)

    def stop(self) -> None:
        """Ends it at once: connections break."""
        if self._process is not None:
            self._process.send_signal(self.at_once)
            self._process.wait(30)
        self._process = None

    def spawn(self, command: Sequence[str], **options: object) -> subprocess.Popen[bytes]:
        """A process of the service's user, in its folder."""
        account = pwd.getpwnam(self._user) if self._user else None
        who = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []} if account else {}
        return subprocess.Popen(command, cwd=self.folder, stdin=subprocess.DEVNULL, **who, **options)  # type: ignore[call-overload, no-any-return]


class Redis(Service):
    """A redis-server that keeps nothing on disk."""

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def command(self) -> Sequence[str]:
        program = shutil.which("redis-server") or shutil.which("valkey-server") or ""
        return (program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")

    def answers(self) -> bool:
        return self.tell("PING") == b"+PONG\r\n"

    def tell(self, *words: str) -> bytes:
        """One command, and the beginning of what it answers; nothing where nobody does."""
        parts = [f"*{len(words)}\r\n", *(f"${len(word.encode())}\r\n{word}\r\n" for word in words)]
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 5) as sock:
            sock.sendall("".join(parts).encode())
            return sock.recv(65536)
        return b""

    def clear(self) -> None:
        """Forgets everything."""
        assert self.tell("FLUSHALL") == b"+OK\r\n"


class Postgres(Service):
    """A PostgreSQL cluster without passwords, whose writes need not survive the machine."""

    at_once = signal.SIGQUIT

    def __init__(self, folder: Path, programs: Path, user: str | None):
        super().__init__(folder, user)
        self._programs = programs
        self._number = count(1)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def command(self) -> Sequence[str]:
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self.folder,
            "fsync": "off",
            "shared_buffers": "16MB",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return (str(self._programs / "postgres"), "-D", str(self.data), *options)

    def answers(self) -> bool:
        asked = [self._programs / "pg_isready", "-h", "127.0.0.1", "-p", str(self.port), "-q"]
        return subprocess.run(asked, check=False).returncode == 0

    def make(self) -> None:
        """Makes the cluster's files."""
        made = [str(self._programs / "initdb"), "-D", str(self.data), "-U", "penstock", "-A", "trust", "--no-sync"]
        process = self.spawn([*made, "-E", "UTF8", "--locale", "C"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said, _ = process.communicate(timeout=START_S)
        assert process.returncode == 0, said.decode(errors="replace")

    def new(self) -> str:
        """The URL of a new, empty database."""
        import psycopg

        name = f"d{next(self._number)}"
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self._url(name)

    def _url(self, name: str) -> str:
        return f"postgresql://penstock@127.0.0.1:{self.port}/{name}"


@contextmanager
def running_redis() -> Iterator[Redis]:
    """A redis-server of one's own; the test is skipped where the package is missing."""
    if not (shutil.which("redis-server") or shutil.which("valkey-server")):
        pytest.skip("redis-server is not installed (Debian's package redis-server)")
    with _folder(None) as folder:
        service = Redis(folder)
        with _running(service, service.start):
            yield service


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """A PostgreSQL of one's own; the test is skipped where the package is missing."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("PostgreSQL is not installed (Debian's package postgresql)")
    pytest.importorskip("psycopg", reason="the extra postgres is not installed")
    user = _somebody() if os.geteuid() == 0 else None
    with _folder(user) as folder:
        service = Postgres(folder, found[-1].parent, user)
        service.make()
        with _running(service, service.start):
            yield service


@pytest.fixture(scope="session")
def shared_redis() -> Iterator[Redis]:
    """The run's redis-server."""
    with running_redis() as service:
        yield service


@pytest.fixture
def redis_server(shared_redis: Redis) -> Redis:
    """The run's redis-server, which knows nothing when the test begins. Leave it running."""
    shared_redis.clear()
    return shared_redis


@pytest.fixture(scope="session")
def shared_postgres() -> Iterator[Postgres]:
    """The run's PostgreSQL."""
    with running_postgres() as service:
        yield service


@pytest.fixture
def postgres(shared_postgres: Postgres) -> str:
    """The URL of a new, empty database."""
    return shared_postgres.new()


@contextmanager
def _running(service: Service, start: Callable[[], None]) -> Iterator[None]:
    try:
        start()
        yield
    finally:
        service.stop()


@contextmanager
def _folder(user: str | None) -> Iterator[Path]:
    """A folder that belongs to the user (None: to oneself)."""
    with tempfile.TemporaryDirectory(prefix="penstock-service-") as name:
        if user is not None:
            shutil.chown(name, user)
        yield Path(name)


def _somebody() -> str:
    """An account of this machine that is not root's."""
    for name in UNPRIVILEGED:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    pytest.skip("PostgreSQL does not run as root, and there is no other account")


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port
