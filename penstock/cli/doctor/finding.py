"""One thing that the doctor found."""

from __future__ import annotations

from typing import Literal

import msgspec

Verdict = Literal["ok", "note", "broken"]


class Finding(msgspec.Struct, frozen=True):
    """What was looked at, what was found, and what mends it.

    `verdict`: "ok"; "note": serving works, something may be missed; "broken": serving will fail.
    """

    subject: str
    verdict: Verdict
    found: str
    fix: str = ""
