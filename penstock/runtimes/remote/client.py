"""Calls to one provider over HTTP: connections that are kept, timeouts, and what goes wrong on the way, in words."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from enum import IntEnum
from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies, proxy_bypass

from penstock.core.clock import Clock
from penstock.core.deadline import Deadline
from penstock.core.errors import NotOffered, PenstockError, ProviderFailed, ProviderRefused, ProviderSilent
from penstock.runtimes.remote.choice import signer
from penstock.runtimes.remote.contract import Dialect, HttpCall, Message, RemoteModel, Signer
from penstock.runtimes.remote.framing import MAX_DOCUMENT, frames
from penstock.runtimes.remote.secrets import Hidden, Secret
from penstock.runtimes.remote.watch import Times, Watch

if TYPE_CHECKING:
    import aiohttp
    import yarl


class Heard(IntEnum):
    """What has come of an answer, by what took its messages."""

    NOTHING = 0
    SOME = 1
    ALL = 2


Take = Callable[[list[Message]], Heard]
"""Takes messages as they come."""

KEEP_S = 55.0
"""How long an unused connection is kept; load balancers close theirs after a minute."""
ERROR_BYTES = 65_536
"""Of an error's body that is read."""
NO_SUCH_CALL = (404, 405, 501)
"""Statuses of addresses that are not there."""


class Client:
    """One model's calls. `key`: None where calls are signed, or nothing is asked for; `headers`: more of them."""

    def __init__(
        self,
        provider: str,
        model: RemoteModel,
        dialect: Dialect,
        clock: Clock,
        key: Secret | None = None,
        headers: Mapping[str, str] | None = None,
    ):
        self._provider = provider
        self._model = model
        self._dialect = dialect
        self._clock = clock
        self._key = key
        self._more = dict(headers or {})
        self._times = Times(provider, model.first_byte_timeout_ms / 1000, model.idle_timeout_ms / 1000)
        self._headers: dict[str, str] = {}
        self._whole: tuple[dict[str, str], dict[str, str]] | None = None
        self._addresses: dict[str, tuple[yarl.URL, str | None]] = {}
        self._signer: Signer | None = None
        self._hidden = Hidden()
        for value in self._more.values():
            self._hidden.add_header(value)
        self._session: aiohttp.ClientSession | None = None

    # --- its life

    def open(self) -> None:
        """Ready for calls, in the running loop."""
        import aiohttp

        self._fill_headers()
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_S, ttl_dns_cache=60),
            timeout=aiohttp.ClientTimeout(total=None, connect=self._model.connect_timeout_ms / 1000),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    def _fill_headers(self) -> None:
        own = {"user-agent": f"penstock/{version('penstock')}", "accept": "*/*", "accept-encoding": "identity"}
        key = {} if self._key is None else self._dialect.authorize(self._key.reveal())
        self._hidden.add(self._sent())
        self._headers = {**own, **{name.lower(): value for name, value in key.items()}, **self._more}
        self._whole = None

    async def close(self) -> None:
        """Closes its connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    # --- calls

    async def ask(self, call: HttpCall, until: Deadline, take: Take, writing_s: float = 0.0) -> None:
        """Hands the messages of the reply on as they come. `writing_s`: more time before the first.

        Raises `ProviderFailed` and its kin, and `DeadlineExceeded`; what providers say may repeat secrets: see `hide`.
        """
        import aiohttp

        watch = Watch(self._times, until, self._clock, writing_s)
        try:
            await self._ask(call, watch, take)
        except asyncio.CancelledError:
            why = watch.why()
            if why is None:
                raise
            watch.forgive()
            raise why from None
        except aiohttp.ConnectionTimeoutError as error:
            seconds = self._model.connect_timeout_ms / 1000
            raise ProviderSilent(
                f"{self._provider} took no connection within {seconds:g} s", detail=str(error)
            ) from None
        except (aiohttp.ClientError, OSError) as error:
            raise self._broken(error) from None
        finally:
            watch.stop()

    async def fetch(self, call: HttpCall, until: Deadline) -> bytes:
        """The whole body of a reply. Raises as `ask` does."""
        found: list[Message] = []

        def take(messages: list[Message]) -> Heard:
            found.extend(messages)
            return Heard.SOME

        await self.ask(call, until, take)
        return b"".join(message.data for message in found)

    def hide(self, error: PenstockError) -> None:
        """Takes the key and the headers of one's own out of an error, before anybody sees it."""
        error.message = self._hidden.out_of(error.message)
        error.args = (error.message,)
        error.detail = None if error.detail is None else self._hidden.out_of(error.detail)

    async def _ask(self, call: HttpCall, watch: Watch, take: Take) -> None:
        """A call whose key was replaced meanwhile is made again: a refused one has done and cost nothing."""
        sent = self._sent()
        error = await self._tried(call, watch, take)
        if isinstance(error, ProviderRefused) and self._replaced(sent):
            error = await self._tried(call, watch, take)
        if error is not None:
            raise error

    def _sent(self) -> str:
        """The key that calls carry now."""
        return "" if self._key is None else self._key.reveal()

    def _replaced(self, sent: str) -> bool:
        """Whether the key is another than the one that was sent."""
        if self._key is not None and sent == self._sent() and self._key.renew():
            self._fill_headers()
        return sent != self._sent()

    async def _tried(self, call: HttpCall, watch: Watch, take: Take) -> PenstockError | None:
        """Makes the call; the error of a reply that is no answer."""
        if self._session is None:
            raise ProviderFailed(f"{self._provider} is not asked any more: the server is stopping")
        signed = call.sign and self._key is None
        headers = await self._signed(call) if signed else self._with(call.headers)
        url, proxy = self._address(call.url)
        posted = self._session.post(url, data=call.body, headers=headers, proxy=proxy, allow_redirects=False)
        async with posted as response:
            if response.status != 200:
                return await self._failure(response, call)
            await self._read(response, call, watch, take)
        return None

    async def _read(self, response: aiohttp.ClientResponse, call: HttpCall, watch: Watch, take: Take) -> None:
        framing = self._framing(response, call)
        content, cutter, whole = response.content, frames(framing), framing == "json"
        heard, size = Heard.NOTHING, 0
        while data := await content.readany():
            size += len(data)
            if size > MAX_DOCUMENT:
                raise ProviderFailed(f"{self._provider} does not stop to answer")
            if heard is Heard.ALL:
                continue
            if messages := cutter.feed(data):
                heard = take(messages)
            if content.at_eof():
                break
            if heard is Heard.ALL:
                watch.finishing()
            else:
                watch.heard(heard is Heard.SOME or (whole and not data.isspace()))
        if heard is not Heard.ALL:
            take(cutter.end())

    def _framing(self, response: aiohttp.ClientResponse, call: HttpCall) -> Any:
        """As the call expects it; some answer as a whole what was to come piece by piece, or the other way round."""
        kind = response.content_type
        if kind in ("text/html", "application/xhtml+xml"):
            raise ProviderFailed(f"{self._provider} answers with a page for people; its url may be wrong")
        if kind == "text/event-stream" and call.framing == "json":
            return "sse"
        return "json" if kind == "application/json" and call.framing == "sse" else call.framing

    async def _failure(self, response: aiohttp.ClientResponse, call: HttpCall) -> PenstockError:
        """The error of a reply that is no answer."""
        if 300 <= response.status < 400:
            return ProviderFailed(f"{self._provider} sends elsewhere ({response.status}); say its url in full")
        if response.status < 300:
            return ProviderFailed(f"{self._provider} answers with status {response.status}, which means nothing here")
        body = bytearray()
        while len(body) < ERROR_BYTES and (data := await response.content.readany()):
            body += data
        headers = {name.lower(): value for name, value in response.headers.items()}
        error = self._dialect.failure(response.status, headers, bytes(body[:ERROR_BYTES]))
        if call.instead and response.status in NO_SUCH_CALL and isinstance(error, ProviderFailed):
            error = NotOffered(f"{self._provider} does not take this call for the model; {call.instead}")
        request_id = headers.get("x-request-id") or headers.get("request-id")
        if request_id:
            error.detail = f"{error.detail or ''} (their request id: {request_id[:100]})".strip()
        return error

    def _broken(self, error: Exception) -> PenstockError:
        """The error of a connection that cannot be made, or breaks."""
        import aiohttp

        detail = repr(error)
        if isinstance(error, aiohttp.ClientConnectorError):
            return ProviderFailed(f"{self._provider} cannot be reached", detail=detail)
        if isinstance(error, aiohttp.ClientResponseError | aiohttp.InvalidURL):
            return ProviderFailed(f"{self._provider} sent something that is no HTTP answer", detail=detail)
        return ProviderFailed(f"the connection to {self._provider} broke", detail=detail)

    # --- what is known beforehand

    def _with(self, headers: dict[str, str]) -> dict[str, str]:
        """A call's headers and those of all calls; dialects use the same few again and again."""
        known = self._whole
        if known is None or known[0] is not headers:
            known = self._whole = (headers, {**self._headers, **headers})
        return known[1]

    async def _signed(self, call: HttpCall) -> dict[str, str]:
        if self._signer is None:
            self._signer = await asyncio.to_thread(signer, call.sign, self._model)
        return {**self._headers, **await asyncio.to_thread(self._signer.headers, call)}

    def _address(self, text: str) -> tuple[yarl.URL, str | None]:
        """An URL and the proxy that the environment names for it."""
        known = self._addresses.get(text)
        if known is None:
            import yarl

            url = yarl.URL(text, encoded=True)
            proxy = None if proxy_bypass(url.host or "") else getproxies().get(url.scheme)
            known = self._addresses[text] = (url, proxy)
            if len(self._addresses) > 64:
                self._addresses.clear()
        return known
