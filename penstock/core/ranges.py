"""What a sampling setting may be, whoever says it: a request, a model's files, a person at the terminal."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

MAX_TOKENS = 1_000_000
LEAST_SHARE = 1e-6
"""The least nucleus: as 0, it keeps only the likeliest token, and every engine takes it."""

Temperature = Annotated[float, Meta(ge=0, le=2)]
Share = Annotated[float, Meta(ge=0, le=1)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
Repetition = Annotated[float, Meta(gt=0, le=10)]
TopK = Annotated[int, Meta(ge=-1, le=MAX_TOKENS)]
MaxTokens = Annotated[int, Meta(ge=1, le=MAX_TOKENS)]
MinTokens = Annotated[int, Meta(ge=0, le=MAX_TOKENS)]
Seed = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
