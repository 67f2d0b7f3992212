"""`python -m bench.llm`: language models beside llama-server, vLLM and the raw engine; its section of RESULTS.md."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from bench import machine
from bench.field import end_cleanly_on_sigterm, say
from bench.llm import measure
from bench.llm.measure import Measured
from bench.llm.models import write
from bench.llm.report import section
from bench.sections import replace_section
from bench.venvs import cache_folder

PAGE = Path(__file__).parent.parent / "RESULTS.md"
TINY = Path(__file__).parent.parent.parent / "penstock" / "cli" / "demo" / "tiny.gguf"
PARTS = ("speed", "prefix", "lookup", "memory")
COPY = (
    "Repeat: the red fox of Brindle sat by the river and the king of Ashby came to the island with a black horse and "
    "a green book and the old bridge of Quill was open and the boat of Vellum was full of bread and salt"
)


def main() -> None:
    """Entry point."""
    options = _options()
    end_cleanly_on_sigterm()
    models = random_llamas(cache_folder() / "llm-models")
    measured = Measured()
    with tempfile.TemporaryDirectory(prefix="penstock-bench-llm-") as name:
        _measure(options, models, Path(name), measured)
    text = section(measured, machine.describe())
    print(text)
    if not options.no_write:
        replace_section(PAGE, "Language models", text)


def random_llamas(folder: Path) -> dict[str, Path]:
    """The 300M llama, written once: kind → GGUF file, and "hf" → the folder with the same weights."""
    write(folder)
    return {**{kind: folder / f"{kind}.gguf" for kind in ("f16", "q4_0", "q8_0")}, "hf": folder / "hf"}


def _measure(options: argparse.Namespace, models: dict[str, Path], folder: Path, measured: Measured) -> None:
    if "speed" in options.parts:
        say("speed")
        measure.speeds(models, folder, options.rounds, measured)
    if "prefix" in options.parts:
        say("prefix")
        measure.prefix(models["q4_0"], folder, measured, options.rounds)
    if "lookup" in options.parts:
        say("lookup")
        measure.lookup(TINY, COPY, folder, measured, options.rounds)
    if "memory" in options.parts:
        say("memory")
        measure.memory({"q4_0": models["q4_0"], "q8_0": models["q8_0"], "tiny": TINY}, folder, measured)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.llm", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds, after one that warms up")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--no-write", action="store_true", help="leave RESULTS.md as it is")
    return parser.parse_args()


if __name__ == "__main__":
    main()
