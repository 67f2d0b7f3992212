"""Requests for generated text that are long, or of very many small parts: they cost their own sender alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from tests.faults.conftest import Watch
from tests.servers import Server, configured

TINY = Path(__file__).parents[2] / "penstock" / "cli" / "demo" / "tiny.gguf"
HI = [{"role": "user", "content": "Hello"}]
BLOCKS = [{"type": "text", "text": "a" * 1400}]
THOUGHT = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "a" * 1400}]}
CALLS = [{"function": {"name": "a", "arguments": {}}}] * 10_000
RESULT = {"role": "tool", "tool_name": "b", "content": ""}


@pytest.fixture(scope="module")
def served() -> Iterator[Server]:
    with configured({"tiny": {"source": str(TINY)}}) as server:
        yield server


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/messages", {"max_tokens": 5, "messages": [{"role": "user", "content": BLOCKS * 9_999}]}),
        ("/v1/messages", {"max_tokens": 5, "messages": [{"role": "user", "content": BLOCKS}] * 9_999}),
        ("/v1/responses", {"input": [THOUGHT] * 9_000 + [{"role": "user", "content": "hi"}]}),
        ("/api/chat", {"messages": [{"role": "assistant", "tool_calls": CALLS}, *[RESULT] * 9_000]}),
        ("/api/chat", {"messages": HI, "format": {"x": [[1]] * 900_000}}),
        ("/api/chat", {"messages": HI, "options": {"x": [[1]] * 900_000}}),
    ],
    ids=["many blocks", "many messages", "many thoughts", "many calls", "a long schema", "long options"],
)
def test_a_long_request_holds_up_nobody(served: Server, path: str, body: dict[str, Any]) -> None:
    """Reading it costs its length, beside the event loop: others are answered meanwhile, and it is soon."""
    raw = json.dumps({"model": "tiny", **body}).encode()
    with Watch(served) as live:
        answer = served.ask("POST", path, raw, timeout=60)
    assert answer.status in (200, 400, 413), answer.body[:500]
    assert median(live.seconds) < 1
    assert max(live.seconds) < 3
    assert live.over_s < 20


def test_more_blocks_than_messages_may_be_are_refused(served: Server) -> None:
    said = [{"role": "user", "content": [{"type": "text", "text": "a"}] * 5_001}] * 2
    answer = served.ask("POST", "/v1/messages", {"model": "tiny", "max_tokens": 5, "messages": said})
    assert answer.status == 413
    assert "10002 blocks" in answer.json()["error"]["message"]
