"""`python -m bench.llm`: language models beside llama-server, vLLM and the raw engine; its sections of RESULTS.md.

Each part is written as it ends.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from bench import machine
from bench.contestant import Absent
from bench.field import end_cleanly_on_sigterm, say
from bench.llm import measure
from bench.llm.measure import Measured
from bench.llm.models import write
from bench.llm.report import LOAD_GENERATOR, PARTS, section, section_name
from bench.sections import replace_section
from bench.venvs import cache_folder

PAGE = Path(__file__).parent.parent / "RESULTS.md"
TINY = Path(__file__).parent.parent.parent / "penstock" / "cli" / "demo" / "tiny.gguf"
COPY = (
    "Repeat: the red fox of Brindle sat by the river and the king of Ashby came to the island with a black horse and "
    "a green book and the old bridge of Quill was open and the boat of Vellum was full of bread and salt"
)


def main() -> None:
    """Entry point."""
    options = _options()
    end_cleanly_on_sigterm()
    with tempfile.TemporaryDirectory(prefix="penstock-bench-llm-") as folder:
        for part in (part for part in PARTS if part in options.parts):
            say(part)
            where, measured = machine.describe(LOAD_GENERATOR), Measured()
            try:
                _measure(part, options.rounds, Path(folder), measured)
            except Absent as reason:
                say(f"not measured: {reason}")
                continue
            text = section(part, measured, where)
            print(text, flush=True)
            if not options.no_write:
                replace_section(options.page, section_name(part), text)


def random_llamas() -> dict[str, Path]:
    """The 300M llama, written once: kind → GGUF file, and "hf" → the folder with the same weights."""
    folder = cache_folder() / "llm-models"
    write(folder)
    return {**{kind: folder / f"{kind}.gguf" for kind in ("f16", "q4_0", "q8_0")}, "hf": folder / "hf"}


def _measure(part: str, rounds: int, folder: Path, measured: Measured) -> None:
    if part == "speed":
        measure.speeds(random_llamas(), folder, rounds, measured)
    elif part == "prefix":
        measure.prefix(random_llamas()["q4_0"], folder, measured, rounds)
    elif part == "lookup":
        measure.lookup(TINY, COPY, folder, measured, rounds)
    else:
        large = {kind: file for kind, file in random_llamas().items() if kind in measure.MODELS}
        measure.memory({**large, "tiny": TINY}, folder, measured)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.llm", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds, after one that warms up")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--page", type=Path, default=PAGE, help="where the sections are (default: bench/RESULTS.md)")
    parser.add_argument("--no-write", action="store_true", help="leave the page as it is")
    return parser.parse_args()


if __name__ == "__main__":
    main()
