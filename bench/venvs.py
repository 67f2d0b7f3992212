"""A virtual environment for each peer, made once and kept in a cache."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import venv
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

# The peers run the same numerical code as Penstock: what differs is the server.
SHARED = ("joblib", "numpy", "onnxruntime", "scikit-learn", "msgspec")
_INSTALL_TIMEOUT_S = 900


class VenvError(RuntimeError):
    """The peer could not be installed; the message says what pip said."""


def cache_folder() -> Path:
    """Where the environments live: BENCH_VENVS, else the user's cache."""
    named = os.environ.get("BENCH_VENVS")
    return Path(named) if named else Path.home() / ".cache" / "penstock-bench"


def make_venv(name: str, requirements: Path, shared: Sequence[str] = SHARED) -> Path:
    """The folder of an environment with these requirements, made now if it is not there yet.

    `shared`: the packages that it takes in the version that is installed here.
    """
    wanted, pins = requirements.read_text(), _constraints(shared)
    digest = hashlib.sha256(f"{wanted}\n{pins}\n{sys.version}".encode()).hexdigest()[:10]
    folder = cache_folder() / f"{name}-{digest}"
    done = folder / ".installed"
    if not done.exists():
        venv.create(folder, with_pip=True, clear=True)
        constraints = folder / "constraints.txt"
        constraints.write_text(pins)
        _pip_install(folder, requirements, constraints)
        done.touch()
    return folder


def installed_versions(folder: Path, packages: tuple[str, ...]) -> dict[str, str]:
    """The versions of these packages in that environment."""
    code = "import sys,importlib.metadata as m; print(*[m.version(p) for p in sys.argv[1:]])"
    argv = [str(folder / "bin" / "python"), "-c", code, *packages]
    shown = subprocess.run(argv, capture_output=True, text=True, check=True)
    return dict(zip(packages, shown.stdout.split(), strict=True))


def _pip_install(folder: Path, requirements: Path, constraints: Path) -> None:
    argv = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    argv += ["--requirement", str(requirements), "--constraint", str(constraints)]
    try:
        ended = subprocess.run(argv, capture_output=True, text=True, timeout=_INSTALL_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise VenvError(f"pip took more than {_INSTALL_TIMEOUT_S} s") from error
    if ended.returncode != 0:
        complaints = [line for line in ended.stderr.splitlines() if line.startswith("ERROR")]
        raise VenvError((complaints or ["pip failed"])[-1][:200])


def _constraints(shared: Sequence[str]) -> str:
    lines = []
    for package in shared:
        try:
            lines.append(f"{package}=={version(package).partition('+')[0]}")
        except PackageNotFoundError:
            continue
    return "\n".join(lines) + "\n"
