"""What a provider's dialect does: our requests into its HTTP calls, its bytes into our events. Pure: no I/O, no
clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

import msgspec

from penstock.core.errors import PenstockError
from penstock.core.generation import Event, Generated, Generation
from penstock.core.tensors import Array

Framing = Literal["sse", "ndjson", "aws", "json"]
"""How a reply's body is cut into messages: server-sent events, JSON lines, AWS event stream, or one JSON document."""


class RemoteModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A provider's model. Options of a model whose source is "PROVIDER:MODEL" or an http(s) URL.

    `key`: where its API key is: "env:NAME" or "file:PATH"; never the key itself.
    """

    provider: str
    model: str
    url: str = ""
    """Where the provider's API is, where that is not its public address."""
    key: str = ""
    """"env:NAME" or "file:PATH" (default: the provider's usual variable, such as OPENAI_API_KEY)."""
    context: int = 0
    """Tokens of prompt and answer together (0: not known here)."""
    max_tokens: int = 4096
    """Answer tokens asked for where the request does not say and the provider must be told."""
    task: Literal["generation", "embedding"] = "generation"
    """What it is asked for."""
    dimensions: int = 0
    """Length of its embeddings (0: as the first answer has it)."""
    region: str = ""
    """The cloud's region (Bedrock)."""
    api_version: str = ""
    """The version of the API (Azure, Anthropic, Gemini)."""
    headers: dict[str, str] = {}
    """More headers for every call; values may be "env:NAME"."""
    extra: dict[str, Any] = {}
    """More fields for every call's body, by the provider's own names."""
    connect_timeout_ms: float = 5_000
    """For the connection."""
    first_byte_timeout_ms: float = 60_000
    """From the request to the first piece of the answer, and for silence before it: so long a model may think. A whole
    answer has the time to be written besides."""
    idle_timeout_ms: float = 30_000
    """For silence after that."""
    timeout_ms: float = 600_000
    """For the whole of a request that brings no deadline of its own."""
    max_concurrency: int = 256
    """Calls at once; more wait."""
    queue_size: int = 1024
    """Requests that may wait; more are refused."""
    stream: bool | None = None
    """Ask for answers piece by piece (true), so that silence is noticed early, or whole (false); else as they are
    wanted, whole ones whole."""

    @property
    def streams(self) -> bool:
        """Whether a call asks for its answer piece by piece."""
        return self.stream is not False


class HttpCall(msgspec.Struct, frozen=True):
    """One call. `sign`: names how the transport signs it ("aws" or ""). `instead`: what to do where the provider has no
    such call for its model, whose other calls work all the same; "" where a 404 is about the model itself."""

    url: str
    body: bytes
    headers: dict[str, str]
    framing: Framing
    sign: str = ""
    instead: str = ""


class Reader(Protocol):
    """Turns the messages of one reply into events; one per call."""

    def feed(self, message: bytes, event: str = "") -> Sequence[Event | Generated | PenstockError]:
        """What one message says. `event`: its name, where the framing has names. Raises nothing: what is malformed
        becomes a `ProviderFailed`."""

    def end(self) -> Sequence[Event | Generated | PenstockError]:
        """What is left when the body has ended: `Generated` where that was its proper end, else `ProviderFailed`."""


class Message(NamedTuple):
    """One message of a reply's body. `event`: its name, where the framing has names."""

    data: bytes
    event: str = ""


class Frames(Protocol):
    """Cuts the bytes of one reply's body into messages; one per call. For "aws" it is `bedrock_frames.AwsFrames`."""

    def feed(self, data: bytes) -> list[Message]:
        """The messages that are whole now. Raises `ProviderFailed` for bytes that are none, or too many."""

    def end(self) -> list[Message]:
        """What is left when the body has ended."""


class Signer(Protocol):
    """Signs calls. For "aws" it is `bedrock_signing.AwsSigner`, made with the `RemoteModel`."""

    def headers(self, call: HttpCall) -> Mapping[str, str]:
        """All headers to send with a call, those of the call among them. Called in a thread: it may wait for
        credentials. Raises `ProviderRefused` where there are none."""


class Dialect(Protocol):
    """One provider's wire format, for one model.

    `variables`: where its key usually is in the environment, the first that is set counts. Where a call says how it is
    signed, there need not be one.
    """

    variables: ClassVar[tuple[str, ...]]

    def settle(self, model: RemoteModel) -> RemoteModel:
        """The settings with what the environment says besides (a region), once, before serving. Raises `ConfigError`
        for what the provider does not have."""

    def counts(self, model: RemoteModel) -> bool:
        """Whether there is a call that counts tokens; `generate` then takes a `Generation.count_only`."""

    def texts_at_once(self, model: RemoteModel) -> int:
        """The most texts of one call for embeddings."""

    def authorize(self, key: str) -> dict[str, str]:
        """The headers that carry the key."""

    def generate(self, generation: Generation, model: RemoteModel) -> HttpCall:
        """The call for generated text. Raises `BadInput` for what the provider cannot do."""

    def reader(self, generation: Generation) -> Reader:
        """What reads the reply to it."""

    def embed(self, texts: Sequence[str], model: RemoteModel) -> HttpCall:
        """The call for embeddings. Raises `BadInput` where there are none."""

    def embeddings(self, body: bytes, count: int) -> tuple[Sequence[Sequence[float] | Array], int]:
        """Embeddings in order (lists or FP32 arrays) and prompt tokens, of a reply's body. Raises `ProviderFailed`."""

    def failure(self, status: int, headers: dict[str, str], body: bytes) -> PenstockError:
        """The error of a reply that is none: 429 with its Retry-After, 5xx, 4xx; never with a key in it."""
