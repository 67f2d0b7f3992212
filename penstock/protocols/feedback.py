"""POST /v1/feedback: how good an answer was."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated

import msgspec

from penstock.core.access import masked
from penstock.core.errors import Unsupported
from penstock.core.ledger import Feedback, Ledger
from penstock.protocols.http.message import HttpRequest, HttpResponse
from penstock.protocols.http.routes import Routes
from penstock.protocols.reading import read

FIELDS = {
    "request": "the X-Request-Id of the answer, 1 to 128 visible ASCII characters",
    "score": "a number from 0 (useless) to 1 (perfect)",
    "comment": "a text of at most 4096 characters",
}
KEPT = 500
"""Characters of a comment that are kept."""


class FeedbackRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body; see `FIELDS`."""

    request: Annotated[str, msgspec.Meta(pattern=r"^[!-~]{1,128}$(?!\n)")]
    score: Annotated[float, msgspec.Meta(ge=0, le=1)]
    comment: Annotated[str, msgspec.Meta(max_length=4096)] | None = None


_decoder = msgspec.json.Decoder(FeedbackRequest)


class FeedbackDoor:
    """Hands feedback to the ledger (None: none is kept). `admit`: raises `QuotaExceeded` where a tenant gives too much
    (None: nothing is too much). `wall`: Unix time."""

    def __init__(
        self, ledger: Ledger | None, admit: Callable[[str], None] | None = None, wall: Callable[[], float] = time.time
    ):
        self._ledger = ledger
        self._admit = admit
        self._wall = wall

    def mount(self, routes: Routes) -> None:
        """Adds the door's path."""
        routes.add("POST", "/v1/feedback", self.feedback, "infer")

    async def feedback(self, http: HttpRequest) -> HttpResponse:
        """POST /v1/feedback: taken, and written soon; it counts where the caller asked the request itself."""
        if self._ledger is None:
            raise Unsupported("this server keeps no ledger, and so no feedback")
        message = read(_decoder, http.body, FIELDS)
        tenant = http.principal.tenant
        if self._admit is not None:
            self._admit(tenant)
        comment = masked(message.comment or "")[:KEPT]
        self._ledger.feedback(Feedback(message.request, tenant, self._wall(), message.score, "user", comment))
        return HttpResponse(202, msgspec.json.encode({"request": message.request, "score": message.score}))
