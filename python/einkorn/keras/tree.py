"""Structures of lists, tuples and dicts: ``map_structure``, ``flatten`` and their kin.

The leaves of a dict come in the order of its keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from einkorn.errors import ArgumentError

__all__ = [
    "MAP_TO_NONE", "assert_same_paths", "assert_same_structure", "flatten", "flatten_with_path", "is_nested",
    "lists_to_tuples", "map_shape_structure", "map_structure", "map_structure_up_to", "pack_sequence_as",
    "traverse",
]  # fmt: skip


class MAP_TO_NONE:  # noqa: N801 - Keras' name
    """What the function of ``traverse`` gives to put None in a place; None itself means to go on."""


def is_nested(structure: Any) -> bool:
    """Whether it is a list, a tuple or a dict."""
    return isinstance(structure, (list, tuple, Mapping))


def _parts(structure: Any) -> Iterator[tuple[Any, Any]]:
    """Keys or numbers, and what stands there."""
    if isinstance(structure, Mapping):
        for key in _keys(structure):
            yield key, structure[key]
    else:
        yield from enumerate(structure)


def _keys(structure: Mapping[Any, Any]) -> list[Any]:
    try:
        return sorted(structure)
    except TypeError:  # keys of several kinds have no order but their own
        return list(structure)


def _made_of(structure: Any, parts: Mapping[Any, Any]) -> Any:
    """A structure of the same kind with other parts."""
    if isinstance(structure, Mapping):
        whole = {key: parts[key] for key in structure}
        kind: Any = type(structure)
        return whole if kind is dict else kind(whole)
    row = [parts[i] for i in range(len(structure))]
    return type(structure)(*row) if hasattr(structure, "_fields") else type(structure)(row)


def flatten_with_path(structure: Any) -> list[tuple[tuple[Any, ...], Any]]:
    """The leaves, each behind the keys and numbers that lead to it."""
    if not is_nested(structure):
        return [((), structure)]
    return [((key, *path), leaf) for key, part in _parts(structure) for path, leaf in flatten_with_path(part)]


def flatten(structure: Any) -> list[Any]:
    """The leaves."""
    return [leaf for _, leaf in flatten_with_path(structure)]


def traverse(func: Callable[[Any], Any], structure: Any, top_down: bool = True) -> Any:
    """Put what a function gives for a part, if it gives anything, in its place, from the top or to it."""
    if top_down:
        found = func(structure)
        if found is not None:
            return None if found is MAP_TO_NONE else found
        if not is_nested(structure):
            return structure
        return _made_of(structure, {key: traverse(func, part) for key, part in _parts(structure)})
    if is_nested(structure):
        parts = {key: traverse(func, part, False) for key, part in _parts(structure)}
        structure = _made_of(structure, parts)
    found = func(structure)
    return structure if found is None else None if found is MAP_TO_NONE else found


def map_structure(func: Callable[..., Any], *structures: Any, none_is_leaf: bool = True) -> Any:
    """A structure of what a function gives for the leaves of one or several."""
    if not structures:
        raise ArgumentError("map_structure: expected one structure or more")
    for other in structures[1:]:
        assert_same_structure(structures[0], other)
    return _mapped(func, structures, none_is_leaf)


def _mapped(func: Callable[..., Any], structures: tuple[Any, ...], none_is_leaf: bool) -> Any:
    first = structures[0]
    if first is None and not none_is_leaf:
        return None
    if not is_nested(first):
        return func(*structures)
    parts = {
        key: _mapped(func, tuple(one[key] for one in structures), none_is_leaf) for key, _ in _parts(first)
    }
    return _made_of(first, parts)


def map_structure_up_to(shallow_structure: Any, func: Callable[..., Any], *structures: Any) -> Any:
    """``map_structure`` that goes no deeper than the first structure."""
    if not structures:
        raise ArgumentError("map_structure_up_to: expected one structure or more")

    def walk(shallow: Any, parts: tuple[Any, ...]) -> Any:
        if not is_nested(shallow):
            return func(*parts)
        for part in parts:
            if not is_nested(part) or len(part) != len(shallow):
                raise ArgumentError("map_structure_up_to: a structure has not the form of the first one")
        return _made_of(shallow, {k: walk(p, tuple(one[k] for one in parts)) for k, p in _parts(shallow)})

    return walk(shallow_structure, structures)


def assert_same_structure(a: Any, b: Any, check_types: Any = None) -> None:
    """Refuse structures of different form.

    Raises
    ------
    ArgumentError
        Which part differs.
    """
    _same(a, b, "")


def _same(a: Any, b: Any, path: str) -> None:
    kinds = (isinstance(a, Mapping), isinstance(b, Mapping), is_nested(a), is_nested(b))
    where = f" at {path}" if path else ""
    if kinds[0] != kinds[1] or kinds[2] != kinds[3] or (kinds[2] and not kinds[0] and type(a) is not type(b)):
        raise ArgumentError(
            f"structures differ{where}: {type(a).__name__} and {type(b).__name__}, expected the same"
        )
    if not kinds[2]:
        return
    if kinds[0] and set(a) != set(b):
        raise ArgumentError(f"structures differ{where}: keys {list(a)} and {list(b)}, expected the same")
    if len(a) != len(b):
        raise ArgumentError(f"structures differ{where}: {len(a)} and {len(b)} parts, expected the same")
    for key, part in _parts(a):
        _same(part, b[key], f"{path}[{key!r}]")


def assert_same_paths(a: Any, b: Any) -> None:
    """Refuse structures whose leaves do not lie in the same places."""
    one, other = ({path for path, _ in flatten_with_path(structure)} for structure in (a, b))
    if one != other:
        places = ", ".join(map(repr, sorted(one ^ other, key=repr)))
        raise ArgumentError(f"structures differ: {places} lie in one of them only")


def pack_sequence_as(structure: Any, flat_sequence: Any) -> Any:
    """The leaves of a row in the form of a structure."""
    leaves = list(flat_sequence)
    count = len(flatten(structure))
    if count != len(leaves):
        raise ArgumentError(f"pack_sequence_as: got {len(leaves)} leaves, expected {count}")
    supply = iter(leaves)
    return _mapped(lambda _: next(supply), (structure,), True)


def lists_to_tuples(structure: Any) -> Any:
    """Lists as tuples."""
    return traverse(lambda part: tuple(part) if isinstance(part, list) else None, structure, False)


def _is_shape(structure: Any) -> bool:
    return isinstance(structure, (list, tuple)) and all(
        size is None or isinstance(size, int) for size in structure
    )


def map_shape_structure(func: Callable[[Any], Any], structure: Any) -> Any:
    """``map_structure`` whose leaves are shapes, lists or tuples of sizes."""
    if _is_shape(structure):
        return func(tuple(structure))
    if not is_nested(structure):
        raise ArgumentError(f"map_shape_structure: got {type(structure).__name__}, expected shapes")
    return _made_of(structure, {key: map_shape_structure(func, part) for key, part in _parts(structure)})
