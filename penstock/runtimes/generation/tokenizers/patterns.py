"""How byte-level vocabularies cut a text into words before they merge: by the name that a GGUF file gives.

These are the regular expressions of the models' own tokenizers. Each expression cuts what the one before it left.
"""

from __future__ import annotations

from typing import NamedTuple

_ENDING = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_GPT4 = _ENDING + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|" + _REST
_QWEN2 = _ENDING + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|" + _REST
_QWEN35 = _ENDING + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_HIGH = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
_LOW = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_LEAD = r"[^\r\n\p{L}\p{N}]?"
_SLASHED = r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_TEKKEN = rf"{_LEAD}{_HIGH}*{_LOW}+|{_LEAD}{_HIGH}+{_LOW}*|\p{{N}}|{_SLASHED}"
_GPT4O = rf"{_LEAD}{_HIGH}*{_LOW}+{_ENDING}?|{_LEAD}{_HIGH}+{_LOW}*{_ENDING}?|\p{{N}}{{1,3}}|{_SLASHED}"
_DEEPSEEK = (
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|"
    r" ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_CHINESE = "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"
_HAN = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"
_BAILING = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
_SEED = _ENDING + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+"


class Cutting(NamedTuple):
    """`expressions`, applied in turn. `whole`: a word that is a token is that token, whatever the merges say."""

    expressions: tuple[str, ...]
    whole: bool = False


_CUTTINGS = {
    "default": Cutting((r"[\p{P}\$\+<=>\^~\|]+", _GPT2, r"\p{N}+", "[0-9][0-9][0-9]")),
    "gpt-2 phi-2 mellum exaone4 modern-bert a.x-4.0 gigachat mpt olmo jais trillion granite-docling": Cutting((_GPT2,)),
    "llama3 llama-v3 llama-bpe falcon3 falcon-h1 pixtral midm-2.0 lfm2 glm4 glm5": Cutting((_GPT4,), whole=True),
    "dbrx smaug-bpe chatglm-bpe": Cutting((_GPT4,)),
    "qwen2 deepseek-r1-qwen kormo megrez stablelm2 hunyuan solar-open grok-2": Cutting((_QWEN2,)),
    "qwen35": Cutting((_QWEN35,)),
    "smollm starcoder refact command-r codeshell exaone minerva-7b mellum2": Cutting((r"\p{N}", _GPT2)),
    "falcon": Cutting((r"[\p{P}\$\+<=>\^~\|`]+", _GPT2, "[0-9][0-9][0-9]")),
    "tekken": Cutting((_TEKKEN,), whole=True),
    "gpt-4o llama4 kanana2 minimax-m2": Cutting((_GPT4O,)),
    "deepseek-v3 hunyuan-dense joyai-llm": Cutting((r"\p{N}{1,3}", _CHINESE, _DEEPSEEK)),
    "deepseek-coder": Cutting(("[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", _HAN, r"\p{N}")),
    "bailingmoe bailingmoe2 llada-moe": Cutting((_BAILING,)),
    "seed-coder": Cutting((_SEED,)),
}
CUTTINGS = {name: cutting for names, cutting in _CUTTINGS.items() for name in names.split()}
"""Ways to cut by the names that GGUF files have for them."""
