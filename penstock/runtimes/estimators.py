"""Estimators in files: reading pickles under trust and skops without, writing what a notebook defines."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from penstock.core.errors import MissingExtra, ModelFileError, PenstockError, UntrustedFile
from penstock.core.model import ModelSpec
from penstock.runtimes.files import digest, read, read_trusted

log = logging.getLogger("penstock.runtimes.sklearn")


def read_pickle(spec: ModelSpec) -> Any:
    """Unpickles a joblib or pickle file that somebody vouched for."""
    data = read_trusted(spec, f"a {spec.format or 'pickle'} file")
    import joblib

    try:
        return joblib.load(io.BytesIO(data))
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"the file needs the library {error.name}, which is not installed here; for xgboost, lightgbm and "
            "torch models install the extra of that name, such as: pip install 'penstock[xgboost]'"
        ) from error
    except Exception as error:
        raise _unreadable(error) from error


def read_skops(spec: ModelSpec) -> Any:
    """Reads a skops file: only types that skops itself trusts, unless somebody vouched for the file."""
    data = read(spec)
    try:
        import skops.io
    except ImportError as error:
        raise MissingExtra("skops files need the extra: pip install 'penstock[sklearn]'") from error
    try:
        unknown = skops.io.get_untrusted_types(data=data)
        if unknown and not (spec.trusted and spec.sha256):
            raise _untrusted_types(data, unknown)
        return skops.io.loads(data, trusted=unknown)
    except PenstockError:
        raise
    except Exception as error:
        raise _unreadable(error) from error


def _untrusted_types(data: bytes, unknown: list[str]) -> UntrustedFile:
    listed = ", ".join(unknown[:10]) + (" and more" if len(unknown) > 10 else "")
    what = f"this skops file holds types that skops does not know to be safe ({listed}): it"
    return UntrustedFile.naming(what, digest(data))


def _unreadable(error: Exception) -> ModelFileError:
    import sklearn

    reason = f"{type(error).__name__}: {error}"[:300]
    return ModelFileError(
        f"the file cannot be read with scikit-learn {sklearn.__version__} ({reason}); it may be damaged, or written "
        "by another version"
    )


@contextmanager
def version_warnings(name: str) -> Iterator[None]:
    """Turns scikit-learn's version warnings, one per estimator, into one clear sentence."""
    from sklearn.exceptions import InconsistentVersionWarning

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    foreign = [item.message for item in caught if isinstance(item.message, InconsistentVersionWarning)]
    if foreign:
        here, there = foreign[0].current_sklearn_version, foreign[0].original_sklearn_version
        log.warning(
            "model %r was saved with scikit-learn %s and runs on %s: its answers may differ; save it again with %s, "
            "or install %s", name, there, here, here, there,
        )  # fmt: skip


def check_fitted(obj: Any) -> None:
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(obj)
    except NotFittedError as error:
        raise ModelFileError(f"this {type(obj).__qualname__} is not fitted yet; call fit first") from error
    except TypeError:
        return


def pickled(obj: Any) -> bytes:
    import cloudpickle
    import joblib

    buffer = io.BytesIO()
    try:
        joblib.dump(obj, buffer)
        # What a notebook defines is pickled by its name, which means nothing in another process.
        if b"__main__" not in buffer.getvalue():
            return buffer.getvalue()
        return bytes(cloudpickle.dumps(obj))
    except Exception:
        return _cloudpickled(obj, cloudpickle)


def _cloudpickled(obj: Any, cloudpickle: Any) -> bytes:
    try:
        return bytes(cloudpickle.dumps(obj))
    except Exception as error:
        raise ModelFileError(f"the model cannot be written: {type(error).__name__}: {error}"[:500]) from error
