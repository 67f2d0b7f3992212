"""From an infer request's bytes to tensors: JSON, and the binary tensor extension."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from penstock.core.errors import BadInput, TooLarge
from penstock.core.signature import Signature
from penstock.core.tensors import DTYPES, Array, Tensor, count_elements, from_raw
from penstock.protocols.aside import HEAVY
from penstock.protocols.http.message import HttpRequest
from penstock.protocols.json_tensors import array_of, check_size
from penstock.protocols.oip.messages import InferRequest, InputTensor, Parameter

HEADER_LENGTH = b"inference-header-content-length"
MAX_TENSORS = 1024
MAX_DIMENSIONS = 32
MAX_BYTES_ELEMENTS = 1_000_000
NOT_OFFERED = frozenset(
    (
        "classification",
        "sequence_end",
        "sequence_id",
        "sequence_start",
        "shared_memory_byte_size",
        "shared_memory_offset",
        "shared_memory_region",
    )
)
"""Parameters of the protocol's extensions that this server does not have."""
_decoder = msgspec.json.Decoder(InferRequest)


@dataclass(slots=True)
class Infer:
    """What an infer request asks for.

    `binary`: whether outputs go as binary data; `binary_outputs`: those that say so themselves.
    """

    tensors: dict[str, Tensor]
    id: str | None = None
    parameters: Mapping[str, Parameter] | None = None
    outputs: tuple[str, ...] | None = None
    binary: bool = False
    binary_outputs: dict[str, bool] | None = None


def heavy(http: HttpRequest) -> bool:
    """Whether decoding a large request takes long: numbers in binary form do not, JSON and BYTES do."""
    given = http.headers.get(HEADER_LENGTH)
    if given is None:
        return True
    length = _header_length(given, len(http.body))
    return length > HEAVY or http.body.find(b'"BYTES"', 0, length) >= 0


def decode(http: HttpRequest, signature: Callable[[], Signature | None]) -> Infer:
    """Reads a request. `signature` is asked only for a raw body, which does not describe itself.

    Raises `BadInput` saying which tensor is wrong, and how, and for parameters that ask for an
    extension that is not offered (`NOT_OFFERED`). Parameters unknown to the protocol are the client's own.
    """
    given = http.headers.get(HEADER_LENGTH)
    if given is None:
        message, binary = _parse(http.body), memoryview(b"")
    else:
        length = _header_length(given, len(http.body))
        if length == 0:
            return _raw_body(http.body, signature())
        message, binary = _parse(http.body[:length]), memoryview(http.body)[length:]
    tensors = _tensors(message.inputs, binary)
    if message.outputs is None and message.parameters is None:
        return Infer(tensors, message.id)
    return _with_wishes(Infer(tensors, message.id), message)


def _parse(body: bytes | bytearray) -> InferRequest:
    check_size(body)
    try:
        message = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadInput(f"the body is not a valid infer request: {error}") from None
    except RecursionError:
        raise BadInput("the JSON is nested too deeply") from None
    if len(message.inputs) > MAX_TENSORS or len(message.outputs or ()) > MAX_TENSORS:
        raise BadInput(f"at most {MAX_TENSORS} tensors in one request")
    return message


def _header_length(given: bytes, total: int) -> int:
    if not given.isdigit() or len(given) > 18 or int(given) > total:
        raise BadInput(f"Inference-Header-Content-Length must be a number from 0 to the body's length, {total}")
    return int(given)


def _tensors(inputs: list[InputTensor], binary: memoryview) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    at = 0
    for tensor in inputs:
        if tensor.parameters is not None:
            _check_offered(tensor.parameters)
        if tensor.name in tensors:
            raise BadInput(f"input {tensor.name[:64]!r} is given twice")
        try:
            if tensor.parameters is not None and "binary_data_size" in tensor.parameters:
                size = _binary_size(tensor, len(binary) - at)
                array = from_raw(tensor.datatype, _binary_shape(tensor), binary[at : at + size])
                at += size
            else:
                array = _json_array(tensor)
        except BadInput as error:
            raise type(error)(f"input {tensor.name[:64]!r}: {error.message}") from None
        tensors[tensor.name] = Tensor(tensor.datatype, array)
    if at != len(binary):
        raise BadInput(f"{len(binary) - at} bytes of binary data belong to no input; check binary_data_size")
    return tensors


def _check_offered(parameters: Mapping[str, Parameter]) -> None:
    """Refuses what would change the answer and cannot be done; 0, false and empty ask for nothing."""
    if NOT_OFFERED.isdisjoint(parameters):
        return
    asked = sorted(name for name in NOT_OFFERED & parameters.keys() if parameters[name])
    if asked:
        raise BadInput(f"{', '.join(asked)} is not offered by this server; leave it out")


def _shape(tensor: InputTensor) -> list[int]:
    if len(tensor.shape) > MAX_DIMENSIONS:
        raise BadInput(f"at most {MAX_DIMENSIONS} dimensions")
    return tensor.shape


def _binary_shape(tensor: InputTensor) -> list[int]:
    shape = _shape(tensor)
    if tensor.datatype == "BYTES" and count_elements(shape) > MAX_BYTES_ELEMENTS:
        raise TooLarge(f"at most {MAX_BYTES_ELEMENTS} BYTES elements; send fewer rows at a time")
    return shape


def _binary_size(tensor: InputTensor, left: int) -> int:
    assert tensor.parameters is not None
    size = tensor.parameters["binary_data_size"]
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= left:
        raise BadInput(f"binary_data_size must be between 0 and the {left} bytes that are left, got {size!r}")
    if tensor.data is not msgspec.UNSET:
        raise BadInput("has both data and binary_data_size; send one")
    return size


def _json_array(tensor: InputTensor) -> Array:
    if isinstance(tensor.data, msgspec.UnsetType):
        raise BadInput("has neither data nor binary_data_size")
    array = array_of(tensor.datatype, tensor.data)
    shape = _shape(tensor)
    if array.ndim != 1 and array.shape != tuple(shape):
        raise BadInput(f"shape says {shape[:8]}, data is nested as {list(array.shape)}")
    expected = count_elements(shape)
    if expected != array.size:
        raise BadInput(f"shape {shape[:8]} needs {expected} values, data has {array.size}")
    return array.reshape(shape)


def _raw_body(body: bytes | bytearray, signature: Signature | None) -> Infer:
    """Header length 0: the body is the raw bytes of the model's only input, one row."""
    if signature is None or len(signature.inputs) != 1:
        raise BadInput("a raw body needs a model with exactly one input")
    spec = signature.inputs[0]
    if spec.datatype == "BYTES":
        raw = len(body).to_bytes(4, "little") + body
        return Infer({spec.name: Tensor("BYTES", from_raw("BYTES", [1] * len(spec.shape), raw))}, binary=True)
    shape = _raw_shape(spec.shape, len(body) // DTYPES[spec.datatype].itemsize)
    return Infer({spec.name: Tensor(spec.datatype, from_raw(spec.datatype, shape, body))}, binary=True)


def _raw_shape(shape: tuple[int, ...], elements: int) -> list[int]:
    """The spec's shape with its variable dimensions filled: all 1, but the last takes what is left."""
    sizes = [1 if size == -1 else size for size in shape]
    variable = [index for index, size in enumerate(shape) if size == -1]
    if variable:
        known = count_elements(sizes)
        sizes[variable[-1] if len(variable) > 1 else variable[0]] = elements // known if known else 0
    return sizes


def _with_wishes(infer: Infer, message: InferRequest) -> Infer:
    """Fills in parameters and requested outputs."""
    for given in (message, *(message.outputs or ())):
        if given.parameters is not None:
            _check_offered(given.parameters)
    infer.parameters = message.parameters
    infer.binary = (message.parameters or {}).get("binary_data_output") is True
    if message.outputs is not None:
        names = tuple(output.name for output in message.outputs)
        if len(set(names)) != len(names):
            raise BadInput("an output is requested twice")
        infer.outputs = names or None
        wishes = {output.name: (output.parameters or {}).get("binary_data") for output in message.outputs}
        infer.binary_outputs = {name: wish is True for name, wish in wishes.items() if wish is not None}
    return infer
