"""The class that a person subclasses to serve anything that Python can do."""

from __future__ import annotations

from typing import Any


class Model:
    """A model in Python: loaded once per worker, then asked for batches.

    `predict` takes one batch: rows first. With one input it gets one argument (an array, or a list
    of str for text), with several one keyword argument per input. It returns an array or list with
    one row per input row, or a dict of those by output name, or a tuple.

        class Shout(Model):
            def predict(self, texts: list[str]) -> list[str]:
                return [text.upper() for text in texts]
    """

    def load(self) -> None:
        """Called once in the worker, before the first batch: open files, build tables."""

    def predict(self, *args: Any, **kwargs: Any) -> Any:
        """Answers one batch."""
        raise NotImplementedError(f"{type(self).__qualname__} needs a predict method")
