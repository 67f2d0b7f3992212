"""From output tensors to an infer response's bytes: JSON, and the binary tensor extension."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.core.errors import BadInput
from penstock.core.reply import Meta
from penstock.core.rows import to_json
from penstock.core.tensors import Tensor, Tensors, to_raw
from penstock.protocols.answer import chosen, timing_headers
from penstock.protocols.http.message import JSON, OCTETS, HttpResponse
from penstock.protocols.oip.decode import Infer
from penstock.protocols.oip.messages import InferResponse, OutputTensor

_encode = msgspec.json.Encoder().encode


def encode(infer: Infer, outputs: Tensors, meta: Meta) -> HttpResponse:
    """The response. NaN and infinities are null in JSON, and themselves in binary data."""
    binary: list[Any] = []
    tensors = [_output(name, tensor, infer, binary) for name, tensor in chosen(outputs, infer.outputs).items()]
    head = _encode(InferResponse(meta.model, meta.version, tensors, infer.id))
    headers = timing_headers(meta)
    if not binary:
        return HttpResponse(200, head, JSON, headers)
    headers.append((b"inference-header-content-length", b"%d" % len(head)))
    return HttpResponse(200, [head, *binary], OCTETS, headers)


def _output(name: str, tensor: Tensor, infer: Infer, binary: list[Any]) -> OutputTensor:
    datatype, array = tensor
    if infer.binary_outputs.get(name, infer.binary):
        raw = to_raw(tensor)
        binary.append(raw)
        return OutputTensor(name, array.shape, datatype, {"binary_data_size": len(raw)})
    if datatype == "BF16" or datatype == "FP16":
        raise BadInput(f"output {name!r} is {datatype}, which has no JSON form; ask for binary_data")
    flat = Tensor(datatype, array.reshape(-1))
    return OutputTensor(name, array.shape, datatype, None, to_json(flat))
