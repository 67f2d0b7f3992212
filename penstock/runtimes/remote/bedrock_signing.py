"""Signatures of AWS (version 4) on calls, with the credentials that AWS's own tools would find."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping
from typing import Any

from penstock.core.errors import ConfigError, ProviderRefused
from penstock.runtimes.remote.bedrock_frames import missing
from penstock.runtimes.remote.contract import HttpCall, RemoteModel

SERVICE = "bedrock"
_NO_CREDENTIALS = (
    "Bedrock: this server has no AWS credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
    "AWS_BEARER_TOKEN_BEDROCK, or a profile or role"
)


def region_of(model: RemoteModel) -> str:
    """The region of a model: its own, the environment's, or the profile's. Raises `ConfigError` where there is none,
    `MissingExtra` without botocore."""
    found = model.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    found = found or _of_profile()
    if not found:
        raise ConfigError("Bedrock needs a region; set it in the model's options (region: eu-central-1), or AWS_REGION")
    return str(found)


def _of_profile() -> Any:
    session = _session()
    from botocore.exceptions import BotoCoreError

    try:
        return session.get_config_variable("region")
    except BotoCoreError as error:
        raise _unreadable(error) from None


def _unreadable(error: Exception) -> ConfigError:
    return ConfigError(f"Bedrock: the settings of AWS cannot be read ({type(error).__name__}); see AWS_PROFILE")


def check_credentials() -> None:
    """Raises `ConfigError` where there are none. May wait for a machine's role, some seconds at most."""
    session = _session()
    from botocore.exceptions import BotoCoreError

    try:
        found = session.get_credentials()
    except BotoCoreError as error:
        raise _unreadable(error) from None
    if found is None:
        raise ConfigError(_NO_CREDENTIALS)


class AwsSigner:
    """Signs calls. Credentials are looked for at the first, and renewed by botocore when they expire."""

    def __init__(self, model: RemoteModel):
        self._region = model.region or region_of(model)
        self._session = _session()
        self._credentials: Any = None
        self._lock = threading.Lock()

    def headers(self, call: HttpCall) -> Mapping[str, str]:
        """All headers to send with a call. May wait for credentials. Raises `ProviderRefused` where there are none."""
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        request = AWSRequest("POST", call.url, dict(call.headers), call.body)
        SigV4Auth(self._frozen(), SERVICE, self._region).add_auth(request)
        return dict(request.headers.items())

    def _frozen(self) -> Any:
        from botocore.exceptions import BotoCoreError

        try:
            with self._lock:
                self._credentials = self._credentials or self._session.get_credentials()
            if self._credentials is None:
                raise ProviderRefused(_NO_CREDENTIALS)
            return self._credentials.get_frozen_credentials()
        except BotoCoreError as error:
            raise ProviderRefused(_NO_CREDENTIALS, detail=type(error).__name__) from None


def _session() -> Any:
    try:
        from botocore.session import Session
    except ImportError:
        raise missing() from None
    # Its debug log would hold session tokens.
    logging.getLogger("botocore").setLevel(logging.INFO)
    return Session()
