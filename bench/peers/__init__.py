"""The peers as contestants; each file beside this one runs in an environment of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from bench import bodies, checks
from bench.contestant import Absent, Contestant
from bench.models import Models
from bench.venvs import SHARED, VenvError, installed_versions, make_venv

FASTAPI = "FastAPI + scikit-learn"
FASTAPI_ONNX = "FastAPI async + ONNX Runtime"
FASTAPI_BINARY = "FastAPI async, binary"
MOSEC = "Mosec"
MLSERVER = "MLServer"

FOLDER = Path(__file__).parent


def fastapi_sklearn(models: Models) -> Contestant:
    """The app that everybody writes."""
    venv = venv_of("fastapi")
    return Contestant(
        FASTAPI,
        "pydantic body, joblib model, `def` endpoint, uvicorn with uvloop and httptools, access log off",
        uvicorn(venv, "fastapi_app:app"),
        lambda port: bodies.plain_iris("/predict"),
        lambda answer: checks.plain_iris(answer, models),
        env={"IRIS_JOBLIB": str(models.iris_joblib)},
        versions=installed_versions(venv, ("fastapi", "uvicorn", "pydantic", "scikit-learn")),
    )


def fastapi_onnx(models: Models) -> Contestant:
    """The app that a careful author writes."""
    venv = venv_of("fastapi")
    return Contestant(
        FASTAPI_ONNX,
        "`async def` endpoint, ONNX Runtime in process; otherwise the same",
        uvicorn(venv, "fastapi_onnx:app"),
        lambda port: bodies.plain_iris("/predict"),
        lambda answer: checks.plain_iris(answer, models),
        env=_onnx_files(models),
        versions=installed_versions(venv, ("fastapi", "uvicorn", "pydantic", "onnxruntime")),
    )


def fastapi_binary(models: Models) -> Contestant:
    """The careful author's endpoint for raw tensors."""
    venv = venv_of("fastapi")
    return Contestant(
        FASTAPI_BINARY,
        "raw FP32 bytes both ways, `await request.body()`, ONNX Runtime in process",
        uvicorn(venv, "fastapi_onnx:app"),
        lambda port: bodies.raw_image(models),
        lambda answer: checks.raw_scores(answer, models),
        env=_onnx_files(models),
        versions=installed_versions(venv, ("fastapi", "uvicorn", "onnxruntime")),
    )


def mosec(models: Models) -> Contestant:
    """A Rust front end with batching."""
    venv = venv_of("mosec")
    start = [str(venv / "bin" / "python"), str(FOLDER / "mosec_app.py"), "--address", "127.0.0.1", "--port"]
    return Contestant(
        MOSEC,
        "Rust front end, one worker process, batches of up to 32 within 1 ms, ONNX Runtime",
        lambda port: [*start, str(port)],
        lambda port: bodies.plain_iris("/inference"),
        lambda answer: checks.plain_iris(answer, models),
        env=_onnx_files(models),
        versions=installed_versions(venv, ("mosec", "onnxruntime")),
    )


def mlserver(models: Models) -> Contestant:
    """Seldon's server, the other one that speaks OIP in Python."""
    venv = venv_of("mlserver")
    start = [str(venv / "bin" / "python"), str(FOLDER / "mlserver_start.py"), str(models.folder / "mlserver")]
    return Contestant(
        MLSERVER,
        "OIP JSON, its scikit-learn runtime, one parallel worker; answers the label only",
        lambda port: [*start, str(port)],
        bodies.oip_iris,
        lambda answer: checks.oip_label(answer, models),
        versions=installed_versions(venv, ("mlserver", "scikit-learn")),
    )


def venv_of(name: str, shared: Sequence[str] = SHARED) -> Path:
    """The environment of a peer, made now if need be. Raises `Absent` when it cannot be."""
    try:
        return make_venv(name, FOLDER / f"requirements-{name}.txt", shared)
    except VenvError as error:
        raise Absent(f"does not install: {error}") from error


def uvicorn(venv: Path, app: str) -> Callable[[int], list[str]]:
    """How to start an app of this folder, as its documentation has it, without a line for each request."""
    start = [str(venv / "bin" / "uvicorn"), app, "--app-dir", str(FOLDER), "--host", "127.0.0.1", "--no-access-log"]
    return lambda port: [*start, "--log-level", "warning", "--port", str(port)]


def _onnx_files(models: Models) -> dict[str, str]:
    return {"IRIS_ONNX": str(models.iris_onnx), "VISION_ONNX": str(models.vision_onnx)}
