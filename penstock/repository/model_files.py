"""One model file, described: what its bytes are decides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from penstock.core.errors import ModelFileError
from penstock.repository.formats import Format, identify
from penstock.repository.openvino_ir import weights_of
from penstock.repository.trust import Trusted, digest_of


def of_file(path: Path, runtime: str | None, trust: Trusted) -> dict[str, Any]:
    """What is known of a model file. Raises `ModelFileError`, and `UntrustedFile` when it may run code unvouched."""
    _check_kind(path)
    format = identify(path)
    known = {"path": str(path.absolute()), "format": format.name, "runtime": runtime or ""}
    if format.name == "openvino":
        weights_of(path)
    # Data-only formats need no digest, and large ones would take long; skops may turn out to need trust.
    if format.runs_code or format.name == "skops":
        known |= vouched(format, path, trust)
    return known


def vouched(format: Format, path: Path, trust: Trusted) -> dict[str, Any]:
    """A file's digest, and whether somebody vouched for it. Raises `UntrustedFile` where that is needed."""
    if format.runs_code:
        return {"sha256": trust.vouching(path, format.title), "trusted": True}
    digest = digest_of(path)
    return {"sha256": digest, "trusted": digest in trust}


def _check_kind(path: Path) -> None:
    if path.suffix == ".safetensors" and (path.parent / "config.json").is_file():
        raise ModelFileError(f"{path.name} is the weights of the model in its folder; name the folder")
