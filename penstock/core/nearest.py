"""What is said of a name that is not known: the one that was meant, or those that there are."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from penstock.core.errors import UnknownModel

SHOWN = 10
"""Names that a refusal lists at most."""


def closest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """The known name that was probably meant; "" where none is near. `cutoff`: the least likeness, 0 to 1."""
    near = get_close_matches(name[:128], list(known), n=1, cutoff=cutoff)
    return near[0] if near else ""


def unknown(name: str, served: Iterable[str], none: str = "none") -> UnknownModel:
    """The refusal of a name. `served`: the names that may be shown to the caller; `none`: said where there are none."""
    names = list(dict.fromkeys(served))
    near = closest(name, names)
    others = f"did you mean {near!r}?" if near else f"served: {', '.join(names[:SHOWN]) or none}"
    return UnknownModel(f"no model {name[:64]!r} is served here; {others}")
