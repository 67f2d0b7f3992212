"""What the numbers and names in GGUF files mean."""

from __future__ import annotations

# general.file_type
FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S",
    12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS",
    20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M",
    28: "IQ2_S", 29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4_MOE",
    39: "NVFP4", 40: "Q1_0",
}  # fmt: skip

# Kinds of tensors that most of such a file consists of; for others, the kind has the file type's name.
MEMBERS = {
    "Q2_K": {"Q2_K", "Q3_K"},
    "Q2_K_S": {"Q2_K"},
    "Q3_K_S": {"Q3_K"},
    "Q3_K_M": {"Q3_K", "Q4_K", "Q5_K"},
    "Q3_K_L": {"Q3_K", "Q5_K"},
    "Q4_K_S": {"Q4_K", "Q5_K"},
    "Q4_K_M": {"Q4_K", "Q6_K"},
    "Q5_K_S": {"Q5_K"},
    "Q5_K_M": {"Q5_K", "Q6_K"},
    "MXFP4_MOE": {"MXFP4"},
    "IQ3_XS": {"IQ3_S", "IQ3_XXS"},
    "IQ3_M": {"IQ3_S", "Q4_K"},
    "IQ2_M": {"IQ2_S", "IQ3_S"},
}

# general.type, of files that only go with a model.
NOT_MODELS = {
    "adapter": "a LoRA adapter",
    "mmproj": "the eyes or ears of a model (mmproj)",
    "projector": "the eyes or ears of a model (mmproj)",
    "imatrix": "an importance matrix",
    "vocab": "a vocabulary alone",
}

# Architectures that do not write text.
NOT_LANGUAGE = {
    "clip": "the eyes of a model",
    "bert": "an embedding model", "modern-bert": "an embedding model", "nomic-bert": "an embedding model",
    "nomic-bert-moe": "an embedding model", "neo-bert": "an embedding model", "jina-bert-v2": "an embedding model",
    "jina-bert-v3": "an embedding model", "eurobert": "an embedding model", "gemma-embedding": "an embedding model",
    "t5": "a model that reads and writes apart", "t5encoder": "an embedding model",
    "wavtokenizer-dec": "a speech model", "whisper": "a speech model",
    "flux": "an image model", "sd3": "an image model",
}  # fmt: skip

# Control tokens that end an answer, in files that name only one of them.
ENDINGS = frozenset(
    (b"<|eot_id|>", b"<|eom_id|>", b"<|im_end|>", b"<|end|>", b"<end_of_turn>", b"<|endoftext|>", b"<|end_of_text|>",
     b"<|eot|>", b"<|eom|>", b"<|return|>", b"<|call|>", b"<EOT>", b"< EOT >", b"_<EOT>", b"[EOT]", b"[EOS]",
     b"<|END_OF_TURN_TOKEN|>", b"<|end_of_turn|>", b"<\xef\xbd\x9cend\xe2\x96\x81of\xe2\x96\x81sentence\xef\xbd\x9c>")
)  # fmt: skip

# general.sampling.*, newer files' recommendations, by their names in requests.
SAMPLING = {
    "temp": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "penalty_repeat": "repetition_penalty",
}
