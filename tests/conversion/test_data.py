"""Files of rows: every kind that is read, as the model takes it; what does not fit says why."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from penstock.conversion import data, feeds
from penstock.conversion.data import Rows
from penstock.conversion.jobs import Sample
from penstock.core.errors import ConfigError
from penstock.core.signature import Signature, TensorSpec
from penstock.core.text import TextModel

TEXT = feeds.signature_of(TextModel(task="classification"))
PAIRS = feeds.signature_of(TextModel(task="reranking"))
TABLE = Signature((TensorSpec("input", "FP32", (-1, 2)),))
COLUMNS = Signature((TensorSpec("age", "INT64", (-1, 1)), TensorSpec("city", "BYTES", (-1, 1))))


def read(path: Path, signature: Signature, label: str | None = None) -> Rows:
    return data.read(Sample(file=str(path), label=label), signature)


def refused(path: Path, signature: Signature, label: str | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        read(path, signature, label)
    return caught.value.message


def test_texts_by_line(tmp_path: Path) -> None:
    (tmp_path / "d.txt").write_text("".join(f"text {i}\n\n" for i in range(12)))
    found = read(tmp_path / "d.txt", TEXT)
    assert found.inputs["text"].tolist() == [f"text {i}".encode() for i in range(12)]
    assert (found.labels, found.total) == (None, 12)


@pytest.mark.parametrize("column", ["text", "sentence"])
def test_a_csv_file_with_labels(tmp_path: Path, column: str) -> None:
    (tmp_path / "d.csv").write_text(f"{column},label\n" + "".join(f'"a, {i}",{i % 2}\n' for i in range(10)))
    found = read(tmp_path / "d.csv", TEXT)
    assert found.inputs["text"][3] == b"a, 3"
    assert found.labels == [str(i % 2) for i in range(10)]


def test_json_lines_and_json_hold_objects_or_texts(tmp_path: Path) -> None:
    rows = [{"text": f"t{i}", "id": i, "kind": "x"} for i in range(10)]
    (tmp_path / "d.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "d.json").write_text(json.dumps([row["text"] for row in rows]))
    assert read(tmp_path / "d.jsonl", TEXT, "kind").labels == ["x"] * 10
    first, second = (read(tmp_path / name, TEXT).inputs for name in ("d.jsonl", "d.json"))
    assert first.keys() == second.keys() == {"text"}
    assert first["text"].tolist() == second["text"].tolist()


def test_pairs_of_texts(tmp_path: Path) -> None:
    rows = [{"text": f"q{i}", "text_pair": f"d{i}"} for i in range(10)]
    (tmp_path / "d.json").write_text(json.dumps(rows))
    assert read(tmp_path / "d.json", PAIRS).inputs["text_pair"][9] == b"d9"
    (tmp_path / "d.txt").write_text("one\n" * 10)
    assert "text_pair" in refused(tmp_path / "d.txt", PAIRS)


def test_a_table_becomes_the_one_input(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("a,b,label\n" + "".join(f"{i},{i / 2},yes\n" for i in range(10)))
    found = read(tmp_path / "d.csv", TABLE)
    np.testing.assert_array_equal(found.inputs["input"][:, 1], np.arange(10) / 2)
    assert found.inputs["input"].dtype == np.float32


def test_a_table_of_columns(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("age,city,label\n" + "".join(f"{i},bern,1\n" for i in range(10)))
    found = read(tmp_path / "d.csv", COLUMNS)
    assert found.inputs["age"].ravel().tolist() == [*range(10)]
    assert found.inputs["city"][0, 0] == b"bern"


def test_arrays(tmp_path: Path) -> None:
    values = np.arange(24.0).reshape(12, 2)
    np.save(tmp_path / "d.npy", values)
    np.savez(tmp_path / "d.npz", input=values, label=np.arange(12))
    np.testing.assert_array_equal(read(tmp_path / "d.npy", TABLE).inputs["input"], values)
    assert read(tmp_path / "d.npz", TABLE).labels == [str(i) for i in range(12)]
    assert read(tmp_path / "d.npy", TABLE).inputs["input"].dtype == np.float32


def test_the_same_rows_every_time_and_none_twice(tmp_path: Path) -> None:
    calibrating, held = data.part_of(1000, "calibration"), data.part_of(1000, "held-out")
    assert calibrating == data.part_of(1000, "calibration")
    assert not set(calibrating) & set(held)
    assert (len(calibrating), len(held)) == (data.MAX_CALIBRATION, 700)
    assert (len(data.part_of(20, "calibration")), len(data.part_of(20, "held-out"))) == (10, 10)
    assert len(data.part_of(10**5, "all")) == data.MAX_MEASURED


def test_what_does_not_fit_says_why(tmp_path: Path) -> None:
    (tmp_path / "few.txt").write_text("one\ntwo\n")
    assert refused(tmp_path / "few.txt", TEXT) == "few.txt has 2 rows; give 10 at least"
    (tmp_path / "d.csv").write_text("a,b\n" + "x,y\n" * 10)
    assert refused(tmp_path / "d.csv", TEXT) == (
        "d.csv does not fit the model: it needs a column named text; its columns are: a, b"
    )
    assert "takes numbers, got 'x'" in refused(tmp_path / "d.csv", TABLE)
    assert refused(tmp_path / "d.csv", TEXT, "answer") == (
        "d.csv has no column 'answer' in every row; its columns are: a, b"
    )
    np.save(tmp_path / "d.npy", np.zeros((12, 3)))
    assert "input 'input' must have shape [n, 2]" in refused(tmp_path / "d.npy", TABLE)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert refused(tmp_path / "d.txt", TEXT).startswith("there is no ")
    assert "give .csv, .jsonl" in refused(tmp_path / "d.parquet", TEXT)
    (tmp_path / "d.json").write_text('{"text": "a"}')
    assert "must hold a list of rows" in refused(tmp_path / "d.json", TEXT)
    (tmp_path / "d.jsonl").write_text('{"text": "a"}\n{"text"')
    assert "d.jsonl cannot be read" in refused(tmp_path / "d.jsonl", TEXT)
    (tmp_path / "d.csv").write_text("text\n" + "a,b\n" * 10)
    assert "different numbers of columns" in refused(tmp_path / "d.csv", TEXT)
    (tmp_path / "d.txt").write_bytes(b"\xff\xfe\xff" * 10)
    assert "d.txt cannot be read" in refused(tmp_path / "d.txt", TEXT)
    (tmp_path / "d.npz").write_bytes(b"PK\x03\x04 cut")
    assert "d.npz cannot be read" in refused(tmp_path / "d.npz", TABLE)
    (tmp_path / "d.json").write_text("[" * 100_000)
    assert "d.json cannot be read" in refused(tmp_path / "d.json", TEXT)
    np.save(tmp_path / "d.npy", np.array([{}] * 12), allow_pickle=True)
    assert "d.npy cannot be read" in refused(tmp_path / "d.npy", TABLE)
