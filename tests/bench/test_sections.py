"""Each part of the bench writes its own section of the page, and only that."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import report
from bench.results import Part, Results
from bench.sections import replace_section
from bench.wrk import Load

PAGE = """# Results

<!-- iris: generated, do not edit -->
old iris
<!-- iris: end -->

By hand.

<!-- text: generated, do not edit -->
old text
<!-- text: end -->
"""


def test_one_section_is_replaced_and_the_rest_stays(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)

    replace_section(page, "text", "new text\n")

    assert page.read_text() == PAGE.replace("old text", "new text")


def test_a_new_section_goes_to_the_end(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)

    replace_section(page, "start", "fast")

    assert page.read_text().startswith(PAGE.rstrip())
    assert page.read_text().endswith("<!-- start: generated, do not edit -->\nfast\n<!-- start: end -->\n")


def test_a_section_that_is_not_closed_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE.replace("<!-- text: end -->", ""))

    with pytest.raises(ValueError, match="text: end"):
        replace_section(page, "text", "new")
    assert "old text" in page.read_text()


def test_only_what_was_measured_has_a_section() -> None:
    part = Part(loads={"Penstock": {32: [Load(1000.0, 1.0, 2.0, 1000, 0, 0)]}}, notes={"Penstock": "as it is"})
    results = Results({"CPU": "some"}, 1, 2, iris=part)

    written = report.sections(results)

    assert list(written) == ["iris"]
    assert "| Penstock | 1,000 |" in written["iris"]
    assert "- Penstock: as it is." in written["iris"]


def test_those_who_were_left_out_are_named_with_the_reason() -> None:
    part = Part(absent={"Mosec": "does not install: no wheel"}, wrong={"MLServer": "answers wrongly: status 500"})

    assert report.who([part]) == (
        "- Mosec: absent, does not install: no wheel.\n- **MLServer: left out, answers wrongly: status 500**"
    )
