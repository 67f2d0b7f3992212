"""How long a target may be silent while others are left."""

from __future__ import annotations

from typing import NamedTuple


class Patience(NamedTuple):
    """`seconds`; `blames`: a target that is silent for longer is to blame. Where only the caller has too little time,
    it is not."""

    seconds: float
    blames: bool
