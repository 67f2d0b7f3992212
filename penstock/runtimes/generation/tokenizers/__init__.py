"""Tokenizers of language models: a tokenizer.json, or what a GGUF file says of its own. The same class reads both."""

from penstock.runtimes.generation.tokenizers.files import of_file
from penstock.runtimes.generation.tokenizers.gguf import of_gguf

__all__ = ["of_file", "of_gguf"]
