"""Real servers whose routes keep answers: alone, together through Redis, and when models fail."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import yaml

from tests.servers import Answer, Server, configured, moody, serving
from tests.services import Redis


def routed(**cache: Any) -> dict[str, Any]:
    return {"answers": {"models": ["moody"], "cache": cache}}


def ask(server: Server, value: float = 21.5, **headers: str) -> Answer:
    return server.ask("POST", "/models/answers/predict", {"inputs": [value]}, headers)


def kept(answer: Answer) -> str:
    assert answer.status == 200, answer.body
    return answer.headers["x-penstock-cache"]


def test_a_route_keeps_answers() -> None:
    with configured({"moody": moody()}, routes=routed()) as server:
        first, second = ask(server), ask(server)
        assert (kept(first), kept(second)) == ("miss", "hit")
        assert first.json()["outputs"] == second.json()["outputs"] == [43]
        assert second.headers["age"] == "0"
        assert "age" not in first.headers
        assert kept(ask(server, 22)) == "miss"
        assert kept(ask(server, **{"Cache-Control": "no-cache"})) == "miss"
        refused = ask(server, 23, **{"Cache-Control": "only-if-cached"})
        assert (refused.status, refused.json()["error"]["code"]) == (504, "not_cached")
        assert kept(ask(server, Authorization="Bearer of-somebody-else")) == "miss"
        server.is_well()


def test_two_servers_share_answers(redis_server: Redis, tmp_path: Path) -> None:
    settings = {"models": {"moody": moody()}, "routes": routed(), "state": {"redis": redis_server.url}}
    file = tmp_path / "penstock.yaml"
    file.write_text(yaml.safe_dump(settings))
    with serving(str(file)) as one, serving(str(file)) as other:
        assert kept(ask(one)) == "miss"
        until = time.monotonic() + 10
        while not redis_server.tell("DBSIZE").startswith(b":1") and time.monotonic() < until:
            time.sleep(0.01)
        assert kept(ask(other)) == "hit"
        assert kept(ask(other, Authorization="Bearer of-somebody-else")) == "miss"
        assert str(redis_server.port) not in logs(one, other)


def logs(*running: Server) -> str:
    return "".join(server.log() for server in running)


def test_an_older_answer_where_no_model_answers() -> None:
    routes = {"answers": {"models": ["moody"], "fallback": ["cached"], "cache": {"ttl_s": 0.05}}}
    with configured({"moody": moody()}, routes=routes) as server:
        assert kept(ask(server)) == "miss"
        time.sleep(0.1)
        assert server.ask("POST", "/v2/repository/models/moody/unload", {}).status == 200
        answer = ask(server)
        assert (kept(answer), answer.headers["x-penstock-degraded"]) == ("hit", "cached")
        assert answer.json()["outputs"] == [43]
        assert int(answer.headers["age"]) >= 0
        assert float(answer.headers["x-penstock-cost"]) == 0
        assert ask(server, 22).status == 503
        assert server.ask("POST", "/v2/repository/models/moody/load", {}).status == 200
        assert kept(ask(server)) == "miss"
