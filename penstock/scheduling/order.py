"""In which order models start, where some call others; they stop the other way round."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from graphlib import CycleError, TopologicalSorter

from penstock.core.errors import ConfigError


def waves(needs: Mapping[str, Collection[str]]) -> list[list[str]]:
    """Models in groups, each after all those that its members need; `needs`: every model's, by name.

    Raises `ConfigError` for a model that needs one that is not there, or itself by a detour.
    """
    for name, others in needs.items():
        for other in others:
            if other not in needs:
                raise ConfigError(f"model {name!r} needs {other!r}, which is not served here")
    sorter = TopologicalSorter(needs)
    try:
        sorter.prepare()
    except CycleError as error:
        raise ConfigError(f"models need each other in a circle: {' → '.join(error.args[1])}") from None
    found: list[list[str]] = []
    while sorter.is_active():
        found.append(list(sorter.get_ready()))
        sorter.done(*found[-1])
    return found
