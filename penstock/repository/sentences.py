"""What sentence-transformers says about a model: how token states become a sentence's embedding."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec

from penstock.core.errors import ModelFileError
from penstock.core.text import Pooling
from penstock.repository.hf_files import read_json

MODULES = "modules.json"
CROSS_ENCODER = "CrossEncoder"
_POOLINGS = {"mean": "mean", "cls": "cls", "max": "max", "lasttoken": "last"}
_TASKS = ("feature-extraction", "sequence-classification")
_SETTINGS = tuple(
    f"sentence_{kind}_config.json"
    for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)


class Sentences(NamedTuple):
    """`home`: where in the folder its transformer is ("" or "0_Transformer"). `kind`: "SentenceTransformer" or
    "CrossEncoder". `pooling`: None when there is no such module. `activation`: a dotted name, or ""."""

    home: str = ""
    kind: str = ""
    pooling: Pooling | None = None
    normalize: bool = False
    max_length: int | None = None
    lower_case: bool = False
    prompt: str = ""
    activation: str = ""


class _Module(msgspec.Struct):
    type: str
    path: str = ""


class _Pooling(msgspec.Struct):
    pooling_mode: str | list[str] | None = None
    include_prompt: bool = True
    # Before version 6, one flag per mode.
    pooling_mode_cls_token: bool = False
    pooling_mode_max_tokens: bool = False
    pooling_mode_mean_tokens: bool = False
    pooling_mode_mean_sqrt_len_tokens: bool = False
    pooling_mode_weightedmean_tokens: bool = False
    pooling_mode_lasttoken: bool = False

    def modes(self) -> list[str]:
        """The ways of pooling whose results are put together, one after the other."""
        if isinstance(self.pooling_mode, str):
            return [self.pooling_mode]
        flags = [name for name in self.__struct_fields__ if name.startswith("pooling_mode_") and getattr(self, name)]
        old = [flag.removeprefix("pooling_mode_").removesuffix("_tokens").removesuffix("_token") for flag in flags]
        return self.pooling_mode or old or ["mean"]


class _Settings(msgspec.Struct):
    max_seq_length: int | None = None
    do_lower_case: bool = False
    transformer_task: str = "feature-extraction"


class _Card(msgspec.Struct):
    model_type: str = "SentenceTransformer"
    prompts: dict[str, str | None] = {}
    default_prompt_name: str | None = None
    activation_fn: str | None = None


def read_sentences(folder: Path) -> Sentences:
    """The sentence-transformers part of a folder; an empty one when it has no modules.json.

    Raises `ModelFileError` for modules that Penstock does not run, by name, and for damaged files.
    """
    modules = read_json(folder, MODULES, list[_Module])
    if modules is None:
        return Sentences(**_settings(folder))
    card = read_json(folder, "config_sentence_transformers.json", _Card) or _Card()
    if card.model_type not in ("SentenceTransformer", CROSS_ENCODER):
        raise ModelFileError(f"{MODULES} describes a {card.model_type}, which Penstock does not serve")
    home, rest = _transformer(modules)
    known = {"home": home, "kind": card.model_type, "activation": card.activation_fn or "", **_settings(folder / home)}
    known["prompt"] = _prompt(card)
    for module in rest:
        known |= _module(folder, module, bool(known["prompt"]))
    if card.model_type != CROSS_ENCODER and "pooling" not in known:
        raise ModelFileError(f"{MODULES} has no Pooling module, so nothing makes an embedding of a text's tokens")
    return Sentences(**known)


def _settings(home: Path) -> dict[str, Any]:
    for name in _SETTINGS:
        settings = read_json(home, name, _Settings)
        if settings is not None:
            if settings.transformer_task not in _TASKS:
                raise ModelFileError(f"{name} uses the model for {settings.transformer_task}, which is not served")
            return {"max_length": settings.max_seq_length, "lower_case": settings.do_lower_case}
    return {}


def _transformer(modules: list[_Module]) -> tuple[str, list[_Module]]:
    if not modules or _kind(modules[0]) != "Transformer":
        first = _kind(modules[0]) if modules else "nothing"
        raise ModelFileError(f"{MODULES} begins with {first}; Penstock serves models that begin with a Transformer")
    home = modules[0].path
    if home and (home in (".", "..") or "/" in home or "\\" in home or "\0" in home):
        raise ModelFileError(f"{MODULES} names the folder {home[:80]!r}, which is not one of its own")
    return home, modules[1:]


def _module(folder: Path, module: _Module, prompted: bool) -> dict[str, Any]:
    match _kind(module):
        case "Pooling":
            return {"pooling": _pooling(folder, module.path, prompted)}
        case "Normalize":
            return {"normalize": True}
        case "Dropout":
            return {}  # does something in training only
        case other:
            raise ModelFileError(
                f"{MODULES} names the module {other}, which Penstock does not run: it serves a Transformer with "
                "Pooling and Normalize"
            )


def _kind(module: _Module) -> str:
    """The class's name, if it is one of the library's own; else the whole dotted name."""
    own = module.type.startswith("sentence_transformers.")
    return module.type.rpartition(".")[2] if own else module.type[:200]


def _pooling(folder: Path, path: str, prompted: bool) -> Pooling:
    if path.startswith("/") or ".." in path.split("/"):
        raise ModelFileError(f"{MODULES} names the folder {path[:80]!r}, which is not one of its own")
    name = f"{path}/config.json"
    settings = read_json(folder, name, _Pooling)
    if settings is None:
        raise ModelFileError(f"there is no {name}, which {MODULES} names; get the whole folder")
    modes = settings.modes()
    if len(modes) != 1 or modes[0] not in _POOLINGS:
        raise ModelFileError(f"{name} pools by {' and '.join(modes)}; Penstock pools by one of {', '.join(_POOLINGS)}")
    if prompted and not settings.include_prompt:
        raise ModelFileError(f"{name} leaves the prompt out (include_prompt: false), which Penstock does not do")
    return cast(Pooling, _POOLINGS[modes[0]])


def _prompt(card: _Card) -> str:
    if card.default_prompt_name is None:
        return ""
    prompts: dict[str, str | None] = {"query": "", "document": "", **card.prompts}
    prompt = prompts.get(card.default_prompt_name)
    if prompt is None:
        raise ModelFileError(
            f"config_sentence_transformers.json names the default prompt {card.default_prompt_name[:80]!r}, "
            "which is not among its prompts"
        )
    return prompt
