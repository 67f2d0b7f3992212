"""From output tensors to an infer response's bytes: JSON, and the binary tensor extension."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.core.errors import BadInput
from penstock.core.reply import Meta
from penstock.core.rows import to_json
from penstock.core.tensors import DTYPES, Tensor, Tensors, to_raw
from penstock.protocols import json_arrays
from penstock.protocols.answer import chosen, reply_headers
from penstock.protocols.aside import HEAVY
from penstock.protocols.http.encoding import WORTH_IT
from penstock.protocols.http.message import JSON, OCTETS, HttpResponse
from penstock.protocols.oip.decode import Infer
from penstock.protocols.oip.messages import InferResponse, OutputTensor

_PLAIN = frozenset(DTYPES) - {"BYTES", "BF16", "FP16"}
_encode = msgspec.json.Encoder().encode


def heavy(infer: Infer, outputs: Tensors) -> bool:
    """Whether encoding takes long: much that goes as JSON."""
    return not (infer.binary or infer.binary_outputs) and json_arrays.count(outputs) * json_arrays.DIGITS > HEAVY


def encode(infer: Infer, outputs: Tensors, meta: Meta) -> HttpResponse:
    """The response. NaN and infinities are null in JSON, and themselves in binary data."""
    headers = reply_headers(meta, outputs)
    if infer.outputs is not None:
        outputs = chosen(outputs, infer.outputs)
    binary: list[Any] = []
    if infer.binary or infer.binary_outputs:
        tensors = [_output(name, tensor, infer, binary) for name, tensor in outputs.items()]
    else:
        tensors = [_json_output(name, tensor) for name, tensor in outputs.items()]
    head = _encode(InferResponse(meta.model, meta.version, tensors, infer.id))
    if not binary:
        return HttpResponse(200, head, JSON, headers, dense=len(head) > WORTH_IT and json_arrays.is_dense(outputs))
    headers.append((b"inference-header-content-length", b"%d" % len(head)))
    return HttpResponse(200, [head, *binary], OCTETS, headers)


def _output(name: str, tensor: Tensor, infer: Infer, binary: list[Any]) -> OutputTensor:
    if not (infer.binary_outputs or {}).get(name, infer.binary):
        return _json_output(name, tensor)
    raw = to_raw(tensor)
    binary.append(raw)
    return OutputTensor(name, tensor.array.shape, tensor.datatype, {"binary_data_size": len(raw)})


def _json_output(name: str, tensor: Tensor) -> OutputTensor:
    datatype, array = tensor
    data: list[Any] | msgspec.Raw
    if datatype == "FP32" or (datatype in _PLAIN and array.size >= json_arrays.WIDE):
        data = msgspec.Raw(json_arrays.encode(array.ravel()))
    elif datatype in _PLAIN:
        data = array.ravel().tolist()
    elif datatype == "BYTES":
        data = to_json(Tensor(datatype, array.reshape(-1)))
    else:
        raise BadInput(f"output {name!r} is {datatype}, which has no JSON form; ask for binary_data")
    return OutputTensor(name, array.shape, datatype, None, data)
