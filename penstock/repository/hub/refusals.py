"""What went wrong with the hub, in words that say what to do. A token is never in them, nor an address."""

from __future__ import annotations

import errno
import os

from penstock.core.errors import HubUnreachable, ModelFileError, SetupError

# Bases of what goes wrong on the network, in httpx, httpx2 and requests.
_NETWORK = frozenset({"TransportError", "RequestException", "TimeoutException", "ConnectionError", "TimeoutError"})
DISK_FULL = "the disk of the hub's cache is full; free some space, or set HF_HOME to a folder on another disk"


def unreachable(error: BaseException) -> bool:
    """Whether the hub itself is away (so that a copy in the cache may stand in), rather than saying no."""
    status = _status(error)
    if status is not None:
        return status >= 500 or status == 429
    return _named(error, "OfflineModeIsEnabled") or any(_named(error, name) for name in _NETWORK)


def refusal(error: BaseException, repo: str, revision: str | None) -> SetupError:
    """The error for a person, of whatever huggingface_hub raised."""
    if isinstance(error, SetupError):
        return error
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return SetupError(DISK_FULL)
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return SetupError(f"the hub's cache cannot be written ({error.strerror}); set HF_HOME to a folder of your own")
    return (HubUnreachable if _may_heal(error) else ModelFileError)(_reason(error, repo, revision))


def _may_heal(error: BaseException) -> bool:
    """Whether the same may work later: the hub is away or overloaded, or the connection broke."""
    if _named(error, "OfflineModeIsEnabled"):
        return False
    broken = isinstance(error, OSError) and _status(error) is None
    return unreachable(error) or broken or _named(error, "LocalEntryNotFoundError")


def _reason(error: BaseException, repo: str, revision: str | None) -> str:
    """More special classes come before their bases."""
    if _named(error, "OfflineModeIsEnabled"):
        return f"{repo} is not in the hub's cache here, and HF_HUB_OFFLINE forbids to download it; unset it once"
    if _named(error, "GatedRepoError"):
        return f"{repo} is gated: ask for access on its page, and set HF_TOKEN to a token of your account{_token()}"
    if _named(error, "DisabledRepoError"):
        return f"the hub has disabled {repo}; take another model"
    if _named(error, "RevisionNotFoundError"):
        return f"{repo} has no revision {(revision or 'main')[:100]!r}; name a branch, a tag or a commit of it"
    if _named(error, "RepositoryNotFoundError"):
        return f"the hub has no {repo} for you: check the name; if it is private, set HF_TOKEN{_token()}"
    status = _status(error)
    if status is not None:
        return _of_status(status, repo)
    if unreachable(error) or _named(error, "LocalEntryNotFoundError"):
        return (
            f"the hub cannot be reached for {repo} ({_kind(error)}); check the network, and HF_ENDPOINT if it is set, "
            "then try again"
        )
    if isinstance(error, OSError):
        return f"the download of {repo} broke off ({_kind(error)}); start it again, and it goes on where it stopped"
    return f"the hub's answer about {repo} makes no sense ({_kind(error)}); check HF_ENDPOINT if it is set"


def _of_status(status: int, repo: str) -> str:
    if status == 401:
        return f"the hub wants a valid token for {repo}; set HF_TOKEN to one, or unset it if it is set"
    if status == 403:
        return f"your token does not allow to read {repo}; set HF_TOKEN to one that does"
    if status == 404:
        return f"the hub does not find what belongs to {repo}; check the name, and HF_ENDPOINT if it is set"
    if status == 429:
        return f"the hub asks to slow down; wait some minutes, then ask for {repo} again (HF_TOKEN raises the limit)"
    return f"the hub answered {status} when asked for {repo}; try again later"


def _token() -> str:
    return " (the token that is set does not open it)" if os.environ.get("HF_TOKEN") else ""


def _status(error: BaseException) -> int | None:
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def _named(error: BaseException, name: str) -> bool:
    return any(kind.__name__ == name for kind in type(error).__mro__)


def _kind(error: BaseException) -> str:
    return type(error).__name__
