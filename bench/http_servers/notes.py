"""What a candidate's app noticed, told to the probes by `GET /seen`."""

from __future__ import annotations

import json
import time


class Notes:
    """Wall-clock times at which the app noticed that a client had gone; None until then."""

    def __init__(self) -> None:
        self._seen: dict[str, float | None] = {"wait": None, "stream": None}

    def gone(self, where: str) -> None:
        """The client of this exchange has hung up."""
        self._seen[where] = time.time()

    def as_json(self) -> bytes:
        """For the probe."""
        return json.dumps(self._seen).encode()


def counted(pieces: int, size: int) -> bytes:
    """In how many pieces a body reached the app."""
    return json.dumps({"pieces": pieces, "bytes": size}).encode()
