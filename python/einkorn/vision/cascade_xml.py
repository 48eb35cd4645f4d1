"""OpenCV's cascade files: reading both formats, writing the newer one.

A file is data from anywhere, so it is read with limits: no document types and entities, no deep nesting, at
most 64 MiB; what comes out is checked by :class:`einkorn.ops.HaarCascade`, rectangles and indices included.

The newer format (``opencv-cascade-classifier``) lists features once and refers to them by number. The older
one (``opencv-haar-classifier``) has a feature within each node.
"""

from __future__ import annotations

import os
import xml.parsers.expat
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder

import numpy as np

from einkorn.checkpoint import write_whole
from einkorn.errors import DataError, EinkornError
from einkorn.ops.haar import HaarCascade

__all__ = ["read_cascade", "write_cascade"]

_MAX_BYTES = 64 << 20
_MAX_DEPTH = 32
_MAX_ITEMS = 1_000_000

# A node as (feature, threshold, left, right): children are ("node", number) or ("leaf", value).
_Child = tuple[str, float]
_Node = tuple[int, float, _Child, _Child]


def _parse(data: bytes, name: str) -> Element:
    """The document's root, from a parser that refuses what a cascade has no need of."""
    builder = TreeBuilder()
    parser = xml.parsers.expat.ParserCreate()
    parser.buffer_text = True
    depth = 0

    def refuse(*_: Any) -> None:
        raise DataError(f"{name}: has a document type or entities, which cascades do not need")

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _MAX_DEPTH:
            raise DataError(f"{name}: is nested deeper than {_MAX_DEPTH} elements")
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(data, True)
        return builder.close()
    except (xml.parsers.expat.ExpatError, AssertionError, ValueError) as error:
        if isinstance(error, EinkornError):
            raise
        raise DataError(f"{name}: is no well-formed XML ({error})") from None


class _Reader:
    """Elements to numbers, with errors that name the file and the element."""

    def __init__(self, name: str) -> None:
        self.name = name

    def error(self, what: str) -> DataError:
        return DataError(f"{self.name}: {what}")

    def child(self, parent: Element, tag: str) -> Element:
        found = parent.find(tag)
        if found is None:
            raise self.error(f"<{parent.tag}> has no <{tag}>")
        return found

    def items(self, parent: Element, tag: str) -> list[Element]:
        found = self.child(parent, tag).findall("_")
        if len(found) > _MAX_ITEMS:
            raise self.error(f"<{tag}> has more than {_MAX_ITEMS} items")
        return found

    def numbers(self, element: Element, count: int | None = None) -> list[float]:
        words = (element.text or "").split()
        try:
            found = [float(word) for word in words]
        except ValueError:
            raise self.error(f"<{element.tag}> has {element.text!r:.60}, expected numbers") from None
        if count is not None and len(found) != count:
            raise self.error(f"<{element.tag}> has {len(found)} numbers, expected {count}")
        if any(not abs(v) < 1e30 for v in found):
            raise self.error(f"<{element.tag}> has numbers that are not finite")
        return found

    def number(self, parent: Element, tag: str) -> float:
        return self.numbers(self.child(parent, tag), 1)[0]

    def whole(self, value: float, what: str) -> int:
        if value != int(value) or abs(value) > 1 << 24:
            raise self.error(f"{what} is {value}, expected a whole number")
        return int(value)

    def feature(self, element: Element) -> tuple[list[list[int]], list[float], int]:
        """Rectangles, weights and tilt of a feature; absent rectangles have weight 0."""
        rects, weights = [], []
        for rect in self.items(element, "rects"):
            x, y, w, h, weight = self.numbers(rect, 5)
            rects.append([self.whole(v, "a rectangle's side") for v in (x, y, w, h)])
            weights.append(weight)
        if not 2 <= len(rects) <= 3:
            raise self.error(f"a feature has {len(rects)} rectangles, expected 2 or 3")
        while len(rects) < 3:
            rects.append([0, 0, 0, 0])
            weights.append(0.0)
        tilted = element.find("tilted")
        return rects, weights, int(tilted is not None and self.numbers(tilted, 1)[0] != 0)


class _Builder:
    """Collects trees and stages into the arrays of a HaarCascade."""

    def __init__(self, reader: _Reader) -> None:
        self.reader = reader
        self.nodes: list[tuple[int, float, int, int, float, float]] = []
        self.trees = [0]
        self.stages = [0]
        self.thresholds: list[float] = []

    def tree(self, nodes: list[_Node]) -> None:
        """Add a tree; nodes are put into an order in which children come after their parents."""
        if not nodes:
            raise self.reader.error("a tree has no nodes")
        order, place = [0], {0: 0}
        for number in order:
            for kind, value in nodes[number][2:]:
                if kind == "leaf":
                    continue
                child = int(value)
                if not 0 < child < len(nodes) or child in place:
                    raise self.reader.error(f"a tree's node {number} has the child {child}, which cannot be")
                place[child] = len(order)
                order.append(child)
        for number in order:
            feature, threshold, left, right = nodes[number]
            inner = [place[int(v)] if kind == "node" else 0 for kind, v in (left, right)]
            leaves = [v if kind == "leaf" else 0.0 for kind, v in (left, right)]
            self.nodes.append((feature, threshold, inner[0], inner[1], leaves[0], leaves[1]))
        self.trees.append(len(self.nodes))

    def stage(self, threshold: float) -> None:
        """End a stage."""
        if len(self.trees) - 1 == self.stages[-1]:
            raise self.reader.error("a stage has no trees")
        self.stages.append(len(self.trees) - 1)
        self.thresholds.append(threshold)

    def finish(self, height: int, width: int, features: list[Any]) -> HaarCascade:
        columns = list(zip(*self.nodes, strict=True)) or [()] * 6
        rects, weights, tilted = zip(*features, strict=True) if features else ((), (), ())
        try:
            return HaarCascade(
                height=height,
                width=width,
                rects=np.array(rects, np.int32).reshape(-1, 3, 4),
                weights=np.array(weights, np.float32).reshape(-1, 3),
                tilted=np.array(tilted, np.uint8),
                feature=np.array(columns[0], np.int32),
                threshold=np.array(columns[1], np.float32),
                left=np.array(columns[2], np.int32),
                right=np.array(columns[3], np.int32),
                left_value=np.array(columns[4], np.float32),
                right_value=np.array(columns[5], np.float32),
                tree_nodes=np.array(self.trees, np.int32),
                stage_trees=np.array(self.stages, np.int32),
                stage_threshold=np.array(self.thresholds, np.float32),
            )
        except EinkornError as error:
            raise self.reader.error(str(error)) from None


def _read_new(reader: _Reader, root: Element) -> HaarCascade:
    kind = (reader.child(root, "featureType").text or "").strip()
    if kind != "HAAR":
        raise reader.error(f"has features of type {kind!r:.40}, expected HAAR")
    builder = _Builder(reader)
    for stage in reader.items(root, "stages"):
        for weak in reader.items(stage, "weakClassifiers"):
            inner = reader.numbers(reader.child(weak, "internalNodes"))
            leaves = reader.numbers(reader.child(weak, "leafValues"))
            if len(inner) % 4:
                raise reader.error(f"<internalNodes> has {len(inner)} numbers, expected four for each node")

            def child(value: float, leaves: list[float] = leaves) -> _Child:
                number = reader.whole(value, "a node's child")
                if number > 0:
                    return "node", number
                if -number >= len(leaves):
                    raise reader.error(f"a node has the leaf {-number}, expected fewer than {len(leaves)}")
                return "leaf", leaves[-number]

            nodes: list[_Node] = []
            for i in range(0, len(inner), 4):
                left, right, feature, threshold = inner[i : i + 4]
                number = reader.whole(feature, "a node's feature")
                nodes.append((number, threshold, child(left), child(right)))
            builder.tree(nodes)
        builder.stage(reader.number(stage, "stageThreshold"))
    features = [reader.feature(feature) for feature in reader.items(root, "features")]
    height, width = (reader.whole(reader.number(root, tag), tag) for tag in ("height", "width"))
    return builder.finish(height, width, features)


def _read_old(reader: _Reader, root: Element) -> HaarCascade:
    builder = _Builder(reader)
    features: list[Any] = []
    for number, stage in enumerate(reader.items(root, "stages")):
        parent = stage.find("parent")
        if parent is not None and reader.numbers(parent, 1)[0] != number - 1:
            raise reader.error("its stages are a tree, not a chain; such cascades are not supported")
        for tree in reader.items(stage, "trees"):
            nodes: list[_Node] = []
            for node in tree.findall("_"):
                children: list[_Child] = []
                for side in ("left", "right"):
                    inner = node.find(f"{side}_node")
                    if inner is not None:
                        children.append(("node", reader.whole(reader.numbers(inner, 1)[0], f"{side}_node")))
                    else:
                        children.append(("leaf", reader.number(node, f"{side}_val")))
                nodes.append((len(features), reader.number(node, "threshold"), children[0], children[1]))
                features.append(reader.feature(reader.child(node, "feature")))
            builder.tree(nodes)
        builder.stage(reader.number(stage, "stage_threshold"))
    width, height = (reader.whole(v, "size") for v in reader.numbers(reader.child(root, "size"), 2))
    return builder.finish(height, width, features)


def read_cascade(path: str | os.PathLike[str]) -> HaarCascade:
    """Read a cascade of Haar features from OpenCV's XML, of the newer or the older format.

    Parameters
    ----------
    path : path

    Raises
    ------
    DataError
        When there is no such file, when it is no such cascade, or one that asks for what no cascade needs.
    """
    name = os.fspath(path)
    try:
        with open(name, "rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise DataError(f"{name}: cannot be read ({error.strerror})") from None
    if len(data) > _MAX_BYTES:
        raise DataError(f"{name}: has more than {_MAX_BYTES >> 20} MiB, no cascade is that large")
    root = _parse(data, name)
    reader = _Reader(name)
    if root.tag != "opencv_storage":
        raise reader.error(f"begins with <{root.tag:.40}>, expected <opencv_storage>")
    for element in root:
        kind = element.get("type_id")
        if kind == "opencv-cascade-classifier":
            return _read_new(reader, element)
        if kind == "opencv-haar-classifier":
            return _read_old(reader, element)
    raise reader.error("holds no opencv-cascade-classifier and no opencv-haar-classifier")


def _number(value: Any) -> str:
    return f"{float(value):.16e}"


def _tree_text(cascade: HaarCascade, begin: int, end: int) -> tuple[str, str]:
    """A tree's internal nodes and leaves: a child above 0 is a node, others are minus a leaf's number."""
    inner: list[str] = []
    leaves: list[str] = []
    for node in range(begin, end):
        children = []
        for child, value in (
            (cascade.left[node], cascade.left_value[node]),
            (cascade.right[node], cascade.right_value[node]),
        ):
            if child == 0:
                children.append(str(-len(leaves)))
                leaves.append(_number(value))
            else:
                children.append(str(child))
        inner.append(f"{' '.join(children)} {cascade.feature[node]} {_number(cascade.threshold[node])}")
    return " ".join(inner), " ".join(leaves)


def _text(cascade: HaarCascade) -> str:
    sizes = np.diff(cascade.stage_trees)
    lines = [
        '<?xml version="1.0"?>',
        "<opencv_storage>",
        '<cascade type_id="opencv-cascade-classifier">',
        "  <stageType>BOOST</stageType>",
        "  <featureType>HAAR</featureType>",
        f"  <height>{cascade.height}</height>",
        f"  <width>{cascade.width}</width>",
        f"  <stageParams><maxWeakCount>{sizes.max(initial=0)}</maxWeakCount></stageParams>",
        "  <featureParams><maxCatCount>0</maxCatCount></featureParams>",
        f"  <stageNum>{cascade.n_stages}</stageNum>",
        "  <stages>",
    ]
    for stage in range(cascade.n_stages):
        first, last = cascade.stage_trees[stage : stage + 2]
        lines += [
            "    <_>",
            f"      <maxWeakCount>{last - first}</maxWeakCount>",
            f"      <stageThreshold>{_number(cascade.stage_threshold[stage])}</stageThreshold>",
            "      <weakClassifiers>",
        ]
        for tree in range(first, last):
            inner, leaves = _tree_text(cascade, *cascade.tree_nodes[tree : tree + 2])
            lines.append(
                f"        <_><internalNodes>{inner}</internalNodes><leafValues>{leaves}</leafValues></_>"
            )
        lines += ["      </weakClassifiers>", "    </_>"]
    lines += ["  </stages>", "  <features>"]
    for rects, weights, tilted in zip(cascade.rects, cascade.weights, cascade.tilted, strict=True):
        texts = [
            f"<_>{' '.join(map(str, rect))} {_number(weight)}</_>"
            for i, (rect, weight) in enumerate(zip(rects, weights, strict=True))
            if i < 2 or weight != 0
        ]
        lines.append(f"    <_><rects>{''.join(texts)}</rects><tilted>{tilted}</tilted></_>")
    lines += ["  </features>", "</cascade>", "</opencv_storage>", ""]
    return "\n".join(lines)


def write_cascade(cascade: HaarCascade, path: str | os.PathLike[str]) -> None:
    """Write a cascade in OpenCV's newer format; the file is complete or not there.

    Raises
    ------
    CheckpointError
        When the file cannot be written.
    """
    write_whole(path, [_text(cascade).encode("ascii")])
