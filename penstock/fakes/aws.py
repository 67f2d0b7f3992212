"""What AWS's services speak: messages of event streams, and signatures that a fake can check."""

from __future__ import annotations

import hashlib
import hmac
import struct
import zlib
from urllib.parse import quote

from penstock.fakes.calls import Call

STREAM = "application/vnd.amazon.eventstream"
_TEXT = 7
"""The type of a header's value that is a text."""


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    """One message of an event stream."""
    head = b"".join(
        struct.pack(">B", len(name)) + name.encode() + struct.pack(">BH", _TEXT, len(value)) + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack(">II", 16 + len(head) + len(payload), len(head))
    prelude += struct.pack(">I", zlib.crc32(prelude))
    message = prelude + head + payload
    return message + struct.pack(">I", zlib.crc32(message))


def event(name: str, payload: bytes) -> bytes:
    """An event of a stream."""
    return frame({":event-type": name, ":content-type": "application/json", ":message-type": "event"}, payload)


def exception(name: str, payload: bytes) -> bytes:
    """An error inside a stream."""
    return frame({":exception-type": name, ":content-type": "application/json", ":message-type": "exception"}, payload)


def is_signed(call: Call, access: str, secret: str) -> bool:
    """Whether a call carries the signature (version 4) of these credentials, over the very bytes that came."""
    scheme, _, fields = call.headers.get("authorization", "").partition(" ")
    told = dict(field.strip().partition("=")[::2] for field in fields.split(","))
    parts = told.get("Credential", "").split("/")
    if scheme != "AWS4-HMAC-SHA256" or len(parts) != 5 or parts[0] != access:
        return False
    date, region, service = parts[1:4]
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    asked = hashlib.sha256(_canonical(call, told.get("SignedHeaders", "")).encode()).hexdigest()
    scope = "/".join(parts[1:])
    text = "\n".join(("AWS4-HMAC-SHA256", call.headers.get("x-amz-date", ""), scope, asked))
    wanted = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    return hmac.compare_digest(wanted, told.get("Signature", ""))


def _canonical(call: Call, signed: str) -> str:
    path, _, query = call.path.partition("?")
    headers = "".join(f"{name}:{' '.join(call.headers.get(name, '').split())}\n" for name in signed.split(";"))
    body = hashlib.sha256(call.body).hexdigest()
    return "\n".join((call.method, quote(path, safe="/~"), query, headers, signed, body))
