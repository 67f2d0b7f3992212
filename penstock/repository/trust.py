"""Whose code may run: digests of files that somebody vouched for."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from penstock.core.errors import ConfigError, ModelFileError, UntrustedFile
from penstock.repository.locks import locked

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


def digest_of(path: Path) -> str:
    """A file's sha256, in hexadecimal, read in pieces. Raises `ModelFileError` when it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelFileError(f"{path.name} cannot be read: {error.strerror}") from error


def parse_digests(texts: Iterable[str]) -> frozenset[str]:
    """Hexadecimal digests from "sha256:..." as flags and YAML give them. Raises `ConfigError`."""
    return frozenset(_parse(text) for text in texts)


def _parse(text: str) -> str:
    match = _DIGEST.fullmatch(text.strip().lower())
    if match is None:
        raise ConfigError(f"trust takes sha256: and 64 hexadecimal digits, not {text[:80]!r}")
    return match.group(1)


class Vouched(msgspec.Struct, frozen=True):
    """Why a digest is trusted: the model's name, and when it was added."""

    name: str = ""
    added_at: str = ""


class _Store(msgspec.Struct):
    trusted: dict[str, Vouched] = {}


def default_path() -> Path:
    """$PENSTOCK_HOME/trust.json, else penstock/trust.json in the person's configuration folder."""
    home = os.environ.get("PENSTOCK_HOME")
    if home:
        return Path(home) / "trust.json"
    config = os.environ.get("XDG_CONFIG_HOME")
    return (Path(config) if config else Path.home() / ".config") / "penstock" / "trust.json"


class TrustStore:
    """The digests that one person trusts, in a file that only that person may write."""

    def __init__(self, path: Path | None = None):
        self.path = default_path() if path is None else path

    def digests(self) -> frozenset[str]:
        """All trusted digests, in hexadecimal. Raises `ConfigError` when the file is damaged or open to others."""
        return frozenset(self._read().trusted)

    def entries(self) -> dict[str, Vouched]:
        """Why each digest is trusted, oldest first. Raises `ConfigError` as `digests` does."""
        return dict(sorted(self._read().trusted.items(), key=lambda item: item[1].added_at))

    def add(self, digest: str, name: str = "") -> None:
        """Trusts a digest (hexadecimal) from now on; safe beside other processes that add theirs."""
        _parse(f"sha256:{digest}")
        with self._changing() as store:
            store.trusted[digest] = Vouched(name, datetime.now(UTC).isoformat(timespec="seconds"))

    def remove(self, digest: str) -> bool:
        """Trusts a digest no longer; False when it was not trusted."""
        with self._changing() as store:
            return store.trusted.pop(digest, None) is not None

    @contextlib.contextmanager
    def _changing(self) -> Iterator[_Store]:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with locked(self.path.with_suffix(".lock")):
            store = self._read()
            yield store
            self._write(store)

    def _read(self) -> _Store:
        try:
            with self.path.open("rb") as file:
                if os.fstat(file.fileno()).st_mode & 0o022:
                    raise ConfigError("the trust store can be written by others; run chmod 600 on trust.json")
                return msgspec.json.decode(file.read(), type=_Store)
        except FileNotFoundError:
            return _Store()
        except OSError as error:
            raise ConfigError(f"the trust store cannot be read: {error.strerror}") from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ConfigError(f"the trust store is damaged ({error}); mend or remove trust.json") from error

    def _write(self, store: _Store) -> None:
        data = msgspec.json.format(msgspec.json.encode(store), indent=2)
        # mkstemp makes the file readable and writable by its owner alone.
        descriptor, temporary = tempfile.mkstemp(dir=self.path.parent, prefix=".trust-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            os.replace(temporary, self.path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise


class Trusted:
    """Whose digests may run code: those that were given, then those of the person's store, read only if need be."""

    def __init__(self, given: Iterable[str], store: TrustStore | None = None):
        self._given = parse_digests(given)
        self._store = store or TrustStore()

    def __contains__(self, digest: str) -> bool:
        return digest in self._given or digest in self._store.digests()

    def vouching(self, path: Path, title: str) -> str:
        """The digest of a file that may run code. Raises `UntrustedFile` unless somebody vouched for it."""
        digest = digest_of(path)
        if digest not in self:
            raise UntrustedFile.naming(f"{path.name} is {title}: it", digest)
        return digest
