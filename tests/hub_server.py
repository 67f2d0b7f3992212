"""A Hugging Face hub on this machine: the part of its API that downloads use, over real sockets, and its misbehaviour.

Small files come from the hub itself, large ones (`large`) through a redirect to a second server, as from its CDN. Both
speak plain HTTP with ranges, and offer no Xet. Set HF_ENDPOINT to `url`.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

LARGE = (".safetensors", ".onnx", ".onnx_data", ".bin", ".joblib", ".h5", ".gguf")
_API = re.compile(r"/api/models/([^/]+/[^/]+?)(?:/revision/(.+))?")
_TREE = re.compile(r"/api/models/([^/]+/[^/]+)/tree/([^/]+)")
_FILE = re.compile(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")
_CDN = re.compile(r"/cdn/([^/]+/[^/]+)/([0-9a-f]{40})/(.+)")


class Asked(NamedTuple):
    """One request that came in. `sent`: bytes of the body that went out."""

    method: str
    path: str
    range: str
    token: str
    sent: int


@dataclass
class Trouble:
    """What goes wrong with one file, the next `times` that its bytes are asked for."""

    times: int = 1_000_000
    cut: int | None = None
    """Bytes after which the connection ends."""
    stall: int | None = None
    """Bytes after which nothing comes any more."""
    status: int | None = None
    other: bytes | None = None
    """Other bytes, as many."""


@dataclass
class Repo:
    """One repository: its commits, and the names that point at them."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    token: str | None = None
    gated: bool = False

    def commit(self, files: Mapping[str, bytes], *refs: str) -> str:
        """Adds a commit, and points names at it."""
        digest = hashlib.sha1(repr((sorted(files.items()), len(self.commits))).encode()).hexdigest()
        self.commits[digest] = dict(files)
        for ref in refs or ("main",):
            self.refs[ref] = digest
        return digest


class Hub:
    """The repositories, what goes wrong, and what was asked. Use `running`."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.troubles: dict[str, Trouble] = {}
        self.then: dict[str, Trouble] = {}
        """What goes wrong after that."""
        self.asked: list[Asked] = []
        self.sizes: dict[str, int] = {}
        """Sizes that are claimed instead of the true ones."""
        self.garbage: bytes | None = None
        """What the API answers instead of JSON that makes sense."""
        self.status: int | None = None
        self.ranges = True
        """Whether parts of files may be asked for."""
        self.silent = False
        """Whether the API takes questions and answers none."""
        self.let_go = threading.Event()
        self.stalled = threading.Event()
        self.servers = [_server(self) for _ in range(2)]

    @property
    def url(self) -> str:
        """For HF_ENDPOINT."""
        return f"http://127.0.0.1:{self.servers[0].server_port}"

    @property
    def cdn(self) -> str:
        """Where large files are: another origin."""
        return f"http://127.0.0.1:{self.servers[1].server_port}"

    def add(self, name: str, files: Mapping[str, bytes] | Path) -> Repo:
        """A repository with one commit on its main branch."""
        repo = self.repos[name] = Repo()
        repo.commit(contents(files) if isinstance(files, Path) else files)
        return repo

    def bodies(self, file: str) -> list[Asked]:
        """The requests that got bytes of a file, in order."""
        return [asked for asked in self.asked if asked.path.endswith(f"/{file}") and asked.sent]

    def stop(self) -> None:
        """Ends the listeners, and whatever stalls."""
        self.let_go.set()
        for server in self.servers:
            server.shutdown()
            server.server_close()
        self.servers = []


@contextmanager
def running() -> Iterator[Hub]:
    """A hub that listens on two free ports of 127.0.0.1."""
    hub = Hub()
    for server in hub.servers:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield hub
    finally:
        hub.stop()


def contents(folder: Path) -> dict[str, bytes]:
    """A folder's files, by name."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def _server(hub: Hub) -> ThreadingHTTPServer:
    class Bound(_Handler):
        pass

    Bound.hub = hub
    server = ThreadingHTTPServer(("127.0.0.1", 0), Bound)
    server.daemon_threads = True
    return server


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._route()

    def do_GET(self) -> None:
        self._route()

    def _route(self) -> None:
        self.sent = 0
        self.noted = False
        path = urlsplit(self.path).path
        try:
            if self.hub.silent:
                self.hub.let_go.wait(30)
            if self.hub.status is not None and path.startswith("/api/"):
                self._plain(self.hub.status, b"")
            elif found := _TREE.fullmatch(path):
                self._tree(found[1], found[2])
            elif found := _API.fullmatch(path):
                self._info(found[1], unquote(found[2] or "main"))
            elif found := _CDN.fullmatch(path):
                self._bytes(found[1], found[2], unquote(found[3]))
            elif found := _FILE.fullmatch(path):
                self._resolve(found[1], unquote(found[2]), unquote(found[3]))
            else:
                self._plain(404, b"")
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        self._note()

    def _note(self) -> None:
        if not self.noted:
            path, token = unquote(urlsplit(self.path).path), self.headers.get("Authorization", "")
            self.hub.asked.append(Asked(self.command, path, self.headers.get("Range", ""), token, self.sent))
        self.noted = True

    # --- the API

    def _info(self, name: str, revision: str) -> None:
        found = self._found(name, revision)
        if found is None:
            return
        repo, commit = found
        siblings = [self._sibling(file, data) for file, data in repo.commits[commit].items()]
        body = {"id": name, "sha": commit, "private": bool(repo.token), "gated": repo.gated, "siblings": siblings}
        self._plain(200, json.dumps(body).encode() if self.hub.garbage is None else self.hub.garbage)

    def _sibling(self, file: str, data: bytes) -> dict[str, Any]:
        size = self.hub.sizes.get(file, len(data))
        entry: dict[str, Any] = {"rfilename": file, "size": size, "blobId": _git(data)}
        if file.endswith(LARGE):
            entry["lfs"] = {"sha256": _sha256(data), "size": size, "pointerSize": 134}
        return entry

    def _tree(self, name: str, revision: str) -> None:
        found = self._found(name, revision)
        if found is None:
            return
        entries = []
        for file, data in found[0].commits[found[1]].items():
            entry = {"type": "file", "path": file, "size": len(data), "oid": _git(data)}
            if file.endswith(LARGE):
                entry["lfs"] = {"oid": _sha256(data), "size": len(data), "pointerSize": 134}
            entries.append(entry)
        self._plain(200, json.dumps(entries).encode())

    def _found(self, name: str, revision: str) -> tuple[Repo, str] | None:
        """The repository and commit; or an error has been answered, as the hub words it."""
        repo = self.hub.repos.get(name)
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        allowed = repo is not None and repo.token in (None, token)
        if repo is not None and repo.gated and not allowed:
            self._plain(403, b"", {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"})
        elif repo is None or not allowed:
            self._plain(401, b"", {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"})
        elif revision in repo.commits or revision in repo.refs:
            return repo, repo.refs.get(revision, revision)
        else:
            self._plain(404, b"", {"X-Error-Code": "RevisionNotFound", "X-Error-Message": "Invalid rev id"})
        return None

    # --- files

    def _resolve(self, name: str, revision: str, file: str) -> None:
        found = self._found(name, revision)
        if found is None:
            return
        repo, commit = found
        data = repo.commits[commit].get(file)
        headers = {"X-Repo-Commit": commit}
        if data is None:
            self._plain(404, b"", {**headers, "X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found"})
        elif file.endswith(LARGE):
            linked = {"X-Linked-Etag": f'"{_sha256(data)}"', "X-Linked-Size": str(len(data))}
            location = f"{self.hub.cdn}/cdn/{name}/{commit}/{file}"
            self._plain(302, b"", {**headers, **linked, "Location": location})
        else:
            self._body(file, data, {**headers, "ETag": f'"{_git(data)}"'})

    def _bytes(self, name: str, commit: str, file: str) -> None:
        self._body(file, self.hub.repos[name].commits[commit][file], {})

    def _body(self, file: str, data: bytes, headers: Mapping[str, str]) -> None:
        trouble = self._trouble(file)
        data = data if trouble.other is None else trouble.other
        start, end = self._range(len(data))
        if trouble.status is not None:
            self._plain(trouble.status, b"")
            return
        part = (start, end) != (0, len(data))
        self.send_response(206 if part else 200)
        ranged = {"Content-Range": f"bytes {start}-{end - 1}/{len(data)}"} if part else {}
        for key, value in {**headers, **ranged, "Content-Length": str(end - start)}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self._write(data[start:end], trouble)

    def _range(self, size: int) -> tuple[int, int]:
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked is None or not self.hub.ranges:
            return 0, size
        return int(asked[1]), min(size, int(asked[2]) + 1) if asked[2] else size

    def _trouble(self, file: str) -> Trouble:
        for trouble in (self.hub.troubles.get(file), self.hub.then.get(file)):
            if trouble is not None and trouble.times > 0 and self.command == "GET":
                trouble.times -= 1
                return trouble
        return Trouble()

    def _write(self, data: bytes, trouble: Trouble) -> None:
        end = next((n for n in (trouble.cut, trouble.stall) if n is not None), len(data))
        self.wfile.write(data[:end])
        self.wfile.flush()
        self.sent = min(end, len(data))
        if trouble.stall is not None:
            self._note()
            self.hub.stalled.set()
            self.hub.let_go.wait(30)
        if end < len(data):
            self.close_connection = True

    def _plain(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


def _git(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
