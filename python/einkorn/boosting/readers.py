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
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from einkorn.boosting._peer_model import LINKS, PeerModel
from einkorn.boosting._peer_rows import Categories, category_array, cut_text
from einkorn.boosting.trees import Trees
from einkorn.errors import DataError, EinkornError

__all__ = ["PeerModel", "read_lightgbm", "read_xgboost"]

_MOST_BYTES = 4 << 30
_MOST_CATEGORY = 1 << 24  # XGBoost's bound; a set of all of them has 2 MB
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
        raise DataError("a tree has no nodes, or unequal numbers of left and right children")
    levels, level, seen = [], np.zeros(1, np.int64), 0
    while level.size:
        seen += level.size
        if seen > nodes:
            raise DataError("a tree's nodes form a cycle")
        levels.append(level)
        if ((left[level] < 0) != (right[level] < 0)).any():
            raise DataError("a tree has a node with one child")
        split = level[left[level] >= 0]
        level = np.stack([left[split], right[split]], axis=1).reshape(-1)
        if level.size and not (level.min() >= 0 and level.max() < nodes):
            raise DataError("a tree has a child that is none of its nodes")
    return np.concatenate(levels)


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
    if any(array.size != left.size for array in nodes.values()):
        raise DataError("a tree's lists differ in length")
    feature = nodes["feature"][order]
    if not 0 <= feature.min(initial=0) <= feature.max(initial=0) < n_features:
        raise DataError(f"a tree splits on a feature that is none of the {n_features}")
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
        return _xgboost(json.loads(data))
    except (EinkornError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path}: is no XGBoost model that can be read: {error}") from error
    except (OverflowError, RecursionError, MemoryError) as error:
        raise DataError(f"{path}: is no XGBoost model that can be read: {error!r}") from error


def _is_json(data: bytes) -> bool:
    """Whether a file begins as a JSON object does; XGBoost's binary form begins with a brace, too."""
    head = data[:4096].lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n\0").replace(b"\0", b"")  # also of UTF-16
    return head[:1] == b"{" and head[1:].lstrip()[:1] in (b'"', b"}", b"")


def _xgboost(document: Any) -> PeerModel:
    learner = document["learner"]
    booster, weights = learner["gradient_booster"], None
    if booster["name"] == "dart":
        weights, booster = booster["weight_drop"], booster["gbtree"]
    if booster["name"] != "gbtree":
        raise DataError(f"the booster is {booster['name']!r}, expected 'gbtree' or 'dart'")
    shape = learner["learner_model_param"]
    objective = learner["objective"]["name"]
    n_features = int(shape["num_feature"])
    groups = max(int(shape["num_class"]), int(shape.get("num_target", 1)), 1)
    model, trees = booster["model"], booster["model"]["trees"]
    outputs = model["tree_info"]
    if not len(trees) == len(outputs) == len(weights or trees):
        raise DataError("the numbers of trees, outputs and weights differ")
    if groups > max(len(trees), 1) * 1000 or not 1 <= n_features < 1 << 31:
        raise DataError(f"{groups} outputs and {n_features} features do not fit {len(trees)} trees")
    base = _base_score(shape["base_score"], objective, groups)
    parts, words = [], 0
    for i, (tree, output) in enumerate(zip(trees, outputs, strict=True)):
        weight = 1.0 if weights is None else float(weights[i])
        parts.append(_xgboost_tree(tree, n_features, groups, int(output), weight))
        words += parts[-1][0].categories.size
        if words > _MOST_WORDS:
            raise DataError("the sets of categories take more room than any model's")
    made = PeerModel("xgboost", str(objective), LINKS["xgboost"].get(objective, "identity"))
    made._categories = _xgboost_categories(model.get("cats"), n_features)
    return _finish(made, parts, base, n_features, learner.get("feature_names"))


def _xgboost_categories(cats: Any, n_features: int) -> Categories:
    """What XGBoost keeps of a data frame: numbers, or the bytes of all names and where each ends."""
    if not cats or not cats.get("enc"):
        return None
    if len(cats["enc"]) != n_features:
        raise DataError(f"there are categories of {len(cats['enc'])} features, expected {n_features}")
    found: list[np.ndarray | None] = []
    for feature in cats["enc"]:
        values = feature["values"]
        if "offsets" in feature:
            values = cut_text(bytes(byte & 0xFF for byte in values), feature["offsets"])
        found.append(category_array(values) if values else None)
    return found


def _base_score(text: Any, objective: str, groups: int) -> np.ndarray:
    """The start of raw scores: one number for all outputs or one for each, given as a prediction."""
    scores = np.atleast_1d(np.array(json.loads(text), np.float32))
    if scores.shape not in ((1,), (groups,)):
        raise DataError(f"base_score has {scores.size} numbers, expected 1 or {groups}")
    scores = np.broadcast_to(scores, (groups,)).astype(np.float64)
    if objective in ("binary:logistic", "reg:logistic"):
        if not ((scores > 0) & (scores < 1)).all():
            raise DataError(f"base_score is {text}, expected probabilities")
        return np.log(scores) - np.log1p(-scores)
    if LINKS["xgboost"].get(objective) == "exp":
        if not (scores > 0).all():
            raise DataError(f"base_score is {text}, expected positive numbers")
        return np.log(scores)
    return scores


def _xgboost_tree(
    tree: dict[str, Any], n_features: int, groups: int, output: int, weight: float
) -> tuple[Trees, np.ndarray]:
    if int(tree["tree_param"].get("size_leaf_vector", 1)) > 1:
        raise DataError("a tree's leaves hold vectors (multi_output_tree), which is not read")
    left = np.array(tree["left_children"], np.int64)
    right = np.array(tree["right_children"], np.int64)
    conditions = np.array(tree["split_conditions"], np.float32)
    default_left = np.array(tree["default_left"], np.int64) != 0
    weights = np.array(tree.get("base_weights") or np.zeros(left.size), np.float64)
    leaf = left < 0
    sets = _xgboost_sets(tree)
    categorical = np.zeros(left.size, bool)
    categorical[list(sets)] = True
    if (categorical != (np.array(tree.get("split_type", [0] * left.size)) == 1)).any():
        raise DataError("a tree's categorical splits and its sets of categories differ")
    return _one_tree(
        n_features,
        groups,
        output,
        np.where(categorical, right, left),
        np.where(categorical, left, right),
        sets,
        feature=np.array(tree["split_indices"], np.int64),
        threshold=np.where(categorical, np.nan, np.nextafter(conditions, np.float32(-np.inf))).astype(float),
        value=np.where(leaf, conditions, weights).astype(np.float64) * weight,
        missing_left=default_left != categorical,
        gain=np.array(tree["loss_changes"], np.float64),
        cover=np.array(tree["sum_hessian"], np.float64),
    )


def _xgboost_sets(tree: dict[str, Any]) -> dict[int, np.ndarray]:
    """Words of the set of each categorical split."""
    members = np.array(tree.get("categories") or [], np.int64)
    if members.size and not (members.min() >= 0 and members.max() < _MOST_CATEGORY):
        raise DataError("a tree has categories out of range")
    nodes, segments, sizes = (
        [int(n) for n in tree.get(f"categories_{name}") or []] for name in ("nodes", "segments", "sizes")
    )
    count = len(tree["left_children"])
    sets = {}
    for node, start, size in zip(nodes, segments, sizes, strict=True):
        if not (0 <= node < count and 0 <= start <= start + size <= members.size):
            raise DataError("a tree's set of categories lies outside its list")
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
    sizes = header["tree_sizes"].split()
    if len(sizes) != len(blocks):
        raise DataError(f"there are {len(blocks)} trees, expected {len(sizes)}")
    n_features = int(header["max_feature_idx"]) + 1
    groups = int(header["num_tree_per_iteration"])
    if not 1 <= n_features < 1 << 31 or not 1 <= groups <= max(len(blocks), 1) * 1000:
        raise DataError(f"{groups} outputs and {n_features} features do not fit {len(blocks)} trees")
    rounds = len(blocks) // groups
    scale = 1 / rounds if "average_output" in header and rounds else 1.0
    names = header["feature_names"].split()
    if len(names) != n_features:
        raise DataError(f"there are {len(names)} feature names, expected {n_features}")
    zero, nonzero = np.zeros((2, n_features), bool)
    parts = []
    for i, block in enumerate(blocks):
        fields = _fields(block.splitlines()[1:])
        parts.append(_lightgbm_tree(fields, n_features, groups, i % groups, zero, nonzero))
    if (zero & nonzero).any():
        raise DataError(f"feature {int(np.argmax(zero & nonzero))} takes 0 for missing in some splits only")
    objective, *options = header.get("objective", "custom").split()
    link = LINKS["lightgbm"].get(objective, "identity")
    for option in options:
        if option == "sqrt":
            link = "signed square"
        elif option.startswith("sigmoid:"):
            scale *= float(option.partition(":")[2])
    made = PeerModel("lightgbm", objective, link, scale)
    model = _finish(made, parts, np.zeros(groups), n_features, names)
    model._zero_is_missing = np.flatnonzero(zero).astype(np.int32)
    _, begun, lists = rest.rpartition("\npandas_categorical:")
    categories = json.loads(lists.splitlines()[0]) if begun else None
    if categories:
        model._categories = [category_array(values) for values in categories]
    return model


def _numbers(fields: dict[str, str], name: str, size: int, dtype: Any) -> np.ndarray:
    if name not in fields:
        raise DataError(f"a tree has no {name}")
    found = np.array([dtype(word) for word in fields[name].split()], dtype)
    if found.size != size:
        raise DataError(f"a tree has {found.size} numbers of {name}, expected {size}")
    return found


def _lightgbm_tree(
    fields: dict[str, str],
    n_features: int,
    groups: int,
    output: int,
    zero: np.ndarray,
    nonzero: np.ndarray,
) -> tuple[Trees, np.ndarray]:
    """One tree; its nodes' numbers are those of leaves. Marks the features that take 0 for missing."""
    if fields.get("is_linear", "0") != "0":
        raise DataError("the leaves are linear models (linear_tree), which is not read")
    leaves = len(fields["leaf_value"].split())
    if int(fields["num_leaves"]) != leaves:
        raise DataError(f"a tree has {leaves} leaves, expected {fields['num_leaves']}")
    splits = leaves - 1

    def of_nodes(inner: str, leaf: str | None, dtype: Any) -> np.ndarray:
        first = _numbers(fields, inner, splits, dtype) if splits else np.empty(0, dtype)
        if leaf is None:
            last = np.zeros(leaves, dtype)
        elif splits or leaf in fields:
            last = _numbers(fields, leaf, leaves, dtype)
        else:
            last = np.zeros(leaves, dtype)  # a tree of one leaf says no more than its value
        return np.concatenate([first, last])

    feature = of_nodes("split_feature", None, int)
    threshold = of_nodes("threshold", None, float)
    kind = of_nodes("decision_type", None, int)
    if splits and not (feature.min() >= 0 and feature.max() < n_features):
        raise DataError(f"a tree splits on a feature that is none of the {n_features}")
    categorical, default_left, missing = (kind & 1) != 0, (kind & 2) != 0, kind >> 2 & 3
    inner = np.arange(leaves + splits) < splits
    numeric = inner & ~categorical
    zero[feature[numeric & (missing == 1)]] = True
    nonzero[feature[inner & (missing != 1)]] = True
    # children of -1 and below are leaves: ~child
    left, right = (
        np.where(child < 0, splits + ~child, child)
        for child in (of_nodes("left_child", None, int), of_nodes("right_child", None, int))
    )
    left, right = np.where(inner, left, -1), np.where(inner, right, -1)
    sets = {}
    if categorical.any():
        bounds = _numbers(fields, "cat_boundaries", int(fields["num_cat"]) + 1, int)
        words = np.array([int(word) for word in fields["cat_threshold"].split()], np.uint32)
        for node in np.flatnonzero(categorical):
            which = int(threshold[node])
            start, end = int(bounds[which]), int(bounds[which + 1])
            if which < 0 or not 0 <= start < end <= words.size:
                raise DataError("a tree's set of categories lies outside its list")
            sets[int(node)] = words[start:end]
    counts = of_nodes("internal_count", "leaf_count", int)
    tree, order = _one_tree(
        n_features,
        groups,
        output,
        left,
        right,
        sets,
        feature=feature,
        threshold=threshold,
        value=of_nodes("internal_value", "leaf_value", float),
        missing_left=np.where(missing == 0, threshold >= 0, default_left) & ~categorical,
        gain=of_nodes("split_gain", None, float),
        cover=counts.astype(np.float64),
        count=counts,
    )
    return tree, order - splits
