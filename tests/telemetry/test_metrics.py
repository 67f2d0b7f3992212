"""The metrics page, read back by Prometheus' own parser."""

from __future__ import annotations

from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from penstock.core.model import State
from penstock.telemetry.metrics import MetricsPage
from penstock.telemetry.recorder import Recorder


class Iris:
    """A model version with some history."""

    labels = ("iris", "2")
    state = State.READY

    def __init__(self) -> None:
        self.recorder = Recorder()
        self.recorder.request(0.02, 0.01, 0.004, 0.006)
        self.recorder.batch(3, 0.006)
        self.recorder.tokens = 40
        self.recorder.error("deadline_exceeded")

    def gauges(self) -> dict[str, float]:
        return {"queue_depth": 5, "in_flight": 2, "workers": 1, "worker_restarts": 4}


def page() -> dict[str, Any]:
    models, errors = [Iris()], {"not_found": 7}
    text = MetricsPage(lambda: models, lambda: errors).render().decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def sample(families: dict[str, Any], family: str, name: str, **labels: str) -> float:
    found = [s.value for s in families[family].samples if s.name == name and labels.items() <= s.labels.items()]
    assert len(found) == 1, (family, name, labels)
    return float(found[0])


def test_every_phase_is_a_histogram_per_version() -> None:
    families = page()
    expected = {"request": 0.02, "queue": 0.01, "batch_wait": 0.004, "compute": 0.006}
    for phase, seconds in expected.items():
        name = f"penstock_{phase}_seconds"
        assert families[name].type == "histogram"
        assert sample(families, name, f"{name}_sum", model="iris", version="2") == seconds
        assert sample(families, name, f"{name}_bucket", le="+Inf", model="iris") == 1


def test_the_present_and_the_failures() -> None:
    families = page()
    assert sample(families, "penstock_queue_depth", "penstock_queue_depth", model="iris") == 5
    assert sample(families, "penstock_in_flight", "penstock_in_flight", model="iris") == 2
    assert sample(families, "penstock_model_ready", "penstock_model_ready", model="iris") == 1
    assert sample(families, "penstock_worker_restarts", "penstock_worker_restarts_total", model="iris") == 4
    assert sample(families, "penstock_errors", "penstock_errors_total", code="deadline_exceeded", model="iris") == 1
    assert sample(families, "penstock_http_errors", "penstock_http_errors_total", code="not_found") == 7
    assert sample(families, "penstock_batch_rows", "penstock_batch_rows_sum", model="iris") == 3
    assert sample(families, "penstock_tokens", "penstock_tokens_total", model="iris") == 40
