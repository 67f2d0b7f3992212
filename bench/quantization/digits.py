"""An ONNX file that scikit-learn's export wrote: a network on handwritten digits, and digits it has not seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def write(model: Path, data: Path) -> None:
    """The ONNX file, and an .npz file with the held-out digits and their labels."""
    from skl2onnx import to_onnx
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split
    from sklearn.neural_network import MLPClassifier

    pixels, labels = load_digits(return_X_y=True)
    trained_on, held_out, known, wanted = train_test_split(pixels / 16, labels, test_size=0.5, random_state=0)
    network = MLPClassifier((512, 256), max_iter=60, random_state=0, early_stopping=True).fit(trained_on, known)
    exported = to_onnx(network, trained_on[:1].astype(np.float32), options={"zipmap": False}, target_opset=17)
    model.write_bytes(exported.SerializeToString())
    np.savez(data, X=held_out.astype(np.float32), label=wanted)
