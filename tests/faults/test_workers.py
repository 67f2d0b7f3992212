"""Workers that die, hang, raise and run out of memory: their requests are answered, everyone else's too."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

from tests.servers import (
    Answer,
    Server,
    alive,
    configured,
    eventually,
    kill,
    moody,
    predict_bytes,
    refused,
    says_nothing_internal,
    together,
)

CRASH, HANG, RAISE, SLOW, MEMORY, BRISK = 666, 777, 888, 999, 555, 333


def stats(server: Server, model: str = "moody") -> dict[str, Any]:
    """The model's totals."""
    return server.ask("GET", f"/v2/models/{model}/stats").json()["model_stats"][0]


def restarts(server: Server, model: str = "moody") -> float:
    """How often the model's workers were restarted."""
    for line in server.ask("GET", "/metrics").body.decode().splitlines():
        if "worker_restarts" in line and f'model="{model}"' in line:
            return float(line.rpartition(" ")[2])
    raise AssertionError("no metric of restarts")


def timed(server: Server, value: float, **rest: Any) -> tuple[float, Answer]:
    """How long a request took, and its answer."""
    started = time.monotonic()
    answer = server.predict(value, **rest)
    return time.monotonic() - started, answer


def test_idle_workers_that_are_killed_come_back(sturdy: Server) -> None:
    workers = sturdy.workers()
    assert len(workers) == 2
    for pid in workers:
        kill(pid)
    eventually(lambda: len(set(sturdy.workers()) - set(workers)) == 2, "the workers did not come back")
    eventually(lambda: sturdy.predict(1).status == 200, "the model did not come back")


def test_readiness_tells_that_a_worker_is_gone(sturdy: Server) -> None:
    seen: list[int] = []
    for pid in sturdy.workers():
        kill(pid)
    eventually(lambda: seen.append(sturdy.ask("GET", "/readyz").status) or 503 in seen, "it said ready all the time")
    assert sturdy.ask("GET", "/livez").status == 200


def test_a_worker_killed_in_the_middle_of_a_batch(sturdy: Server) -> None:
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(sturdy.predict(SLOW)))
    before = stats(sturdy)["execution_count"]
    thread.start()
    eventually(lambda: gauge(sturdy, "in_flight") > 0, "the request never ran")
    for pid in sturdy.workers():
        kill(pid)
    thread.join(20)
    (answer,) = answers
    if answer.status == 200:
        assert answer.json()["outputs"] == [2 * SLOW]
        assert stats(sturdy)["execution_count"] == before + 1
    else:
        refused(answer, 503, 504)


def gauge(server: Server, name: str) -> float:
    """One of the model's gauges."""
    for line in server.ask("GET", "/metrics").body.decode().splitlines():
        if name in line and 'model="moody"' in line:
            return float(line.rpartition(" ")[2])
    return 0.0


def test_a_request_that_kills_two_workers_is_refused_from_then_on(sturdy: Server) -> None:
    before = restarts(sturdy)
    first = sturdy.predict(CRASH)
    refused(first, 500)
    assert first.json()["error"]["code"] == "request_refused"
    assert restarts(sturdy) == before + 2
    eventually(lambda: sturdy.predict(1).status == 200, "the model did not come back")
    again = sturdy.predict(CRASH)
    refused(again, 500)
    assert again.json()["error"]["code"] == "request_refused"
    assert restarts(sturdy) == before + 2


def crash_looping(server: Server) -> Answer | None:
    """The refusal of a model whose workers keep dying."""
    answer = server.predict(1, timeout_ms=200)
    return answer if b"crash_looping" in answer.body else None


def test_segfaults_again_and_again_take_out_that_model_alone(sturdy: Server) -> None:
    fatal = [lambda value=CRASH + step / 16: sturdy.predict(value, timeout_ms=20_000) for step in range(4)]  # type: ignore[misc]
    killers = threading.Thread(target=together, args=(fatal,))
    killers.start()
    refusal = eventually(lambda: crash_looping(sturdy), "the model kept taking requests")
    refused(refusal, 503)
    assert int(refusal.headers["retry-after"]) >= 1
    sturdy.is_well("other")
    killers.join(30)
    state = {model["name"]: model["state"] for model in sturdy.ask("GET", "/models").json()["models"]}
    assert state["other"] == "READY"
    eventually(lambda: sturdy.predict(1).status == 200, "the model did not come back")


def in_one_batch(server: Server, values: list[float]) -> list[Answer]:
    """Answers to requests that wait together behind a slow one, and so run in one batch."""
    slow = threading.Thread(target=server.predict, args=(SLOW,))
    slow.start()
    eventually(lambda: gauge(server, "in_flight") > 0, "the slow request never ran")
    answers = together([lambda value=value: server.predict(value) for value in values])  # type: ignore[misc]
    slow.join(20)
    return answers


def test_the_neighbours_of_a_fatal_request_are_answered(sturdy: Server) -> None:
    values = [CRASH + 0.7, *map(float, range(8))]
    answers = in_one_batch(sturdy, values)
    assert answers[0].status in (500, 503, 504)
    for value, answer in zip(values[1:], answers[1:], strict=True):
        assert answer.status == 503 or answer.json()["outputs"] == [2 * value], answer
    assert sum(answer.status == 200 for answer in answers) >= 1


def test_a_hang_that_holds_the_gil_is_answered_in_time_and_its_worker_killed(sturdy: Server) -> None:
    before = sturdy.workers()
    seconds, answer = timed(sturdy, HANG)
    refused(answer, 504)
    assert 1.0 < seconds < 15
    eventually(lambda: not all(map(alive, before)), "the worker that hangs was not killed")
    sturdy.is_well("other")


def test_a_hang_does_not_make_others_wait_for_ever(sturdy: Server) -> None:
    answers = together([lambda value=value: timed(sturdy, value) for value in (HANG + 0.5, 1.0, 2.0, 3.0)])  # type: ignore[misc]
    assert all(seconds < 15 for seconds, _ in answers)
    assert {answer.status for _, answer in answers} <= {200, 503, 504}, answers


def test_out_of_memory_is_unavailable_and_the_worker_is_recycled(sturdy: Server) -> None:
    before = restarts(sturdy)
    refused(sturdy.predict(MEMORY), 503)
    eventually(lambda: restarts(sturdy) > before, "the worker that ran out of memory still runs")


def test_a_model_that_raises_fails_its_own_request_alone(sturdy: Server) -> None:
    before = restarts(sturdy)
    values = [RAISE, *map(float, range(10))]
    answers = in_one_batch(sturdy, values)
    assert max(size["batch_size"] for size in stats(sturdy)["batch_stats"]) >= 5
    assert [answer.status for answer in answers] == [500] + [200] * 10
    assert [answer.json()["outputs"] for answer in answers[1:]] == [[2 * value] for value in values[1:]]
    says_nothing_internal(answers[0].body)
    assert b"secret" not in answers[0].body
    assert "secret" in sturdy.log()
    assert restarts(sturdy) == before


def test_a_timeout_in_the_request_is_honoured(sturdy: Server) -> None:
    seconds, answer = timed(sturdy, SLOW, timeout_ms=50)
    refused(answer, 504)
    assert seconds < 5
    assert timed(sturdy, SLOW, timeout_ms=20_000)[1].status == 200


def test_clients_that_hang_up_take_their_work_with_them(sturdy: Server) -> None:
    before = stats(sturdy)["inference_count"]
    running = sturdy.connect()
    running.sendall(predict_bytes(SLOW))
    eventually(lambda: gauge(sturdy, "in_flight") > 0, "the request never ran")
    for _ in range(30):
        with sturdy.connect() as sock:
            sock.sendall(predict_bytes(SLOW + 0.5))
    eventually(lambda: gauge(sturdy, "queue_depth") == 0, "cancelled work stayed in the queue")
    running.close()
    sturdy.is_well()
    assert stats(sturdy)["inference_count"] - before < 10


def test_a_burst_is_shed_early_and_what_is_accepted_is_answered() -> None:
    settings = {"queue_size": 32, "batching": {"max_size": 4}}
    with configured({"moody": moody(**settings)}) as server:
        socks = [server.connect() for _ in range(400)]
        for sock in socks:
            sock.sendall(predict_bytes(BRISK, "Connection: close"))
        health_s = timed_health(server)
        eventually(lambda: timed(server, 1)[1].status == 503, "the queue never filled")
        assert min(timed(server, 1)[0] for _ in range(5)) < 0.5, "refusals are slow"
        started = time.monotonic()
        answers = [answer_of_socket(sock) for sock in socks]
        assert time.monotonic() - started < 30
        assert health_s < 2
        accepted = [answer for answer in answers if answer.startswith(b"HTTP/1.1 200")]
        shed = [answer for answer in answers if answer.startswith(b"HTTP/1.1 503")]
        assert len(accepted) + len(shed) == 400
        assert len(accepted) >= 32
        assert len(shed) >= 100
        assert all(b"retry-after: " in answer for answer in shed)
        for answer in shed:
            says_nothing_internal(answer.partition(b"\r\n\r\n")[2])
        server.is_well()


def timed_health(server: Server) -> float:
    started = time.monotonic()
    assert server.ask("GET", "/livez").status == 200
    return time.monotonic() - started


def answer_of_socket(sock: Any) -> bytes:
    from tests.servers import read_all

    with sock:
        return read_all(sock)


def test_a_model_that_fails_on_its_own_example_is_never_promoted() -> None:
    import pytest

    with pytest.raises(AssertionError, match="the server ended with 2") as caught:  # noqa: SIM117
        with configured({"moody": moody(example=[RAISE])}):
            pass
    assert "moody" in str(caught.value)


def test_logs_are_one_json_object_per_line(sturdy: Server) -> None:
    sturdy.predict(RAISE)
    lines = [line for line in sturdy.log().splitlines() if line.startswith("{")]
    events = {json.loads(line)["event"] for line in lines}
    assert {"request_failed", "worker_exited"} <= events
