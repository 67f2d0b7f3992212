"""Whether an XGBoost document holds together: its parser trusts counts and indices, and crashes on wrong ones."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from penstock.core.errors import ModelFileError
from penstock.runtimes import ubjson

# Arrays with one entry per node of a tree.
_STRUCTURE = ("default_left", "left_children", "parents", "right_children", "split_conditions", "split_indices")
_PER_NODE = (
    *_STRUCTURE, "base_weights", "loss_changes", "split_type", "sum_hessian",
)  # fmt: skip


def check(data: bytes) -> None:
    """Raises `ModelFileError` when the file is cut, or its trees point where there is nothing."""
    learner = _learner(data)
    try:
        model = learner["gradient_booster"]
        features = int(learner["learner_model_param"]["num_feature"])
        if model["name"] == "dart":
            model = model["gbtree"]
        if "model" in model and "trees" in model["model"]:
            _check_forest(model["model"], features)
    except (KeyError, TypeError, ValueError, OverflowError, IndexError) as error:
        raise _damaged() from error


def _learner(data: bytes) -> Any:
    if data[1:2] == b"L":
        document = ubjson.parse(data)
    else:
        try:
            document = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise _damaged() from error
    if not isinstance(document, dict) or not isinstance(document.get("learner"), dict):
        raise _damaged()
    return document["learner"]


def _damaged() -> ModelFileError:
    return ModelFileError("the XGBoost file is truncated or damaged: its parts do not fit together")


def _check_forest(model: Any, features: int) -> None:
    trees, owners = model["trees"], np.asarray(model["tree_info"])
    if not len(trees) == len(owners) == int(model["gbtree_model_param"]["num_trees"]) or (owners < 0).any():
        raise _damaged()
    for index, tree in enumerate(trees):
        if int(tree["id"]) != index:
            raise _damaged()
        _check_tree(tree, features)


def _check_tree(tree: Any, features: int) -> None:
    param = tree["tree_param"]
    nodes, width = int(param["num_nodes"]), int(param["size_leaf_vector"])
    # A tree with several outputs keeps its weights in other shapes.
    names = _STRUCTURE if width > 1 else _PER_NODE
    arrays = {name: np.asarray(tree[name]) for name in names}
    if nodes < 1 or int(param["num_feature"]) != features:
        raise _damaged()
    if any(array.shape != (nodes,) for array in arrays.values()):
        raise _damaged()
    left, right, split = arrays["left_children"], arrays["right_children"], arrays["split_indices"]
    inner = left != -1
    # Nobody's child is the root, nobody is a child twice: so no path from the root can loop.
    children = np.concatenate([left[inner], right[inner]])
    if (children < 1).any() or (children >= nodes).any() or len(np.unique(children)) != len(children):
        raise _damaged()
    if (width == 1 and (right[~inner] != -1).any()) or (split[inner] < 0).any() or (split[inner] >= features).any():
        raise _damaged()
