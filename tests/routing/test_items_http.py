"""The cache in a served model, through real HTTP: how often the model saw each row."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests import servers

COUNTED = str(Path(servers.__file__).parent / "fixtures" / "counted.py") + ":Lengths"


class Counted:
    """The server, and the rows that its model saw."""

    def __init__(self, server: servers.Server, rows: Path):
        self.server = server
        self._rows = rows

    def seen(self) -> Counter[str]:
        return Counter(self._rows.read_text().splitlines())

    def predict(self, *texts: str, model: str = "lengths", **rest: Any) -> servers.Answer:
        return self.server.ask("POST", f"/models/{model}/predict", {"inputs": list(texts), **rest})

    def metric(self, name: str) -> float:
        """A sample of the metrics page, of the model that has a cache."""
        page = self.server.ask("GET", "/metrics").body.decode()
        samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
        (found,) = (s.value for s in samples if s.name == name and s.labels == {"model": "lengths", "version": "1"})
        return float(found)


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counted]:
    rows = tmp_path_factory.mktemp("counted") / "rows"
    rows.touch()
    model = {"source": COUNTED, "example": ["a text"]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COUNTED_ROWS", str(rows))
        models = {"lengths": {**model, "cache": {"max_mb": 8}}, "plain": model}
        with servers.configured(models, aliases={"also": "lengths@1"}) as server:
            yield Counted(server, rows)


HITS_AND_MISSES = ("penstock_cache_hits_total", "penstock_cache_misses_total")


def answers(*texts: str) -> list[dict[str, Any]]:
    return [{"length": len(text), "shout": text.upper()} for text in texts]


def test_of_32_rows_with_20_known_12_run(counted: Counted) -> None:
    texts = [f"text {number}" for number in range(32)]
    assert counted.predict(*texts[5:25]).json()["outputs"] == answers(*texts[5:25])
    before, hits, misses = counted.seen(), *map(counted.metric, HITS_AND_MISSES)
    answer = counted.predict(*texts)
    assert answer.json() == {"model": "lengths", "version": "1", "outputs": answers(*texts)}
    assert answer.headers["x-penstock-cached"] == "20/32"
    assert counted.seen() - before == Counter(texts[:5] + texts[25:])
    assert (counted.metric(HITS_AND_MISSES[0]) - hits, counted.metric(HITS_AND_MISSES[1]) - misses) == (20, 12)
    again = counted.predict(*texts, model="also")
    assert (again.json()["outputs"], again.headers["x-penstock-cached"]) == (answers(*texts), "32/32")
    assert {counted.seen()[text] for text in texts} == {1}


def test_wanted_outputs_come_from_known_rows(counted: Counted) -> None:
    counted.predict("wanted", outputs=["shout"])
    answer = counted.predict("wanted", outputs=["length"])
    assert (answer.json()["outputs"], answer.headers["x-penstock-cached"]) == ([6], "1/1")
    servers.refused(counted.predict("wanted", outputs=["lenght"]), 400)


def test_the_binary_door_shares_the_rows(counted: Counted) -> None:
    counted.predict("shared by doors")
    body = {
        "inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": ["shared by doors"]}],
        "outputs": [{"name": "shout", "parameters": {"binary_data": True}}],
    }
    answer = counted.server.ask("POST", "/v2/models/lengths/infer", body)
    assert answer.headers["x-penstock-cached"] == "1/1"
    assert answer.body.endswith(b"SHARED BY DOORS")


def test_clients_that_ask_together_for_one_row_run_it_once(counted: Counted) -> None:
    before = counted.metric("penstock_cache_shared_total")
    found = servers.together([lambda: counted.predict("slow and shared")] * 8)
    assert [answer.json()["outputs"] for answer in found] == [answers("slow and shared")] * 8
    assert counted.seen()["slow and shared"] == 1
    assert counted.metric("penstock_cache_shared_total") - before == 7


def test_the_first_client_leaves_and_the_second_gets_the_answer(counted: Counted) -> None:
    sock = counted.server.connect()
    body = b'{"inputs": ["slow, then gone"]}'
    sock.sendall(servers.request("POST", "/models/lengths/predict", body))
    servers.eventually(lambda: counted.seen()["slow, then gone"], "the model was not asked")
    answer: list[servers.Answer] = []
    before = counted.metric("penstock_cache_shared_total")
    second = threading.Thread(target=lambda: answer.append(counted.predict("slow, then gone")))
    second.start()
    servers.eventually(lambda: counted.metric("penstock_cache_shared_total") > before, "nobody waits for the row")
    sock.close()
    second.join(10)
    assert answer[0].json()["outputs"] == answers("slow, then gone")
    assert counted.seen()["slow, then gone"] == 1


def test_a_shorter_time_holds_while_waiting_for_another_clients_row(counted: Counted) -> None:
    patient: list[servers.Answer] = []
    first = threading.Thread(target=lambda: patient.append(counted.predict("slow for the hasty")))
    first.start()
    servers.eventually(lambda: counted.seen()["slow for the hasty"], "the model was not asked")
    servers.refused(counted.predict("slow for the hasty", timeout_ms=50), 504)
    assert patient == []
    first.join(10)
    assert patient[0].status == 200
    assert counted.seen()["slow for the hasty"] == 1


def test_failures_are_not_kept_and_harm_nobody_else(counted: Counted) -> None:
    for _ in range(2):
        servers.refused(counted.predict("wrong"), 500)
    asks = [lambda: counted.predict("right", "wrong"), lambda: counted.predict("right")]
    failed, right = servers.together(asks)
    servers.refused(failed, 500)
    assert right.json()["outputs"] == answers("right")
    assert counted.predict("right").headers["x-penstock-cached"] == "1/1"


def test_a_model_without_a_cache_runs_everything(counted: Counted) -> None:
    for _ in range(2):
        answer = counted.predict("twice", model="plain")
        assert answer.json()["outputs"] == answers("twice")
        assert "x-penstock-cached" not in answer.headers
    assert counted.seen()["twice"] == 2
    page = counted.server.ask("GET", "/metrics").body.decode()
    assert 'penstock_cache_hits_total{model="plain"' not in page
    assert counted.metric("penstock_cache_items") > 0
    assert 0 < counted.metric("penstock_cache_bytes") <= 8 * 2**20
