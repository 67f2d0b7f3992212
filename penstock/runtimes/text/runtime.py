"""Models that read text: from texts to embeddings, labels, scores, entities or candidates."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from penstock.core import text as words
from penstock.core.errors import BadInput, ConfigError, ModelFileError
from penstock.core.model import ModelSpec
from penstock.core.signature import Signature, TensorSpec
from penstock.core.tensors import Array
from penstock.runtimes import classes
from penstock.runtimes.shapes import empty_outputs, no_rows
from penstock.runtimes.text.engines.choice import open_engine
from penstock.runtimes.text.engines.contract import Engine
from penstock.runtimes.text.head import Head
from penstock.runtimes.text.heads import head_of
from penstock.runtimes.text.padding import padded
from penstock.runtimes.text.plan import MOST, Micro, Planner
from penstock.runtimes.text.reading import Reader, Row
from penstock.runtimes.text.tokenizer import Tokenizer, open_tokenizer

# Shapes (rows, length) that are tried while the model loads, so that the first short texts find their kernels.
_WARM = ((1, 8), (1, 16), (1, 32), (8, 16), (32, 16), (1, 12), (1, 24), (4, 16), (16, 16), (8, 24), (8, 32), (32, 32))
WARM_S = 0.6
# Numbers that one call of the network may answer: vocabularies are long.
_MOST_NUMBERS = 2**26


class TextRuntime:
    """Runs one text model: tokenizer, network and what its task makes of the network's numbers."""

    borrows = True

    def __init__(self) -> None:
        self.signature = Signature(())
        self._tokenizer: Tokenizer
        self._engine: Engine
        self._head: Head
        self._reader: Reader
        self._planner: Planner

    def load(self, spec: ModelSpec) -> Signature:
        """Opens tokenizer and network, checks that they fit each other, and warms up.

        Raises `ModelFileError` when they do not, `ConfigError` for options that fit neither.
        """
        model = description(spec)
        self._tokenizer = open_tokenizer(_folder(spec) / model.tokenizer, model.vocab_size, model.padding)
        self._head = head_of(model, self._tokenizer)
        self._reader = Reader(self._tokenizer, model, pairs=self._head.pairs is True, places=self._head.places)
        self._engine = open_engine(spec, model, self._tokenizer.pad)
        self._planner = Planner(model.max_length)
        shape = self._warm_up(model.max_length)
        outputs = self._head.outputs(shape)
        self._planner = Planner(model.max_length, most=min(MOST, _MOST_NUMBERS // shape[-1]))
        self.signature = _signature(model, self._head.pairs, outputs)
        return self.signature

    def _warm_up(self, longest: int) -> tuple[int, ...]:
        """Runs some shapes, for at most `WARM_S` seconds; the shape of the first answer."""
        until = time.perf_counter() + WARM_S
        shape: tuple[int, ...] = ()
        for rows, length in _WARM:
            if shape and (length > longest or time.perf_counter() > until):
                continue
            micro = Micro((), rows, min(length, longest))
            try:
                values = self._engine.run(*padded((), micro, self._tokenizer.pad))
            except Exception as error:
                raise ModelFileError("the network fails on a text of one word", detail=str(error)) from error
            shape = shape or values.shape
        return shape

    def run(self, inputs: dict[str, Array]) -> dict[str, Array]:
        """Runs one batch. Raises `BadRows` before it computes anything when rows cannot be read."""
        if no_rows(self.signature, inputs):
            return empty_outputs(self.signature)
        if words.PAIR in inputs and self._head.pairs is None:
            raise BadInput("this model reads one text at a time, no pairs")
        rows = self._reader.read(inputs)
        self._head.check(rows)
        outputs = self._answers(rows)
        outputs[words.TOKENS] = np.fromiter((len(row.ids) for row in rows), np.int32, len(rows))
        outputs[words.TRUNCATED] = np.fromiter((row.truncated for row in rows), np.bool_, len(rows))
        return outputs

    def _answers(self, rows: Sequence[Row]) -> dict[str, Array]:
        """The head's outputs for all rows, in order, computed in micro-batches."""
        outputs: dict[str, Array] = {}
        for micro in self._planner.plan([len(row.ids) for row in rows]):
            members = [rows[number] for number in micro.members]
            values = self._engine.run(*padded(members, micro, self._tokenizer.pad))
            for name, part in self._head.answer(values, members).items():
                if name not in outputs:
                    outputs[name] = np.empty((len(rows), *part.shape[1:]), part.dtype)
                outputs[name][micro.members] = part
        return outputs


def description(spec: ModelSpec) -> words.TextModel:
    """The model's description. Raises `ConfigError` when its options are none."""
    classes.check_no_classifier(spec.output)
    if spec.batched is False:
        raise ConfigError("batched: false does not fit a text model, whose rows never influence each other")
    try:
        return msgspec.convert(spec.options, words.TextModel)
    except msgspec.ValidationError as error:
        raise ConfigError(f"the options describe no text model: {error}") from error


def _folder(spec: ModelSpec) -> Path:
    path = Path(spec.path)
    return path if path.is_dir() else path.parent


def _signature(model: words.TextModel, pairs: bool | None, outputs: tuple[TensorSpec, ...]) -> Signature:
    inputs = [TensorSpec(words.TEXT, "BYTES", (-1,))]
    if pairs is not None:
        inputs.append(TensorSpec(words.PAIR, "BYTES", (-1,), optional=not pairs))
    inputs.append(TensorSpec(words.TOKEN_IDS, "BYTES", (-1,), optional=True))
    inputs.append(TensorSpec(words.TRUNCATE, "BOOL", (-1,), optional=True))
    always = (TensorSpec(words.TOKENS, "INT32", (-1,)), TensorSpec(words.TRUNCATED, "BOOL", (-1,)))
    return Signature(tuple(inputs), (*outputs, *always), task=model.task, max_tokens=model.max_length)
