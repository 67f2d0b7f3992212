"""Generated text inside a page that people also write in."""

from __future__ import annotations

from pathlib import Path


def replace_section(page: Path, name: str, text: str) -> None:
    """Put the text between this section's markers, and leave the rest of the page as it is."""
    begin, end = f"<!-- {name}: generated, do not edit -->", f"<!-- {name}: end -->"
    old = page.read_text() if page.exists() else ""
    before, found, rest = old.partition(begin)
    _, closed, after = rest.partition(end)
    if found and not closed:
        raise ValueError(f"{page.name}: the marker {end!r} is missing")
    if not found:
        before, after = (old.rstrip() + "\n\n") if old else "", "\n"
    page.write_text(f"{before}{begin}\n{text.strip()}\n{end}{after}")
