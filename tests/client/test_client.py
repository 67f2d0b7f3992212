"""`penstock.Client` against a real server process."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from penstock.client import Client
from penstock.core import errors
from tests.servers import configured

CODE = """
import time
import numpy as np
import penstock


def double(values: np.ndarray) -> np.ndarray:
    return 2 * values


class Bill(penstock.Model):
    def predict(self, price: np.ndarray, city: list[str]) -> dict[str, object]:
        return {"gross": price * 1.2, "where": [name.upper() for name in city]}


def slow(values: np.ndarray) -> np.ndarray:
    time.sleep(5)
    return values
"""
SIGNATURES = {
    "matrix": {"source": "models.py:double", "example": [[1.0, 2.0, 3.0]]},
    "bill": {"source": "models.py:Bill", "example": [{"price": 1.0, "city": "Oslo"}]},
    "slow": {"source": "models.py:slow", "example": [[1.0]]},
}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    code = tmp_path_factory.mktemp("code") / "models.py"
    code.write_text(CODE.replace("time.sleep(5)", "time.sleep(0 if len(values) == 1 and values[0, 0] == 1 else 5)"))
    models = {
        name: {**model, "source": f"{code}:{model['source'].partition(':')[2]}"} for name, model in SIGNATURES.items()
    }
    with configured(models) as server, Client(f"http://127.0.0.1:{server.port}", timeout_s=20) as client:
        yield client


def test_rows_lists_and_small_arrays(client: Client) -> None:
    assert client.predict([[1, 2, 3]], model="matrix") == [[2, 4, 6]]
    assert client.predict(np.array([[1, 2, 3], [4, 5, 6]]), model="matrix") == [[2, 4, 6], [8, 10, 12]]
    assert client.predict([np.array([1.0, 2.0, 3.0])], model="matrix") == [[2, 4, 6]]


def test_large_arrays_and_nan_go_as_binary_with_the_same_answers(client: Client) -> None:
    large = np.arange(9000.0).reshape(-1, 3)
    assert client.predict(large, model="matrix") == (2 * large).tolist()
    assert client.predict(large.astype("float32"), model="matrix") == (2 * large).tolist()
    assert client.predict(large.astype("int64"), model="matrix") == (2 * large).tolist()
    answer = client.predict(np.array([[np.nan, 1.0, np.inf]]), model="matrix")
    np.testing.assert_array_equal(answer, [[np.nan, 2.0, np.inf]])


def test_data_frames_by_column_name(client: Client) -> None:
    frame = pd.DataFrame({"city": ["Oslo", "Rome"], "price": [10, 20]})
    assert client.predict(frame, model="bill") == [
        {"gross": 12.0, "where": "OSLO"},
        {"gross": 24.0, "where": "ROME"},
    ]
    assert client.predict(frame.to_dict("records"), model="bill") == client.predict(frame, model="bill")
    assert client.predict(frame, model="bill", outputs=["where"]) == ["OSLO", "ROME"]


def test_a_frame_for_a_model_that_takes_one_matrix(client: Client) -> None:
    frame = pd.DataFrame([[1.0, 2.0, 3.0]], columns=["a", "b", "c"])
    assert client.predict(frame, model="matrix") == [[2, 4, 6]]


def test_infer_takes_and_gives_arrays(client: Client) -> None:
    answer = client.infer("bill", {"price": np.array([10.0]), "city": np.array(["Oslo"])}, outputs=["where", "gross"])
    assert list(answer) == ["where", "gross"]
    assert answer["gross"].dtype == np.float64
    assert answer["gross"].tolist() == [12.0]
    assert answer["where"].tolist() == [b"OSLO"]


def test_arrays_that_come_back_are_aligned(client: Client) -> None:
    """Whatever the length of the answer's head, which the values follow."""
    for rows in (1, 10, 100, 1000):
        answer = client.infer("bill", {"price": np.ones(rows), "city": np.array(["Oslo"] * rows)}, outputs=["gross"])
        assert answer["gross"].flags.aligned
        assert answer["gross"].tolist() == [1.2] * rows


def test_what_is_served(client: Client) -> None:
    assert {(model["name"], model["state"]) for model in client.models()} == {(name, "READY") for name in SIGNATURES}
    assert client.ready()
    client.wait_ready(1)
    before = client.stats("matrix")["inference_count"]
    client.predict([[1, 2, 3]] * 5, model="matrix")
    assert client.stats("matrix")["inference_count"] == before + 5


WRONG: list[tuple[dict[str, Any], type[errors.PenstockError], str]] = [
    ({"inputs": [[1, 2, 3]], "model": "matrx"}, errors.UnknownModel, "did you mean 'matrix'?"),
    ({"inputs": [[1, 2, 3]]}, errors.NotFound, "several models"),
    ({"inputs": [["a", "b", "c"]], "model": "matrix"}, errors.BadInput, "got str"),
    ({"inputs": np.zeros((2000, 4)), "model": "matrix"}, errors.BadInput, "shape"),
    ({"inputs": [[1]], "model": "matrix", "outputs": ["x"]}, errors.BadInput, ""),
]


@pytest.mark.parametrize(("call", "kind", "message"), WRONG)
def test_the_servers_errors_keep_their_class_message_and_request_id(
    client: Client, call: dict[str, Any], kind: type[errors.PenstockError], message: str
) -> None:
    with pytest.raises(kind) as caught:
        client.predict(**call)
    assert type(caught.value) is kind
    assert message in caught.value.message
    assert caught.value.__notes__[0].startswith("request id ")


MEANINGLESS: list[tuple[dict[str, Any], str]] = [
    ({"inputs": "abc", "model": "matrix"}, "must be a list of rows"),
    ({"inputs": 3, "model": "matrix"}, "must be a list of rows"),
    ({"inputs": np.float64(3), "model": "matrix"}, "first axis"),
    ({"inputs": [[float("inf"), 1.0, 2.0]], "model": "matrix"}, "infinity, which JSON lacks"),
    ({"inputs": [{1, 2}.__iter__()], "model": "matrix"}, "cannot be sent as JSON"),
    ({"inputs": pd.DataFrame({"price": [1.0], "town": ["Oslo"]}), "model": "bill"}, "unknown column town"),
    ({"inputs": pd.DataFrame({"price": ["x"], "city": ["Oslo"]}), "model": "bill"}, "must be FP64"),
    ({"inputs": pd.DataFrame({"price": [1.0], "city": [None]}), "model": "bill"}, "text or bytes"),
    ({"inputs": np.zeros((3000, 2)), "model": "bill"}, "send a DataFrame with the columns: city, price"),
]


@pytest.mark.parametrize(("call", "message"), MEANINGLESS)
def test_what_cannot_be_sent_is_refused_here(client: Client, call: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.BadInput, match=message):
        client.predict(**call)


def test_a_deadline_is_the_servers_own_error(client: Client) -> None:
    with pytest.raises(errors.DeadlineExceeded) as caught:
        client.predict([[2.0]], model="slow", timeout_ms=100)
    assert "request id" in caught.value.__notes__[0]


def test_a_client_gives_up_by_itself(client: Client) -> None:
    with Client(client.url, timeout_s=0.2) as hasty, pytest.raises(errors.DeadlineExceeded, match=r"within 0\.2 s"):
        hasty.predict([[2.0]], model="slow")


def test_many_threads_share_one_client(client: Client) -> None:
    wrong: list[Any] = []

    def ask(number: int) -> None:
        for _ in range(20):
            answer = client.predict([[number, 0, 0]], model="matrix")
            if answer != [[2 * number, 0, 0]]:
                wrong.append((number, answer))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong


# --- without a server, or with another one


def test_nothing_answers() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with Client(url) as client:
            assert not client.ready()
            with pytest.raises(errors.Unavailable, match="is the server running"):
                client.predict([1])
            with pytest.raises(errors.Unavailable, match=r"not ready after 0\.1 s; nothing answers"):
                client.wait_ready(0.1)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(404, errors.NotFound), (502, errors.Unavailable), (503, errors.Unavailable), (500, errors.Internal)],
)
def test_an_answer_that_is_not_ours(status: int, kind: type[errors.PenstockError]) -> None:
    class Stranger(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(b"<html")

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Stranger) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        with (
            Client(f"http://127.0.0.1:{server.server_port}") as client,
            pytest.raises(kind, match="is this a Penstock"),
        ):
            client.models()
        thread.join(10)


@pytest.mark.parametrize("url", ["gopher://x", "127.0.0.1:8000", "http://", "http://[::1", ""])
def test_a_url_that_is_none(url: str) -> None:
    with pytest.raises(errors.ConfigError, match="is no URL"):
        Client(url)


def test_importing_the_client_imports_no_server(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = "import sys, penstock; penstock.Client; print([m for m in sys.modules if m.startswith('penstock.')])"
    names = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True, timeout=60).stdout
    assert "penstock.core.errors" in names
    assert not any(room in names for room in ("protocols", "scheduling", "runtimes", "config", "app"))
