"""`penstock.Client`: asks a Penstock server, with rows, arrays or DataFrames, and gets its errors as exceptions."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any
from urllib.parse import quote

import msgspec
import numpy as np
import urllib3

from penstock.core.access import SERVER_VARIABLE, authorization, key_for
from penstock.core.errors import (
    BadInput,
    ConfigError,
    DeadlineExceeded,
    Internal,
    NotFound,
    PenstockError,
    Unavailable,
    by_code,
)
from penstock.core.rows import tensors_to_rows
from penstock.core.signature import Signature, TensorSpec
from penstock.core.tensors import DTYPES, Array, Tensor, from_raw, to_raw

LARGE = 4096
"""Values in an array from which binary data beats JSON."""
GRACE_S = 5.0
"""How much longer than the server's own deadline the client waits for the answer about it."""
TAKES = {"f": "iuf", "i": "iu", "u": "iu", "b": "b"}
"""Kinds of numpy dtypes by the kind of datatype that takes them."""
HEADER_LENGTH = "Inference-Header-Content-Length"


class Client:
    """A connection to one server, for any number of threads; connections are kept and used again.

    with penstock.Client("http://127.0.0.1:8000") as client:
        client.predict([[5.1, 3.5, 1.4, 0.2]], model="iris")

    `url`: without it, $PENSTOCK_URL, which a served model finds set to its own server, else port 8000 of this machine.
    `timeout_s`: how long to wait for one answer. `connections`: kept open at most. `key`: an API key; without it,
    $PENSTOCK_API_KEY, which is for the server at $PENSTOCK_URL alone where that is set.
    """

    def __init__(
        self, url: str | None = None, timeout_s: float = 30.0, *, connections: int = 32, key: str | None = None
    ):
        url = os.environ.get(SERVER_VARIABLE, "http://127.0.0.1:8000") if url is None else url
        self.url = url.rstrip("/")
        self._own = authorization(key_for(self.url) if key is None else key)
        self._timeout_s = timeout_s
        self._base = _path_of(self.url)
        self._pool = urllib3.connection_from_url(self.url, maxsize=connections, retries=False)
        self._signatures: dict[str, Signature] = {}

    # --- asking models

    def predict(
        self,
        inputs: Any,
        model: str | None = None,
        outputs: Sequence[str] | None = None,
        timeout_ms: float | None = None,
    ) -> list[Any]:
        """One output per input row.

        `inputs`: a list of rows as the model takes them, an array whose first axis is rows, or a
        DataFrame. `model`: may be left out when the server has only one. `outputs`: the names of
        those wanted (default: all); with one, a row's output is its value, with several a dict.
        `timeout_ms`: the server gives up after that. Raises the server's error as its class.
        """
        if is_frame(inputs) or (isinstance(inputs, np.ndarray) and wants_binary(inputs)):
            return self._predict_binary(inputs, model, outputs, timeout_ms)
        message: dict[str, Any] = {"inputs": rows_of(inputs)}
        if outputs is not None:
            message["outputs"] = list(outputs)
        if timeout_ms is not None:
            message["timeout_ms"] = timeout_ms
        path = "/predict" if model is None else f"/models/{quote(model, '')}/predict"
        answer = self._json("POST", path, encode(message), timeout_ms=timeout_ms)
        rows: list[Any] = answer["outputs"]
        return rows

    def infer(
        self,
        model: str,
        inputs: Mapping[str, Any],
        outputs: Sequence[str] | None = None,
        timeout_ms: float | None = None,
    ) -> dict[str, Array]:
        """Arrays by output name for arrays by input name, as binary data both ways.

        Arrays go as they are: their dtypes must be those of the model's signature.
        """
        tensors = {name: Tensor.of(values) for name, values in inputs.items()}
        answer = self._infer(model, tensors, outputs, timeout_ms)
        return {name: tensor.array for name, tensor in answer.items()}

    # --- asking the server

    def models(self) -> list[dict[str, Any]]:
        """What is served: name, version, runtime, state and the state's reason of every model."""
        found: list[dict[str, Any]] = self._json("GET", "/models")["models"]
        return found

    def stats(self, model: str) -> dict[str, Any]:
        """Totals of a model since its start: rows (`inference_count`), batches (`execution_count`), durations."""
        found: dict[str, Any] = self._json("GET", f"/v2/models/{quote(model, '')}/stats")["model_stats"][0]
        return found

    def ready(self) -> bool:
        """Whether every model takes requests; False when nothing answers."""
        try:
            return self._send("GET", "/readyz").status == 200
        except PenstockError:
            return False

    def wait_ready(self, timeout_s: float = 60.0) -> None:
        """Waits until every model takes requests. Raises `Unavailable` when they do not in time."""
        until = time.monotonic() + timeout_s
        while not self.ready():
            if time.monotonic() >= until:
                raise Unavailable(f"{self.url} is not ready after {timeout_s:g} s; {self._unready()}")
            time.sleep(0.05)

    def _unready(self) -> str:
        try:
            waiting = [model for model in self.models() if model["state"] != "READY"]
        except PenstockError as error:
            return error.message
        return ", ".join(f"{model['name']} is {model['state']}" for model in waiting) or "it is stopping"

    def close(self) -> None:
        """Closes the connections."""
        self._pool.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"penstock.Client({self.url!r})"

    # --- how

    def _predict_binary(
        self, inputs: Any, model: str | None, outputs: Sequence[str] | None, timeout_ms: float | None
    ) -> list[Any]:
        """The same answer as by JSON, by way of the model's signature; NaN stays NaN."""
        name = self._only_model() if model is None else model
        signature = self._signature(name)
        tensors = frame_tensors(inputs, signature) if is_frame(inputs) else array_tensors(inputs, signature)
        return tensors_to_rows(signature, self._infer(name, tensors, outputs, timeout_ms))

    def _only_model(self) -> str:
        names = list(dict.fromkeys(model["name"] for model in self.models()))
        if len(names) != 1:
            raise NotFound(f"several models are served; name one: {', '.join(names[:10])}")
        return str(names[0])

    def _signature(self, model: str) -> Signature:
        """The model's inputs, asked once."""
        known = self._signatures.get(model)
        if known is None:
            said = self._json("GET", f"/v2/models/{quote(model, '')}")
            inputs = tuple(TensorSpec(i["name"], i["datatype"], tuple(i["shape"])) for i in said["inputs"])
            known = Signature(inputs, batched=said.get("parameters", {}).get("batched", True))
            if known.inputs:
                self._signatures[model] = known
        return known

    def _infer(
        self, model: str, tensors: Mapping[str, Tensor], outputs: Sequence[str] | None, timeout_ms: float | None
    ) -> dict[str, Tensor]:
        head, body = infer_body(tensors, outputs, timeout_ms)
        headers = {HEADER_LENGTH: str(head), "Content-Type": "application/octet-stream"}
        response = self._send("POST", f"/v2/models/{quote(model, '')}/infer", body, headers, timeout_ms)
        raise_for(response)
        return infer_outputs(response.data, response.headers.get(HEADER_LENGTH))

    def _json(self, method: str, path: str, body: bytes | None = None, timeout_ms: float | None = None) -> Any:
        response = self._send(method, path, body, timeout_ms=timeout_ms)
        raise_for(response)
        return msgspec.json.decode(response.data)

    def _send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_ms: float | None = None,
    ) -> urllib3.BaseHTTPResponse:
        """One exchange. Raises `Unavailable` when nothing answers, `DeadlineExceeded` when too late."""
        timeout_s = self._timeout_s if timeout_ms is None else max(self._timeout_s, timeout_ms / 1000 + GRACE_S)
        kind = {"Content-Type": "application/json"} if body is not None and headers is None else headers
        wanted = {**(kind or {}), **self._own}
        timeout = urllib3.Timeout(connect=min(timeout_s, 10.0), read=timeout_s)
        try:
            return self._pool.urlopen(method, self._base + path, body, wanted, timeout=timeout)
        except urllib3.exceptions.ReadTimeoutError as error:
            raise DeadlineExceeded(f"{self.url} did not answer within {timeout_s:g} s") from error
        except urllib3.exceptions.NewConnectionError as error:
            raise Unavailable(f"nothing answers at {self.url}; is the server running?") from error
        except urllib3.exceptions.HTTPError as error:
            raise Unavailable(f"the connection to {self.url} failed: {type(error).__name__}") from error


def _path_of(url: str) -> str:
    """The path that a server's URL begins with. Raises `ConfigError` for what is no URL of HTTP."""
    try:
        parsed = urllib3.util.parse_url(url)
    except urllib3.exceptions.LocationParseError:
        parsed = None
    if parsed is None or parsed.scheme not in ("http", "https") or not parsed.host:
        raise ConfigError(f"{url!r} is no URL such as http://127.0.0.1:8000")
    return parsed.path or ""


def wants_binary(array: Array) -> bool:
    """Whether an array is better sent as binary data: large numbers of values, or NaN, which JSON lacks."""
    if array.dtype.kind not in "biuf":
        return False
    return array.size >= LARGE or (array.dtype.kind == "f" and not np.isfinite(array).all())


def rows_of(inputs: Any) -> list[Any]:
    """A list of rows from a list, an array or a Series."""
    if hasattr(inputs, "tolist"):
        rows: list[Any] = inputs.tolist()
    elif isinstance(inputs, (list, tuple)):
        rows = list(inputs)
    else:
        raise BadInput(f"inputs must be a list of rows, an array or a DataFrame, not {type(inputs).__name__}")
    if not isinstance(rows, list):
        raise BadInput("inputs must have a first axis that counts rows; put a single row into a list")
    return rows


def encode(message: Any) -> bytes:
    """JSON, with numpy values as plain ones; NaN goes as null, which the server reads as NaN where the
    input is floating-point. Raises `BadInput` for what JSON cannot hold."""
    try:
        body = msgspec.json.encode(message, enc_hook=_plain)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadInput(f"the inputs cannot be sent as JSON: {error}") from error
    if b"null" in body and _has_infinity(message["inputs"]):
        raise BadInput("the inputs hold infinity, which JSON lacks; send a numpy array or a DataFrame")
    return body


def _plain(value: Any) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is no value of JSON")


def _has_infinity(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_infinity, value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(_has_infinity, value))
    if isinstance(value, np.ndarray):
        return _has_infinity(value.tolist())
    return isinstance(value, (float, np.floating)) and math.isinf(value)


def is_frame(inputs: Any) -> bool:
    """Whether this is a table with named columns, such as a pandas DataFrame."""
    return hasattr(inputs, "columns") and hasattr(inputs, "to_numpy")


def array_tensors(array: Array, signature: Signature) -> dict[str, Tensor]:
    """An array as a model's only input, in its datatype."""
    if len(signature.inputs) != 1:
        takes = ", ".join(spec.name for spec in signature.inputs[:20])
        raise BadInput(f"the model takes several inputs; send a DataFrame with the columns: {takes}")
    spec = signature.inputs[0]
    return {spec.name: fitted(array, spec)}


def frame_tensors(frame: Any, signature: Signature) -> dict[str, Tensor]:
    """A table's columns as inputs of their names; a model with one matrix takes the whole table.

    Raises `BadInput` for columns that the model does not have, and values that do not fit.
    """
    specs = {spec.name: spec for spec in signature.inputs}
    names = [str(name) for name in frame.columns]
    if len(specs) == 1 and names != list(specs):
        return array_tensors(np.asarray(frame), signature)
    unknown = [name for name in names if name not in specs]
    if unknown:
        raise BadInput(f"unknown column {', '.join(unknown[:5])}; the model takes: {', '.join(list(specs)[:20])}")
    arrays = zip(names, (np.asarray(frame[name]) for name in frame.columns), strict=True)
    return {name: fitted(array.reshape(-1, *specs[name].shape[1:]), specs[name]) for name, array in arrays}


def fitted(array: Array, spec: TensorSpec) -> Tensor:
    """The array in the input's datatype. Raises `BadInput` when values would change, as by JSON they may not."""
    wanted = DTYPES[spec.datatype]
    if spec.datatype == "BYTES" and array.dtype.kind in "OUS":
        return Tensor.of(array)
    if spec.datatype == "BF16" or array.dtype.kind not in TAKES.get(wanted.kind, ""):
        raise BadInput(f"input {spec.name!r} must be {spec.datatype}, got an array of {array.dtype}")
    with np.errstate(over="ignore", invalid="ignore"):
        cast = np.ascontiguousarray(array.astype(wanted, copy=False))
    exact = np.isfinite(cast) == np.isfinite(array) if wanted.kind == "f" else cast == array
    if not exact.all():
        raise BadInput(f"a value is out of the range of {spec.datatype}")
    return Tensor(spec.datatype, cast)


def infer_body(
    tensors: Mapping[str, Tensor], outputs: Sequence[str] | None, timeout_ms: float | None
) -> tuple[int, bytes]:
    """An infer request of the Open Inference Protocol with binary data; also how long its JSON part is."""
    raws = [to_raw(tensor) for tensor in tensors.values()]
    inputs = [
        {
            "name": name,
            "datatype": tensor.datatype,
            "shape": tensor.array.shape,
            "parameters": {"binary_data_size": len(raw)},
        }
        for (name, tensor), raw in zip(tensors.items(), raws, strict=True)
    ]
    parameters: dict[str, Any] = {"binary_data_output": True}
    if timeout_ms is not None:
        parameters["timeout_ms"] = timeout_ms
    message: dict[str, Any] = {"inputs": inputs, "parameters": parameters}
    if outputs is not None:
        message["outputs"] = [{"name": name} for name in outputs]
    head = msgspec.json.encode(message)
    return len(head), b"".join([head, *raws])


def infer_outputs(body: bytes, head: str | None) -> dict[str, Tensor]:
    """The outputs of an infer response with binary data."""
    at = int(head) if head is not None else len(body)
    view = memoryview(body)
    found: dict[str, Tensor] = {}
    for output in msgspec.json.decode(view[:at])["outputs"]:
        size = output["parameters"]["binary_data_size"]
        array = from_raw(output["datatype"], output["shape"], view[at : at + size])
        # After a head of any length the values lie where many libraries do not take them.
        found[output["name"]] = Tensor(output["datatype"], np.require(array, requirements="A"))
        at += size
    return found


def raise_for(response: urllib3.BaseHTTPResponse) -> None:
    """Raises the error that a response tells, as its own class, with the request id as a note."""
    if response.status < 400:
        return
    message, kind = _told(response)
    error = kind.__new__(kind)
    PenstockError.__init__(error, message, retry_after_s=_seconds(response.headers.get("Retry-After")))
    request_id = response.headers.get("X-Request-Id")
    if request_id:
        error.detail = f"request id {request_id}"
        more = ": the server's log has more under it" if response.status >= 500 else ""
        error.add_note(f"request id {request_id}{more}")
    raise error


def _told(response: urllib3.BaseHTTPResponse) -> tuple[str, type[PenstockError]]:
    try:
        said = msgspec.json.decode(response.data)
        told = said["error"] if isinstance(said["error"], dict) else {**said, "message": said["error"]}
        return str(told["message"]), by_code(str(told["code"]))
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
        kinds: dict[int, type[PenstockError]] = {404: NotFound, 502: Unavailable, 503: Unavailable}
        kind = kinds.get(response.status, Internal if response.status >= 500 else BadInput)
        return f"HTTP status {response.status} without a reason; is this a Penstock server?", kind


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None and text.isdigit() else None
