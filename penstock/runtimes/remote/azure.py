"""Azure OpenAI: OpenAI's API at an address of one's own. A model is a deployment's name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import msgspec

from penstock.core.errors import ConfigError, PenstockError
from penstock.runtimes.remote.contract import RemoteModel
from penstock.runtimes.remote.failures import document
from penstock.runtimes.remote.openai import OpenAI
from penstock.runtimes.remote.reading import filtered

ENDPOINT = "AZURE_OPENAI_ENDPOINT"
VERSION = "OPENAI_API_VERSION"


class Azure(OpenAI):
    """With `api_version` the address names the deployment; without, it is the newer one that needs no version."""

    name = "azure"
    public = ""
    variables = ("AZURE_OPENAI_API_KEY", "AZURE_API_KEY")

    def settle(self, model: RemoteModel) -> RemoteModel:
        """With the address and the version of the environment. Raises `ConfigError` without an address."""
        url = model.url or os.environ.get(ENDPOINT, "")
        if not url:
            where = f"such as https://NAME.openai.azure.com, here or as {ENDPOINT}"
            raise ConfigError(f"url is missing: the address of the resource, {where}")
        version = model.api_version or ("" if model.url else os.environ.get(VERSION, ""))
        return msgspec.structs.replace(model, url=url, api_version=version)

    def authorize(self, key: str) -> dict[str, str]:
        """The headers that carry the key."""
        return {"api-key": key}

    def failure(self, status: int, headers: Mapping[str, str], body: bytes) -> PenstockError:
        """The error of a reply that is none; a filter that stands before the model says 400."""
        if status == 400 and _code(document(body)) == "content_filter":
            return filtered(self.name, "content_filter")
        return super().failure(status, headers, body)

    def _url(self, model: RemoteModel, path: str) -> str:
        base = model.url.rstrip("/").removesuffix("/openai/v1").removesuffix("/openai")
        if not model.api_version:
            return f"{base}/openai/v1/{path}"
        return f"{base}/openai/deployments/{model.model}/{path}?api-version={model.api_version}"


def _code(body: Any) -> str:
    error = body.get("error") if isinstance(body, dict) else None
    return str(error.get("code")) if isinstance(error, dict) else ""
