"""The settings of routing, each with its sentence."""

from __future__ import annotations

from typing import Annotated

import msgspec


class CacheSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Answers that are kept, row by row, so that rows asked for again are not computed again."""

    max_mb: Annotated[float, msgspec.Meta(gt=0, le=1_000_000)] = 256
    """Memory for the known rows of all versions of the model, in MiB; the least recently used make room."""
