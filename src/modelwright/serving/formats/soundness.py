"""Whether the numbers of boosted trees fit together, before the library that believes them sees them.

Both libraries walk from node to node by the numbers in the file. A child that does not exist, or a loop, is a read beyond
an array, or a request that never ends. Here every tree must be one: each node has at most one parent and the root none.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from modelwright.core.errors import Invalid
from modelwright.serving.formats import ubjson

Numbers = npt.NDArray[np.int64]
_LISTS = {"split_feature", "threshold", "decision_type", "left_child", "right_child", "cat_boundaries", "cat_threshold"}
_EVERY = {"num_leaves", "num_cat", "leaf_value", "shrinkage"}


def check_xgboost(data: bytes) -> None:
    """`Invalid` unless the bytes are a whole XGBoost model, in JSON or UBJSON, whose trees are trees."""
    content = _json(data) if data[:2] in (b'{"', b"{\n", b"{ ") else ubjson.read(data)
    try:
        learner = content["learner"]
        params, booster = learner["learner_model_param"], learner["gradient_booster"]
        features, targets = int(params["num_feature"]), max(1, int(params.get("num_target", 1)))
        groups = max(1, int(params["num_class"])) * targets
        _must(isinstance(learner["objective"]["name"], str), "an objective has a name")
        _must(len(content["version"]) == 3, "a version has three numbers")
        _must(len(learner.get("feature_names", [])) in (0, features), "every feature has a name, or none")
        if booster["name"] == "gblinear":
            _must(len(booster["model"]["weights"]) == (features + 1) * groups, "a weight for each feature and class")
            return
        if booster["name"] == "dart":
            _must(len(booster["weight_drop"]) == len(booster["gbtree"]["model"]["trees"]), "a weight for each tree")
            booster = booster["gbtree"]
        model = booster["model"]
        trees, info = model["trees"], _whole(model["tree_info"])
        _must(len(trees) == int(model["gbtree_model_param"]["num_trees"]) == len(info), "as many trees as it says")
        _must(not len(info) or 0 <= int(info.min()) <= int(info.max()) < groups, "every tree belongs to a class")
        rounds = _whole(model.get("iteration_indptr", [0, len(trees)]))
        _must(len(rounds) > 0 and rounds[0] == 0 and rounds[-1] == len(trees), "the rounds hold all trees")
        _must(bool((np.diff(rounds) >= 0).all()), "the rounds are in order")
        if "cats" in model:
            _levels(model["cats"], features)
        for tree in trees:
            _xgboost_tree(tree, features)
    except Invalid:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        raise Invalid(f"It lacks what an XGBoost model has: {type(error).__name__}.") from None


def _levels(cats: Any, features: int) -> None:
    """The names of levels: one text after another, cut at offsets; and an index over them, feature by feature."""
    known = cats["enc"]
    _must(len(known) in (0, features), "levels for every feature, or for none")
    counts = []
    for each in known:
        offsets, values = _whole(each.get("offsets", [])), each["values"]
        if len(offsets):
            _must(offsets[0] == 0 and offsets[-1] == len(values), "levels that are cut from their text")
            _must(bool((np.diff(offsets) >= 0).all()), "levels in order")
        counts.append(max(0, len(offsets) - 1) if "offsets" in each else len(values))
    segments, index = _whole(cats["feature_segments"]), _whole(cats["sorted_idx"])
    _must(len(segments) == (len(known) + 1 if known else len(segments)), "a part of the index for every feature")
    if not known:
        _must(len(index) == 0 and not segments.any(), "no index of levels that do not exist")
        return
    _must(segments[0] == 0 and segments[-1] == len(index), "an index of all levels")
    _must(np.diff(segments).tolist() == counts, "an index of each feature's levels")
    for start, count in zip(segments[:-1], counts, strict=True):
        _must(sorted(index[start : start + count].tolist()) == list(range(count)), "every level once in the index")


def _xgboost_tree(tree: Any, features: int) -> None:
    nodes = int(tree["tree_param"]["num_nodes"])
    _must(int(tree["tree_param"]["size_leaf_vector"]) <= 1, "leaves that hold one number")
    for name in ("left_children", "right_children", "parents", "split_indices", "split_conditions", "default_left"):
        _must(len(tree[name]) == nodes > 0, f"{name} for every node")
    for name in ("base_weights", "loss_changes", "sum_hessian", "split_type"):
        _must(len(tree[name]) in (0, nodes) if name == "split_type" else len(tree[name]) == nodes, f"{name} for every node")
    left, right = _whole(tree["left_children"]), _whole(tree["right_children"])
    _must(bool(((left == -1) == (right == -1)).all()), "nodes with two children, or none")
    _a_tree(np.concatenate([left, right]), nodes)
    parents = _whole(tree["parents"])
    for children in (left, right):
        inner = np.flatnonzero(children != -1)
        _must(bool((parents[children[inner]] == inner).all()), "parents that know their children")
    _must(int(parents[0]) in (-1, 2**31 - 1), "a root without a parent")
    indices = _whole(tree["split_indices"])
    _must(bool(((indices[left != -1] >= 0) & (indices[left != -1] < features)).all()), "splits by features that exist")
    sizes, segments = _whole(tree.get("categories_sizes", [])), _whole(tree.get("categories_segments", []))
    categories, at = _whole(tree.get("categories", [])), _whole(tree.get("categories_nodes", []))
    _must(len(sizes) == len(segments) == len(at), "categories for every node that splits by them")
    _must(bool(((sizes >= 0) & (segments >= 0) & (segments + sizes <= len(categories))).all()), "categories that exist")
    _must(bool(((categories >= 0) & (categories < 2**24)).all()), "categories that are numbers of levels")
    _must(bool(((at >= 0) & (at < nodes)).all()) and bool((np.diff(at) > 0).all()), "categories of nodes that exist")
    by_category = np.flatnonzero(_whole(tree["split_type"]) == 1) if len(tree["split_type"]) else at
    _must(set(by_category.tolist()) == set(at.tolist()), "categories for the nodes that split by them, and no others")


def check_lightgbm(data: bytes) -> tuple[str, list[list[Any]]]:
    """The trees of a LightGBM model, in its own text, and the levels of its categories; `Invalid` unless they are trees.

    What follows the trees (how they were trained) is left out: prediction does not need it.
    """
    try:
        text = data.decode()
        head, *rest = text.split("\nTree=")
        _must(head.startswith("tree\n") and "\nend of trees" in rest[-1] if rest else "end of trees" in head, "an end")
        said = _pairs(head)
        highest, per_round = int(said["max_feature_idx"]), int(said["num_tree_per_iteration"])
        _must(highest >= 0 and int(said["num_class"]) >= 1 and 1 <= per_round <= 10_000, "sensible numbers of classes")
        _must(len(said["feature_names"].split()) == highest + 1, "a name for every feature")
        _must(len(said["feature_infos"].split()) == highest + 1, "a range for every feature")
        sizes = _texts(said["tree_sizes"])
        _must(len(sizes) == len(rest) and len(rest) % per_round == 0, "whole rounds of trees")
        _must(bool((sizes > 0).all()), "trees of some size")
        at = len(head.encode()) + 1
        for number, size in enumerate(sizes.tolist()):  # as the library finds them, by their sizes and not by their names
            _lightgbm_tree(number, _pairs(data[at : at + size].decode()), highest)
            at += size
        _must(data[at:].startswith(b"end of trees"), "an end after the last tree")
        return data[:at].decode() + "end of trees\n", _categories(text[text.rindex("end of trees") :])
    except Invalid:
        raise
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise Invalid(f"It lacks what a LightGBM model has: {type(error).__name__}.") from None


def _categories(text: str) -> list[list[Any]]:
    line = text.partition("\npandas_categorical:")[2].partition("\n")[0]
    found = json.loads(line or "null") or []
    _must(isinstance(found, list) and all(isinstance(each, list) for each in found), "lists of levels")
    return [[*each] for each in found]


def _lightgbm_tree(number: int, said: dict[str, str], highest: int) -> None:
    _must(int(said["Tree"]) == number, "trees in order")
    leaves, splits = int(said["num_leaves"]), int(said["num_leaves"]) - 1
    _must(leaves >= 1 and len(said["leaf_value"].split()) == leaves, "a value for every leaf")
    _must(int(said.get("is_linear", "0")) == 0, "leaves that hold one number")
    for name, value in said.items():
        numbers = [float(each) for each in value.split()]  # what is no number ends the process, not the call
        if name in ("leaf_weight", "leaf_count", "leaf_value"):
            _must(len(numbers) == leaves or (splits == 0 and not numbers), f"{name} for every leaf")
        elif name in ("split_gain", "internal_value", "internal_weight", "internal_count"):
            _must(len(numbers) == splits, f"{name} for every split")
        elif name not in _LISTS:
            _must(len(numbers) == 1, f"one number for {name}")
    _must(said.keys() >= _EVERY, f"{', '.join(sorted(_EVERY - said.keys()))} in every tree")
    if splits == 0:
        return
    for name in (
        "split_feature",
        "threshold",
        "decision_type",
        "left_child",
        "right_child",
        "split_gain",
        "internal_value",
    ):
        _must(len(said[name].split()) == splits, f"{name} for every split")
    left, right = _texts(said["left_child"]), _texts(said["right_child"])
    children = np.concatenate([left, right])
    _must(bool((children >= -leaves).all()), "leaves that exist")
    _a_tree(np.where(children >= 0, children, -1), splits)
    features = _texts(said["split_feature"])
    _must(bool(((features >= 0) & (features <= highest)).all()), "splits by features that exist")
    by_category = _texts(said["decision_type"]) & 1 == 1
    sets = int(said["num_cat"])
    if by_category.any() or sets:
        bounds, words = _texts(said["cat_boundaries"]), said["cat_threshold"].split()
        _must(
            sets >= 0 and len(bounds) == sets + 1 and bounds[0] == 0 and bounds[-1] == len(words), "categories that exist"
        )
        _must(bool((np.diff(bounds) >= 0).all()), "categories in order")
        which = np.array(said["threshold"].split(), dtype=np.float64)[by_category]
        _must(bool(((which >= 0) & (which < sets)).all()), "splits by categories that exist")


def _a_tree(children: Numbers, nodes: int) -> None:
    """Every node but the root, which is the first, is the child of at most one, so nothing leads round in a circle."""
    inner = children[children != -1]
    _must(bool(((inner > 0) & (inner < nodes)).all()), "children that exist")
    _must(len(inner) == len(np.unique(inner)), "one parent for each node")


def _pairs(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in text.split("\n"):
        name, equals, value = line.partition("=")
        if equals:
            _must(name not in found, f"{name[:40]} once")
            found[name] = value
    return found


def _json(data: bytes) -> Any:
    def once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
        _must(len(dict(pairs)) == len(pairs), "each name once")
        return dict(pairs)

    try:
        return json.loads(data, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"It is not valid JSON: {type(error).__name__}.") from None


def _whole(values: Any) -> Numbers:
    found = np.asarray(values)
    _must(found.ndim == 1 and (not len(found) or found.dtype.kind in "iub"), "lists of whole numbers")
    return found.astype(np.int64)


def _texts(values: str) -> Numbers:
    return np.array([int(each) for each in values.split()], dtype=np.int64)


def _must(holds: bool, what: str) -> None:
    if not holds:
        raise Invalid(f"It does not have {what}.")
