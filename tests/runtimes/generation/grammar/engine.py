"""OpenVINO GenAI with a model of random weights whose tokens are bytes: what a grammar lets through comes out."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import gguf
import numpy as np

from penstock.runtimes.generation.tokenizers.alphabets import byte_characters

HIDDEN, END = 32, 2
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def write_model(path: Path) -> Path:
    """A llama of one layer over bytes, and a few tokens of two bytes."""
    writer, random = gguf.GGUFWriter(str(path), "llama"), np.random.default_rng(0)
    characters = {byte: character for character, byte in byte_characters().items()}
    pairs = [(characters[a], characters[b]) for a, b in [b"th", b"in", b"ht", b"tp", b'":', b"},", b'",']]
    tokens = [*SPECIAL, *(characters[byte] for byte in range(256)), *(a + b for a, b in pairs)]
    writer.add_name("bytes")
    writer.add_context_length(4096)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(1)
    writer.add_feed_forward_length(64)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(HIDDEN // 2)
    writer.add_vocab_size(len(tokens))
    writer.add_file_type(1)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([3] * len(SPECIAL) + [1] * (len(tokens) - len(SPECIAL)))
    writer.add_token_merges([f"{a} {b}" for a, b in pairs])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(END)
    writer.add_pad_token_id(0)
    writer.add_add_bos_token(False)
    for name, shape in _shapes(len(tokens)).items():
        values = random.normal(0, 0.3, shape) if len(shape) > 1 else np.ones(shape)
        writer.add_tensor(name, values.astype(np.float16 if len(shape) > 1 else np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _shapes(tokens: int) -> dict[str, tuple[int, ...]]:
    square = dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output"), (HIDDEN, HIDDEN))
    wide = {"ffn_gate": (64, HIDDEN), "ffn_up": (64, HIDDEN), "ffn_down": (HIDDEN, 64)}
    norms = {"attn_norm": (HIDDEN,), "ffn_norm": (HIDDEN,)}
    block = {f"blk.0.{name}.weight": shape for name, shape in {**square, **wide, **norms}.items()}
    return {"token_embd.weight": (tokens, HIDDEN), "output_norm.weight": (HIDDEN,), **block}


class Engine:
    """Generates under grammars, several texts at once."""

    def __init__(self) -> None:
        import openvino_genai

        from penstock.runtimes.generation.tokenizers import of_gguf

        self._genai: Any = openvino_genai
        path = write_model(Path(mkdtemp()) / "bytes.gguf")
        scheduler = openvino_genai.SchedulerConfig()
        scheduler.max_num_seqs, scheduler.num_kv_blocks, scheduler.max_num_batched_tokens = 32, 500, 512
        settings = {"KV_CACHE_PRECISION": "f16", "INFERENCE_PRECISION_HINT": "f32"}
        self._pipeline = openvino_genai.ContinuousBatchingPipeline(str(path), scheduler, "CPU", settings)
        self._pieces = of_gguf(path).pieces()
        self._next = 0

    def texts(self, grammar: str, count: int = 6, tokens: int = 150) -> list[tuple[bytes, bool]]:
        """Texts that the grammar let through, and whether each came to its end."""
        handles = [self._add(grammar, seed, tokens) for seed in range(count)]
        found = [bytearray() for _ in handles]
        ended = [False] * count
        while self._pipeline.has_non_finished_requests():
            self._pipeline.step()
            for at, handle in enumerate(handles):
                while handle.can_read():
                    for output in handle.read().values():
                        found[at] += b"".join(self._pieces[one] for one in output.generated_ids if one != END)
                        ended[at] = output.finish_reason == self._genai.GenerationFinishReason.STOP
        return [(bytes(text), end) for text, end in zip(found, ended, strict=True)]

    def _add(self, grammar: str, seed: int, tokens: int) -> Any:
        import openvino

        config = self._genai.GenerationConfig()
        config.max_new_tokens, config.apply_chat_template = tokens, False
        config.do_sample, config.temperature, config.rng_seed = True, 3.0, seed
        config.structured_output_config = self._genai.StructuredOutputConfig()
        config.structured_output_config.grammar = grammar
        self._next += 1
        return self._pipeline.add_request(self._next, openvino.Tensor(np.array([[50, 60 + seed]], np.int64)), config)


@cache
def engine() -> Engine:
    """One engine for all tests of a process."""
    return Engine()
