"""What stands in a message: a text, or parts that are texts."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.protocols.reading import wrong

TEXTS = ("text", "input_text", "output_text", "refusal", "summary_text", "reasoning_text")


class Part(msgspec.Struct, forbid_unknown_fields=True):
    """A part of a message's content. Only text is read; the fields of other kinds are known, to say so."""

    type: str
    text: str | None = None
    refusal: str | None = None
    annotations: Any = None
    logprobs: Any = None
    cache_control: Any = None
    prompt_cache_breakpoint: Any = None
    image_url: Any = None
    input_audio: Any = None
    file: Any = None
    file_id: Any = None
    file_url: Any = None
    file_data: Any = None
    filename: Any = None
    detail: Any = None
    video_url: Any = None
    audio_url: Any = None


Content = str | list[Part] | None


def text_of(content: Content, place: str, field: str = "messages") -> str:
    """The text of a content; several parts are lines. Raises `BadInput` for what is not text."""
    if isinstance(content, str):
        return content
    if content is None:
        raise wrong(field, f"{place} is null; it is a text, or a list of text parts")
    return "\n".join(_text(part, f"{place}[{index}]", field) for index, part in enumerate(content))


def _text(part: Part, place: str, field: str) -> str:
    if part.type not in TEXTS:
        says = f"{place} is of type {part.type[:64]!r}; the models here read text alone, and URLs are not fetched"
        raise wrong(field, f"{says}: send parts of type text")
    text = part.refusal if part.type == "refusal" else part.text
    if text is None:
        raise wrong(field, f"{place} has no text")
    return text
