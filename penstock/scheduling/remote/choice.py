"""What serves a provider's model, by what it is asked for."""

from __future__ import annotations

from penstock.core.model import ModelSpec
from penstock.scheduling.remote.embedding import RemoteEmbedding
from penstock.scheduling.remote.language import RemoteLanguage


def kind(spec: ModelSpec) -> type[RemoteLanguage | RemoteEmbedding]:
    """The deployment of a model whose runtime is "remote"."""
    return RemoteEmbedding if spec.options.get("task") == "embedding" else RemoteLanguage
