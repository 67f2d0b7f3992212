"""How vocabularies write bytes as characters: byte-level BPE (GPT-2's way), and SentencePiece."""

from __future__ import annotations

import re
from functools import cache

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
SPACE = "\u2581"
"""SentencePiece's sign for a space."""


@cache
def byte_characters() -> dict[str, int]:
    """Byte-level BPE's character → byte. Printable Latin-1 stands for itself, the others for U+0100 and on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in set(printable)]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + at): byte for at, byte in enumerate(others)}


def byte_level(token: str) -> bytes:
    """The bytes of a byte-level token; a token with characters outside that alphabet is plain text."""
    table = byte_characters()
    try:
        return bytes([table[character] for character in token])
    except KeyError:
        return plain(token)


def sentencepiece(token: str) -> bytes:
    """The bytes of a SentencePiece token: "<0x0A>" is a byte, "▁" a space."""
    if found := _BYTE.fullmatch(token):
        return bytes([int(found[1], 16)])
    return plain(token.replace(SPACE, " "))


def plain(token: str) -> bytes:
    """The bytes of a token that is its own text."""
    return token.encode(errors="replace")
