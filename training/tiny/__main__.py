"""Everything: the tokenizer, three rounds of training, and the files.

    python -m training.tiny --out FOLDER [--gguf FILE]

The file is FOLDER/tiny.gguf; the demo's is replaced only when --gguf names it. Needs torch 2.9 or newer (Muon).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from training.tiny import export, train


def main() -> None:
    """Train in FOLDER, say how good the model is, and write its files."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--gguf", type=Path, help="default: FOLDER/tiny.gguf")
    chosen = options.parse_args()
    train.run(train.Round(chosen.out))
    train.run(train.Round(chosen.out, steps=1200, peak=0.5, seed=1, workers=2, onward=True))
    train.run(train.Round(chosen.out, steps=700, peak=0.6, seed=2, workers=2, onward=True))
    train.report(chosen.out, 200)
    export.export(chosen.out, chosen.gguf)


if __name__ == "__main__":
    main()
