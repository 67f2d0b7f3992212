"""gzip and deflate, both ways, within bounds."""

from __future__ import annotations

import zlib

from penstock.core.errors import BadInput, TooLarge, UnsupportedMedia

WORTH_IT = 1024
AT_MOST = 256 * 2**10
"""Bytes of an answer that are packed for a client that merely can read it, and that do not hold up the others."""
SMALL = 4096
"""Bytes of a packed body that are soon unpacked, whatever is in them."""
LEVEL = 1
_AUTO_HEADER = 47  # zlib's window bits 15, plus 32: gzip or zlib by the header


def decoded(body: bytes | bytearray, coding: bytes, limit: int) -> bytes | bytearray:
    """A request body without its content coding.

    Raises `UnsupportedMedia` for other codings, `BadInput` for broken data, `TooLarge` when more
    than `limit` bytes come out (a compression bomb is not unpacked beyond that).
    """
    coding = coding.strip().lower()
    if coding in (b"", b"identity"):
        return body
    if coding not in (b"gzip", b"x-gzip", b"deflate"):
        raise UnsupportedMedia("send the body plain, or with Content-Encoding gzip or deflate")
    unpacker = zlib.decompressobj(_AUTO_HEADER)
    try:
        plain = unpacker.decompress(body, limit + 1)
    except zlib.error as error:
        raise BadInput(f"the body is not valid {coding.decode()} data") from error
    if len(plain) > limit:
        raise TooLarge(f"the body unpacks to more than {limit} bytes")
    if not unpacker.eof or unpacker.unused_data:
        raise BadInput(f"the {coding.decode()} data is incomplete or followed by something else")
    return plain


def accepted(header: bytes) -> bytes | None:
    """The coding that the client accepts and we speak, gzip before deflate; None for neither."""
    weights: dict[bytes, bool] = {}
    for part in header.lower().split(b","):
        coding, _, parameters = part.partition(b";")
        refused = parameters.replace(b" ", b"") in (b"q=0", b"q=0.0", b"q=0.00", b"q=0.000")
        weights[coding.strip()] = not refused
    return next((coding for coding in (b"gzip", b"deflate") if weights.get(coding)), None)


def encoded(body: bytes, coding: bytes) -> bytes:
    """A response body in that coding."""
    packer = zlib.compressobj(LEVEL, wbits=31 if coding == b"gzip" else 15)
    return packer.compress(body) + packer.flush()
