"""The tokenizer and the chat template of a language model's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from penstock.core.errors import ModelFileError
from penstock.repository.hf_files import inside, read_json
from penstock.repository.language_config import Network, ids
from penstock.repository.vocabulary import TOKENIZER, check_tokenizer

SETTINGS = "tokenizer_config.json"
TEMPLATE = "chat_template.jinja"
TEMPLATE_JSON = "chat_template.json"
MAX_TEMPLATE = 2**20


class _Named(msgspec.Struct):
    name: str
    template: str


class _Settings(msgspec.Struct):
    chat_template: str | list[_Named] | None = None
    add_bos_token: bool | None = None
    auto_map: Any = None


class _Card(msgspec.Struct):
    chat_template: str | None = None


class _Special(msgspec.Struct):
    ids: list[int] = []


class _Processor(msgspec.Struct):
    type: str = ""
    single: list[dict[str, Any]] = []
    special_tokens: dict[str, _Special] = {}
    processors: list[_Processor] = []


class _Tokenizer(msgspec.Struct):
    post_processor: _Processor | None = None


def read_tokens(folder: Path, network: Network, needed: bool) -> dict[str, Any]:
    """What `LanguageModel` says of tokens. `needed`: the runtime itself must have a tokenizer.json.

    Raises `ModelFileError` when it is missing, damaged, or of another model, and for a tokenizer that is code.
    """
    settings = read_json(folder, SETTINGS, _Settings) or _Settings()
    bos = next(iter(ids(network.bos_token_id)), None)
    path = inside(folder, TOKENIZER)
    if needed or path is not None:
        check_tokenizer(folder, network.vocab_size or 0)
    return {
        "bos": bos,
        "add_bos": bos is not None and _adds_bos(path, settings, bos),
        "chat_template": _template(folder, settings),
        "tokenizer": str(path.absolute()) if path is not None else "",
    }


def _adds_bos(path: Path | None, settings: _Settings, bos: int) -> bool:
    """What the settings say, else what tokenizer.json does with a text."""
    if settings.add_bos_token is not None or path is None:
        return bool(settings.add_bos_token)
    try:
        tokenizer = msgspec.json.decode(path.read_bytes(), type=_Tokenizer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    processor = tokenizer.post_processor or _Processor()
    return any(_begins_with(each, bos) for each in (processor, *processor.processors))


def _begins_with(processor: _Processor, bos: int) -> bool:
    if processor.type != "TemplateProcessing" or not processor.single:
        return False
    first = processor.single[0].get("SpecialToken")
    name = first.get("id") if isinstance(first, dict) else None
    special = processor.special_tokens.get(name) if isinstance(name, str) else None
    return special is not None and bos in special.ids


def _template(folder: Path, settings: _Settings) -> str:
    """The chat template: in a file of its own, or among the tokenizer's settings; "" for none."""
    path = inside(folder, TEMPLATE)
    if path is not None:
        return _file(path)
    card = read_json(folder, TEMPLATE_JSON, _Card)
    if card is not None and card.chat_template:
        return card.chat_template
    if isinstance(settings.chat_template, list):
        named = {each.name: each.template for each in settings.chat_template}
        return named.get("default", "")
    return settings.chat_template or ""


def _file(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_TEMPLATE:
            raise ModelFileError(f"{TEMPLATE} is over {MAX_TEMPLATE // 2**20} MB")
        return path.read_text()
    except OSError as error:
        raise ModelFileError(f"{TEMPLATE} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ModelFileError(f"{TEMPLATE} is no text") from error
