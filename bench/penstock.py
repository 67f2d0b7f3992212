"""Penstock as a contestant: started by the command that a user types."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench import bodies, checks
from bench.contestant import Absent, Contestant
from bench.models import Models

IRIS = "Penstock"
IMAGE_BINARY = "Penstock, binary"
IMAGE_JSON = "Penstock, JSON"


def iris(models: Models) -> Contestant:
    """One iris as OIP JSON."""
    return Contestant(
        IRIS,
        "`penstock serve iris.onnx`, OIP JSON, ONNX Runtime in a worker process",
        serve(models.iris_onnx),
        bodies.oip_iris,
        lambda answer: checks.oip_iris(answer, models),
        versions=versions("penstock", "onnxruntime"),
    )


def image_binary(models: Models) -> Contestant:
    """One image through the binary tensor extension."""
    return Contestant(
        IMAGE_BINARY,
        "OIP binary tensor extension both ways",
        serve(models.vision_onnx),
        lambda port: bodies.oip_image_binary(port, models),
        lambda answer: checks.oip_scores_binary(answer, models),
        versions=versions("penstock", "onnxruntime"),
    )


def image_json(models: Models) -> Contestant:
    """One image as JSON."""
    return Contestant(
        IMAGE_JSON,
        "OIP JSON both ways",
        serve(models.vision_onnx),
        lambda port: bodies.oip_image_json(port, models),
        lambda answer: checks.oip_scores_json(answer, models),
        versions=versions("penstock", "onnxruntime"),
    )


def serve(source: Path) -> Callable[[int], list[str]]:
    """`penstock serve SOURCE --port PORT`."""
    start = [*command(), "serve", str(source), "--port"]
    return lambda port: [*start, str(port)]


def command() -> list[str]:
    """`penstock`, from beside this Python. Raises `Absent` when it is not there."""
    beside = Path(sys.executable).with_name("penstock")
    found = str(beside) if beside.exists() else shutil.which("penstock")
    if found is None:
        raise Absent("no `penstock` command beside this Python")
    return [found]


def versions(*packages: str) -> dict[str, str]:
    """The versions of those that are installed."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
