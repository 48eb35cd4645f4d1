"""Models of XGBoost and LightGBM, read from their files and run on einkorn's kernels.

Neither library is needed. The files are text: XGBoost's JSON and LightGBM's own. What they decide is
taken over exactly, so that every row reaches the same leaves:

=====================  =======================================  ==========================================
what                   in the file                              here
=====================  =======================================  ==========================================
XGBoost, numeric       left when x < t, in float32              x <= the next float32 below t, x as float32
XGBoost, categorical   right when in the set                    children exchanged: left when in the set
LightGBM, numeric      left when x <= t                         the same
LightGBM, missing NaN  NaN goes the default way                 the same
LightGBM, no missing   NaN counts as 0                          NaN goes the way of 0
LightGBM, missing 0    0 and NaN go the default way             0 in such features is made NaN beforehand
LightGBM, categorical  left when in the set, NaN to the right   the same
=====================  =======================================  ==========================================
"""

from __future__ import annotations

import json
import math
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from einkorn.boosting._entries import (
    decimals,
    entry,
    items,
    real,
    real_list,
    text,
    whole,
    whole_list,
    words_of,
)
from einkorn.boosting._peer_model import LINKS, PeerModel
from einkorn.boosting._peer_rows import Categories, category_array, cut_text
from einkorn.boosting.trees import Trees
from einkorn.errors import DataError, EinkornError

__all__ = ["PeerModel", "read_lightgbm", "read_xgboost"]

_MOST_BYTES = 4 << 30
_MOST_CATEGORY = 1 << 24  # XGBoost's bound; a set of all of them has 2 MB
_MOST_FEATURES = (1 << 31) - 1
_LARGEST = float(np.finfo(np.float32).max)
_MOST_WORDS = 1 << 26  # of all sets of a model: a short list of large numbers shall not fill the memory


def _read(path: str | PathLike[str]) -> bytes:
    try:
        size = Path(path).stat().st_size
        if size > _MOST_BYTES:
            raise DataError(f"{path}: has {size} bytes, expected at most {_MOST_BYTES}")
        return Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error}") from error


def _finish(
    model: PeerModel, parts: list[tuple[Trees, np.ndarray]], base: np.ndarray, n_features: int, names: Any
) -> PeerModel:
    """Put the trees together and fill in what the model needs."""
    if parts:
        model.trees_ = Trees.concatenate([trees for trees, _ in parts], base=base)
        model._numbers = np.concatenate([numbers for _, numbers in parts]).astype(np.int32)
    else:
        model.trees_ = Trees.empty(n_features, base.size, base)
        model._numbers = np.empty(0, np.int32)
    model.trees_.check()
    model.n_features_in_ = n_features
    model._zero_is_missing = np.empty(0, np.int32)
    if names and len(names) == n_features and all(isinstance(name, str) for name in names):
        model.feature_names_in_ = np.array(names, object)  # type: ignore[attr-defined]
    return model


def _in_levels(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Nodes from the root down, level by level: parents before children. Leaves have a child of -1."""
    nodes = left.size
    if nodes == 0 or right.size != nodes:
        raise DataError("left_children is empty, or has not as many entries as right_children")
    levels, level, seen = [], np.zeros(1, np.int64), 0
    while level.size:
        seen += level.size
        if seen > nodes:
            raise DataError("left_children and right_children form a cycle")
        levels.append(level)
        if ((left[level] < 0) != (right[level] < 0)).any():
            raise DataError("left_children and right_children: a node has one child")
        split = level[left[level] >= 0]
        level = np.stack([left[split], right[split]], axis=1).reshape(-1)
        if level.size and not (level.min() >= 0 and level.max() < nodes):
            raise DataError("left_children and right_children: a child is none of the nodes")
    order = np.concatenate(levels)
    if np.unique(order).size < order.size:
        raise DataError("left_children and right_children lead to one node twice")
    return order


def _one_tree(
    n_features: int,
    n_outputs: int,
    output: int,
    left: np.ndarray,
    right: np.ndarray,
    sets: dict[int, np.ndarray],
    **nodes: np.ndarray,
) -> tuple[Trees, np.ndarray]:
    """A tree and its nodes' old numbers, from arrays over nodes in any order; ``sets`` are words by node."""
    order = _in_levels(left, right)
    place = np.full(left.size, -1, np.int64)
    place[order] = np.arange(order.size)
    leaf = left[order] < 0
    words, offset = np.zeros(left.size, np.int64), np.full(left.size, -1, np.int64)
    at = 0
    for node, members in sets.items():
        words[node], offset[node] = members.size, at
        at += members.size
    taken = {name: array[order] for name, array in nodes.items()}
    tree = Trees.from_nodes(
        np.where(leaf, -1, taken.pop("feature")),
        np.where(leaf, np.nan, taken.pop("threshold")),
        np.where(leaf, -1, place[left[order]]),
        np.where(leaf, -1, place[right[order]]),
        taken.pop("value"),
        n_features,
        n_outputs=n_outputs,
        output=output,
        gain=np.where(leaf, 0, taken.pop("gain")),
        category_words=np.where(leaf, 0, words[order]),
        category_offset=np.where(leaf, -1, offset[order]),
        categories=np.concatenate(list(sets.values())) if sets else None,
        **taken,
    )
    return tree, order


def read_xgboost(path: str | PathLike[str]) -> PeerModel:
    """Read a model that XGBoost saved as JSON (``booster.save_model("model.json")``).

    Parameters
    ----------
    path : str or path
        Boosters gbtree and dart, trees of one output each. ``base_score`` may be one number or a list.

    Returns
    -------
    PeerModel

    Raises
    ------
    DataError
        The file is missing, truncated, malformed, in XGBoost's binary form, or of a kind that is not read
        (gblinear, trees of vectors). The message names the file.
    """
    data = _read(path)
    if not _is_json(data):
        raise DataError(f"{path}: is no JSON; save the model under a name that ends in .json")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: is no XGBoost model that can be read: it is no JSON: {error}") from error
    try:
        return _xgboost(document)
    except (EinkornError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path}: is no XGBoost model that can be read: {error}") from error
    except (OverflowError, RecursionError, MemoryError) as error:
        raise DataError(f"{path}: is no XGBoost model that can be read: {error!r}") from error


def _is_json(data: bytes) -> bool:
    """Whether a file begins as a JSON object does; XGBoost's binary form begins with a brace, too."""
    head = data[:4096].lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n\0").replace(b"\0", b"")  # also of UTF-16
    return head[:1] == b"{" and head[1:].lstrip()[:1] in (b'"', b"}", b"")


def _xgboost(document: Any) -> PeerModel:
    learner = entry(document, "learner", "")
    booster, weights = entry(learner, "gradient_booster", "learner"), None
    name = entry(booster, "name", "gradient_booster")
    if name == "dart":
        weights, booster = entry(booster, "weight_drop", "dart"), entry(booster, "gbtree", "dart")
        name = entry(booster, "name", "gbtree")
    if name != "gbtree":
        raise DataError(f"gradient_booster.name is {name!r}, expected 'gbtree' or 'dart'")
    shape = entry(learner, "learner_model_param", "learner")
    objective = text(entry(entry(learner, "objective", "learner"), "name", "objective"), "objective.name")
    model = entry(booster, "model", "gbtree")
    trees = items(entry(model, "trees", "model"), "trees")
    n_features = whole(entry(shape, "num_feature", "learner_model_param"), "num_feature", 1, _MOST_FEATURES)
    classes = whole(entry(shape, "num_class", "learner_model_param"), "num_class", 0, _MOST_FEATURES)
    targets = whole(entry(shape, "num_target", "learner_model_param", 1), "num_target", 0, _MOST_FEATURES)
    groups = max(classes, targets, 1)
    if groups > max(len(trees), 1) * 1000:
        raise DataError(
            f"num_class is {classes} and num_target {targets}, which do not fit {len(trees)} trees"
        )
    counts = entry(model, "gbtree_model_param", "model", {})
    told = entry(counts, "num_trees", "gbtree_model_param", len(trees))
    if whole(told, "num_trees", 0, _MOST_FEATURES) != len(trees):
        raise DataError(f"num_trees is {told!r}, and there are {len(trees)} trees")
    outputs = whole_list(entry(model, "tree_info", "model"), "tree_info", 0, groups - 1, len(trees))
    if weights is not None:
        weights = real_list(weights, "weight_drop", -_LARGEST, _LARGEST, len(trees))
    names = entry(learner, "feature_names", "learner", None)
    if names:
        names = [text(name, "feature_names") for name in items(names, "feature_names", n_features)]
    base = _base_score(entry(shape, "base_score", "learner_model_param"), objective, groups)
    parts, words = [], 0
    for i, (tree, output) in enumerate(zip(trees, outputs.tolist(), strict=True)):
        weight = 1.0 if weights is None else float(weights[i])
        try:
            parts.append(_xgboost_tree(tree, n_features, groups, output, weight))
        except EinkornError as error:
            raise DataError(f"trees[{i}]: {error}") from error
        words += parts[-1][0].categories.size
        if words > _MOST_WORDS:
            raise DataError("categories take more room than those of any model")
    made = PeerModel("xgboost", objective, LINKS["xgboost"].get(objective, "identity"))
    if made.link in ("softmax", "argmax") and groups < 2:
        raise DataError(f"num_class is {classes}, and {objective} needs two classes or more")
    made._categories = _xgboost_categories(entry(model, "cats", "model", None), n_features)
    return _finish(made, parts, base, n_features, names)


def _xgboost_categories(cats: Any, n_features: int) -> Categories:
    """What XGBoost keeps of a data frame: numbers, or the bytes of all names and where each ends."""
    if not cats or not entry(cats, "enc", "cats", None):
        return None
    found: list[np.ndarray | None] = []
    for feature in items(cats["enc"], "cats.enc", n_features):
        values = items(entry(feature, "values", "cats.enc"), "cats.enc.values")
        if "offsets" in feature:
            octets = whole_list(values, "cats.enc.values", -128, 255)
            ends = whole_list(feature["offsets"], "cats.enc.offsets", 0, len(values))
            if (np.diff(ends) < 0).any():
                raise DataError("cats.enc.offsets fall, expected rising numbers")
            values = cut_text(octets.astype(np.uint8).tobytes(), ends.tolist())
        elif any(isinstance(value, float) and not math.isfinite(value) for value in values):
            raise DataError("cats.enc.values holds NaN or infinity")
        found.append(category_array(values) if values else None)
    return found


def _base_score(written: Any, objective: str, groups: int) -> np.ndarray:
    """The start of raw scores: one number for all outputs or one for each, given as a prediction."""
    words = text(written, "base_score").strip()
    listed = words[:1] == "[" and words[-1:] == "]"
    numbers = decimals(words[1:-1].replace(",", " ").split() if listed else [words], "base_score", float)
    if len(numbers) not in (1, groups):
        raise DataError(f"base_score has {len(numbers)} entries, expected 1 or {groups}")
    scores = real_list(numbers, "base_score", -_LARGEST, _LARGEST).astype(np.float32)
    scores = np.broadcast_to(scores, (groups,)).astype(np.float64)
    if objective in ("binary:logistic", "reg:logistic"):
        if not ((scores > 0) & (scores < 1)).all():
            raise DataError(f"base_score is {words}, expected probabilities")
        return np.log(scores) - np.log1p(-scores)
    if LINKS["xgboost"].get(objective) == "exp":
        if not (scores > 0).all():
            raise DataError(f"base_score is {words}, expected positive numbers")
        return np.log(scores)
    return scores


def _xgboost_tree(
    tree: Any, n_features: int, groups: int, output: int, weight: float
) -> tuple[Trees, np.ndarray]:
    shape = entry(tree, "tree_param", "the tree")
    if whole(entry(shape, "size_leaf_vector", "tree_param", 1), "size_leaf_vector", 0, _MOST_FEATURES) > 1:
        raise DataError("size_leaf_vector: the leaves hold vectors (multi_output_tree), which is not read")
    told = whole(entry(shape, "num_feature", "tree_param", 0), "num_feature", 0, _MOST_FEATURES)
    if told not in (0, n_features):
        raise DataError(f"num_feature is {told}, and that of the model {n_features}")

    def listed(name: str) -> Any:
        return entry(tree, name, "the tree")

    children = items(listed("left_children"), "left_children")
    nodes = len(children)
    told = whole(entry(shape, "num_nodes", "tree_param", nodes), "num_nodes", 1, _MOST_FEATURES)
    if told != nodes:
        raise DataError(f"num_nodes is {told}, and left_children has {nodes} entries")
    left = whole_list(children, "left_children", -1, nodes - 1)
    right = whole_list(listed("right_children"), "right_children", -1, nodes - 1, nodes)
    feature = whole_list(listed("split_indices"), "split_indices", 0, _MOST_FEATURES, nodes)
    conditions = real_list(listed("split_conditions"), "split_conditions", -_LARGEST, _LARGEST, nodes)
    conditions, leaf = conditions.astype(np.float32), left < 0
    beyond = ~leaf & (feature >= n_features)  # removed nodes have the largest number there
    if beyond.any():
        node = int(np.argmax(beyond))
        raise DataError(
            f"split_indices[{node}] is {feature[node]}, expected an int from 0 to {n_features - 1}"
        )
    sides = items(listed("default_left"), "default_left")
    sides = [int(side) if isinstance(side, bool) else side for side in sides]
    default_left = whole_list(sides, "default_left", 0, 1, nodes) != 0
    weights = np.zeros(nodes)
    if entry(tree, "base_weights", "the tree", None):
        weights = real_list(tree["base_weights"], "base_weights", -_LARGEST, _LARGEST, nodes)
    sets = _xgboost_sets(tree, nodes)
    categorical = np.zeros(nodes, bool)
    categorical[list(sets)] = True
    kinds = whole_list(entry(tree, "split_type", "the tree", [0] * nodes), "split_type", 0, 1, nodes)
    if (categorical != (kinds == 1)).any():
        node = int(np.argmax(categorical != (kinds == 1)))
        raise DataError(f"split_type[{node}] is {kinds[node]}, which does not fit categories_nodes")
    return _one_tree(
        n_features,
        groups,
        output,
        np.where(categorical, right, left),
        np.where(categorical, left, right),
        sets,
        feature=feature,
        threshold=np.where(categorical, np.nan, np.nextafter(conditions, np.float32(-np.inf))).astype(float),
        value=np.where(leaf, conditions, weights).astype(np.float64) * weight,
        missing_left=default_left != categorical,
        gain=real_list(listed("loss_changes"), "loss_changes", -_LARGEST, _LARGEST, nodes),
        cover=real_list(listed("sum_hessian"), "sum_hessian", 0, _LARGEST, nodes),
    )


def _xgboost_sets(tree: dict[str, Any], count: int) -> dict[int, np.ndarray]:
    """Words of the set of each categorical split."""

    def numbers(name: str, least: int, most: int) -> np.ndarray:
        return whole_list(entry(tree, name, "the tree", []), name, least, most)

    members = numbers("categories", 0, _MOST_CATEGORY - 1)
    nodes = numbers("categories_nodes", 0, count - 1).tolist()
    if len(set(nodes)) < len(nodes):
        raise DataError("categories_nodes names a node twice")
    segments = numbers("categories_segments", 0, members.size).tolist()
    sizes = numbers("categories_sizes", 0, members.size).tolist()
    if not len(nodes) == len(segments) == len(sizes):
        raise DataError("categories_nodes, categories_segments and categories_sizes differ in length")
    sets = {}
    for node, start, size in zip(nodes, segments, sizes, strict=True):
        if start + size > members.size:
            raise DataError(f"categories_sizes: the set of node {node} lies outside categories")
        sets[node] = _words(members[start : start + size])
    return sets


def _words(members: np.ndarray) -> np.ndarray:
    words = np.zeros(int(members.max(initial=0)) // 32 + 1, np.uint32)
    np.bitwise_or.at(words, members // 32, np.uint32(1) << (members % 32).astype(np.uint32))
    return words


def read_lightgbm(path: str | PathLike[str]) -> PeerModel:
    """Read a model that LightGBM saved (``booster.save_model("model.txt")``).

    Parameters
    ----------
    path : str or path
        Boostings gbdt, dart, goss and rf, with constant leaves.

    Returns
    -------
    PeerModel

    Raises
    ------
    DataError
        The file is missing, truncated, malformed, or its leaves are linear models. The message names the
        file.
    """
    data = _read(path)
    try:
        return _lightgbm(data.decode("utf-8-sig").replace("\r\n", "\n"))
    except (EinkornError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path}: is no LightGBM model that can be read: {error}") from error
    except (OverflowError, RecursionError, MemoryError) as error:
        raise DataError(f"{path}: is no LightGBM model that can be read: {error!r}") from error


def _fields(lines: list[str]) -> dict[str, str]:
    found = {}
    for line in lines:
        key, _, value = line.partition("=")
        found[key.strip()] = value.strip()
    return found


def _lightgbm(text: str) -> PeerModel:
    body, end, rest = text.partition("\nend of trees")
    if not end:
        raise DataError("the file ends before its trees do")
    head, *blocks = body.split("\nTree=")
    header = _fields(head.splitlines())
    if "tree" not in header:
        raise DataError("the first line is not 'tree'")
    decimals(words_of(header, "tree_sizes", "the head"), "tree_sizes", int, len(blocks))
    last = entry(header, "max_feature_idx", "the head")
    n_features = whole(last, "max_feature_idx", 0, _MOST_FEATURES - 1) + 1
    told = entry(header, "num_tree_per_iteration", "the head")
    groups = whole(told, "num_tree_per_iteration", 1, max(len(blocks), 1) * 1000)
    if len(blocks) % groups:
        raise DataError(f"num_tree_per_iteration is {groups}, which does not divide {len(blocks)} trees")
    rounds = len(blocks) // groups
    scale = 1 / rounds if "average_output" in header and rounds else 1.0
    names = words_of(header, "feature_names", "the head")
    if len(names) != n_features:
        raise DataError(f"feature_names has {len(names)} entries, expected {n_features}")
    zero, nonzero = np.zeros((2, n_features), bool)
    parts = []
    for i, block in enumerate(blocks):
        fields = _fields(block.splitlines()[1:])
        try:
            parts.append(_lightgbm_tree(fields, n_features, groups, i % groups, zero, nonzero))
        except EinkornError as error:
            raise DataError(f"Tree={i}: {error}") from error
    if (zero & nonzero).any():
        raise DataError(
            f"decision_type: feature {int(np.argmax(zero & nonzero))} takes 0 for missing in some splits only"
        )
    objective, *options = header.get("objective", "custom").split() or ["custom"]
    link = LINKS["lightgbm"].get(objective, "identity")
    if link == "softmax" and groups < 2:
        raise DataError(f"num_tree_per_iteration is {groups}, and {objective} needs two classes or more")
    for option in options:
        if option == "sqrt":
            link = "signed square"
        elif option.startswith("sigmoid:"):
            scale *= real(option.partition(":")[2], "objective: sigmoid", 1e-300, 1e300)
    made = PeerModel("lightgbm", objective, link, scale)
    model = _finish(made, parts, np.zeros(groups), n_features, names)
    model._zero_is_missing = np.flatnonzero(zero).astype(np.int32)
    _, begun, lists = rest.rpartition("\npandas_categorical:")
    if begun:
        model._categories = _lightgbm_categories(lists.partition("\n")[0])
    return model


def _lightgbm_categories(written: str) -> Categories:
    try:
        categories = json.loads(written)
    except ValueError:
        raise DataError("pandas_categorical is no JSON") from None
    if not categories:
        return None
    lists = [items(values, "pandas_categorical") for values in items(categories, "pandas_categorical")]
    return [category_array(values) for values in lists]


def _lightgbm_tree(
    fields: dict[str, str],
    n_features: int,
    groups: int,
    output: int,
    zero: np.ndarray,
    nonzero: np.ndarray,
) -> tuple[Trees, np.ndarray]:
    """One tree; its nodes' numbers are those of leaves. Marks the features that take 0 for missing."""
    if whole(entry(fields, "is_linear", "the tree", "0"), "is_linear", 0, 1):
        raise DataError("is_linear is 1: the leaves are linear models (linear_tree), which is not read")
    leaves = len(words_of(fields, "leaf_value", "the tree"))
    if whole(entry(fields, "num_leaves", "the tree"), "num_leaves", 1, _MOST_FEATURES) != leaves:
        raise DataError(f"num_leaves is {fields['num_leaves']}, and leaf_value has {leaves} entries")
    splits = leaves - 1

    def numbers(name: str, size: int, dtype: type, least: float, most: float) -> np.ndarray:
        found = decimals(words_of(fields, name, "the tree"), name, dtype, size)
        if dtype is int:
            return whole_list(found, name, int(least), int(most))
        return real_list(found, name, least, most)

    def of_nodes(inner: str, leaf: str | None, dtype: type, least: float, most: float) -> np.ndarray:
        first = numbers(inner, splits, dtype, least, most) if splits else np.empty(0, dtype)
        if leaf is not None and (splits or leaf in fields):
            last = numbers(leaf, leaves, dtype, least, most)
        else:
            last = np.zeros(leaves, dtype)  # a tree of one leaf says no more than its value
        return np.concatenate([first, last])

    widest = float(np.finfo(np.float64).max)
    feature = of_nodes("split_feature", None, int, 0, n_features - 1)
    threshold = of_nodes("threshold", None, float, -math.inf, math.inf)
    kind = of_nodes("decision_type", None, int, 0, 11)
    categorical, default_left, missing = (kind & 1) != 0, (kind & 2) != 0, kind >> 2 & 3
    inner = np.arange(leaves + splits) < splits
    numeric = inner & ~categorical
    zero[feature[numeric & (missing == 1)]] = True
    nonzero[feature[inner & (missing != 1)]] = True
    # children of -1 and below are leaves: ~child
    left, right = (
        np.where(child < 0, splits + ~child, child)
        for child in (of_nodes(f"{side}_child", None, int, -leaves, splits - 1) for side in ("left", "right"))
    )
    left, right = np.where(inner, left, -1), np.where(inner, right, -1)
    sets = {}
    if categorical.any():
        sets_told = whole(entry(fields, "num_cat", "the tree"), "num_cat", 1, _MOST_WORDS)
        written = decimals(words_of(fields, "cat_threshold", "the tree"), "cat_threshold", int)
        words = whole_list(written, "cat_threshold", 0, 0xFFFFFFFF).astype(np.uint32)
        bounds = numbers("cat_boundaries", sets_told + 1, int, 0, words.size)
        for node in np.flatnonzero(categorical):
            which = threshold[node]
            if not 0 <= which < sets_told or which != int(which):
                raise DataError(
                    f"threshold[{node}] is {which:g}, expected the number of one of {sets_told} sets of"
                    " categories"
                )
            start, end = int(bounds[int(which)]), int(bounds[int(which) + 1])
            if start >= end:
                raise DataError(f"cat_boundaries: the set of categories of split {node} has no words")
            sets[int(node)] = words[start:end]
    counts = of_nodes("internal_count", "leaf_count", int, 0, (1 << 63) - 1)
    tree, order = _one_tree(
        n_features,
        groups,
        output,
        left,
        right,
        sets,
        feature=feature,
        threshold=threshold,
        value=of_nodes("internal_value", "leaf_value", float, -widest, widest),
        missing_left=np.where(missing == 0, threshold >= 0, default_left) & ~categorical,
        gain=of_nodes("split_gain", None, float, -widest, widest),
        cover=counts.astype(np.float64),
        count=counts,
    )
    if order.size < leaves + splits:
        raise DataError("left_child and right_child do not lead to every leaf")
    return tree, order - splits
