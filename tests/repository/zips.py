"""Zip archives, honest and otherwise, as bytes."""

from __future__ import annotations

import io
import stat
import zipfile


def archive(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """An archive with these members, their names taken as they are."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as out:
        for name, data in members.items():
            out.writestr(zipfile.ZipInfo(name), data, compression)
    return buffer.getvalue()


def with_link(name: str, target: str) -> bytes:
    """An archive with a symbolic link in it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as out:
        info = zipfile.ZipInfo(name)
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        out.writestr(info, target)
    return buffer.getvalue()


def bomb(size: int) -> bytes:
    """An archive of one member of that many zeros."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as out, out.open("schema.json", "w") as member:
        for _ in range(size // 2**20):
            member.write(bytes(2**20))
    return buffer.getvalue()
