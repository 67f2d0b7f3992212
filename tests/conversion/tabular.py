"""Models of no text as ONNX files: what scikit-learn learned on digits, and a small network of convolutions."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from penstock.core.tensors import Array


class Digits(NamedTuple):
    """An ONNX file, and rows with labels that it did not learn from, also as a .npz file."""

    file: Path
    rows: Array
    labels: Array
    data: Path


def digits(folder: Path, kind: str) -> Digits:
    """`kind`: "mlp", "logistic", "forest" or "regressor"."""
    from sklearn.datasets import load_digits
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    rows, labels = load_digits(return_X_y=True)
    rows = (rows / 16).astype(np.float32)
    makers: dict[str, Any] = {
        "mlp": lambda: MLPClassifier(hidden_layer_sizes=(64, 32), max_iter=40, random_state=0),
        "logistic": lambda: LogisticRegression(max_iter=200),
        "forest": lambda: RandomForestClassifier(10, random_state=0),
        "regressor": lambda: MLPRegressor(hidden_layer_sizes=(32,), max_iter=40, random_state=0),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from skl2onnx import to_onnx

        model = makers[kind]().fit(rows[:1200], labels[:1200])
        options = {} if kind == "regressor" else {"zipmap": False}
        graph = to_onnx(model, rows[:1], options=options or None, target_opset=17)
    file = folder / f"{kind}.onnx"
    file.write_bytes(graph.SerializeToString())
    data = folder / "digits.npz"
    np.savez(data, X=rows[1200:], label=labels[1200:])
    return Digits(file, rows[1200:], labels[1200:], data)


def convolutions(folder: Path) -> Path:
    """Two convolutions and a linear layer: 3 x 16 x 16 pixels to scores of four classes."""
    import torch

    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Conv2d(8, 8, 3, stride=2), torch.nn.ReLU(),
        torch.nn.Flatten(), torch.nn.Linear(288, 4),
    ).eval()  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module, (torch.zeros(1, 3, 16, 16),), str(folder / "pixels.onnx"), input_names=["pixels"],
            output_names=["scores"], dynamic_axes={"pixels": {0: "rows"}, "scores": {0: "rows"}}, dynamo=False,
        )  # fmt: skip
    return folder / "pixels.onnx"
