"""Kernels refuse arrays of other sizes, dtypes and layouts, and both engines refuse the same.

A call of every kernel is recorded while small examples run. Then it is repeated with one argument changed:
shorter, longer, of another rank, dtype or byte order, with gaps, read-only, None. Each engine must take the
change or refuse it, as the other does, with an exception of the same type, and never touch memory that is not
the argument's.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from checking import all_cases
from test_haar import image_of, random_cascade

import einkorn
from einkorn import boosting, engines, ops
from einkorn.boosting import explain
from einkorn.cases import Case
from einkorn.cases._case import as_tuple
from einkorn.vision import CascadeDetector

Change = Callable[[np.ndarray], Any]


def resized(x: np.ndarray, axis: int, by: int) -> np.ndarray:
    """`x` with that many elements more along an axis, which are those at its other end again."""
    size = x.shape[axis]
    if size == 0:
        return np.zeros([by if n == 0 else n for n in x.shape], x.dtype)
    return np.ascontiguousarray(np.take(x, np.arange(size + by) % size, axis=axis))


def with_gaps(x: np.ndarray) -> np.ndarray:
    return np.repeat(x, 2, axis=-1)[..., ::2]


def other_dtype(x: np.ndarray) -> np.ndarray:
    return x.astype({"float32": np.float64, "int64": np.int32}.get(x.dtype.name, np.float32))


def read_only(x: np.ndarray) -> np.ndarray:
    x = x.copy()
    x.flags.writeable = False
    return x


def misaligned(x: np.ndarray) -> np.ndarray:
    room = np.zeros(x.nbytes + 1, np.uint8)[1:]
    view = room.view(x.dtype).reshape(x.shape)
    view[...] = x
    return view


CHANGES: dict[str, Change] = {
    "None": lambda x: None,
    "a list": lambda x: x.tolist(),
    "empty": lambda x: np.empty((0,) * max(x.ndim, 1), x.dtype),
    "one element": lambda x: np.zeros((1,) * x.ndim, x.dtype),
    "shorter": lambda x: resized(x, 0, -1) if x.ndim and len(x) else None,
    "longer": lambda x: resized(x, 0, 1) if x.ndim else np.zeros(2, x.dtype),
    "shorter rows": lambda x: resized(x, -1, -1) if x.ndim > 1 and x.shape[-1] else None,
    "longer rows": lambda x: resized(x, -1, 1) if x.ndim > 1 else None,
    "much longer": lambda x: resized(x, 0, 64) if x.ndim and len(x) else None,
    "another axis": lambda x: x[None],
    "flat": lambda x: x.reshape(-1),
    "another dtype": other_dtype,
    "bytes": lambda x: x.astype(np.uint8),
    "complex": lambda x: x.astype(complex),
    "another byte order": lambda x: x.astype(x.dtype.newbyteorder()),
    "gaps": lambda x: with_gaps(x) if x.ndim and x.shape[-1] > 1 else None,
    "read-only": read_only,
    "misaligned": lambda x: misaligned(x) if x.itemsize > 1 and x.size else None,
}

#: Arguments whose length no other one tells: packed trees are what checked trees were packed to.
TRUSTED = {"tree_predict": ("used", "sets"), "tree_shap": ("categories",)}
LENGTHS = ("empty", "one element", "shorter", "longer", "much longer")


def copied(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments with their arrays copied, layouts and all."""

    def copy(value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return [copy(each) for each in value]
        if not isinstance(value, np.ndarray):
            return value
        if not value.flags.aligned:
            return misaligned(value)
        if not value.flags.c_contiguous:
            low, high = np.lib.array_utils.byte_bounds(value)
            room = np.zeros(high - low, np.uint8)
            at = value.__array_interface__["data"][0] - low
            fresh: np.ndarray = np.ndarray(value.shape, value.dtype, room, at, value.strides)
            fresh[...] = value
            return fresh
        fresh = value.copy()
        fresh.flags.writeable = value.flags.writeable
        return fresh

    return tuple(copy(value) for value in arguments)


def differentiate(case: Case) -> None:
    """Run a case that has gradients on tensors, and back."""
    if not case.wanted:
        return
    tensors = case.make("float32")
    for i in case.wanted:
        tensors[i] = einkorn.Tensor(tensors[i], requires_grad=True)
    outs = as_tuple(case.run(einkorn, tensors))
    for out in outs:
        if isinstance(out, einkorn.Tensor) and out.requires_grad:
            out.backward(einkorn.Tensor(np.ones(out.shape, out.dtype)))
            return


def call_the_rest(k: Any) -> None:
    """Call the kernels that neither cases nor estimators lead to."""
    x = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
    out = np.empty_like(x)
    for name in ("sign", "gelu_tanh"):
        getattr(k, name)(out, x)
    for name in ("equal", "greater", "greater_equal"):
        getattr(k, name)(out, x, x)
    k.gelu_tanh_grad(out, x, x)
    k.uniform(out, 1, 0, 0.0, 1.0)
    k.normal(out, 1, 0, 0.0, 1.0)
    whole = np.zeros((2, 3, 4), np.int64)
    k.ctc_beam(whole, whole[:, :, 0].copy(), out[:2, :3].copy(), np.stack([x[:2]] * 4), np.eye(4, dtype="f4"),
               np.array([4, 2]), 3, 0)  # fmt: skip
    half = np.zeros((3, 3), np.uint16)
    k.matmul_bf16(half.copy(), half, half, half[0], 1.0, 0.0, 1)
    k.matmul_bf16(out.copy(), half, np.zeros((3, 4), np.uint16), x[0], 1.0, 2.0, 0)
    units, zeros = np.ones(3, np.float32), np.zeros(3, np.int32)
    k.quantize_rows_u8(np.empty((3, 4), np.uint8), units, zeros, x)
    k.quantize_rows_s8(np.empty((3, 4), np.int8), units, x)
    bytes_a, bytes_b = np.ones((3, 4), np.uint8), np.ones((3, 4), np.int8)
    k.matmul_int8(np.empty((3, 3), np.float32), bytes_a, units, zeros, bytes_b, units, zeros, units, 1)
    k.permutation(np.empty(9, np.int64), 1, 0)
    k.clamp_indices(np.empty(3, np.int64), np.full(1, -1), np.array([0, 5, -2]), 0, 4, -2)
    k.resize_exact(np.empty((7, 5), np.uint8), image_of(9, 8))
    ops.haar.integral_image(image_of(9, 8), True, True)
    rects, weights = random_cascade(2).rects, random_cascade(2).weights
    sums, scale = ops.haar.haar_patch_sums(np.stack([image_of(12, 10, i) for i in range(5)]))
    k.haar_features(np.empty((len(rects), 5), np.float32), sums, scale, rects, weights, 12, 10)
    pictures, which = np.zeros((2, 3, 5, 4), np.uint8), np.arange(2)
    window, field, fill = [0, 1, 3, 4], np.zeros((2, 2, 5, 4), np.float32), np.zeros(3)
    ops.augment_warp(pictures, np.eye(3), window=window, field=field, fill=fill, scale=fill, shift=fill)
    ops.augment_color(pictures, [1, 2, 8], 0.5, scale=fill, shift=fill)
    ops.augment_filter(pictures, np.ones(3), np.ones(5))
    ops.augment_noise(pictures, which, 0.5)
    ops.augment_mirror(pictures, which == which[0], True)
    ops.augment_erase(pictures, [0, 1, 2, 2], fill, filler=pictures.copy())
    rows, one = np.array([2, 0], np.int64), np.zeros(2, np.int64)
    k.embedding_renorm(x.copy(), rows, 1.0, 2.0)
    k.embedding_put(x.copy(), out[:2], rows)
    k.embedding_bag_factor_grad(np.empty(2, np.float32), x, x, rows, one, -1)
    codes = (np.arange(60) % 5).astype(np.uint8).reshape(3, 20)
    g = np.linspace(-1, 1, 20)
    table = np.empty((3, 5, 3))
    k.histogram(table, codes, g, None, None)
    k.histogram(table, codes, g, g, np.arange(0, 20, 2))
    k.histogram_subtract(np.empty_like(table), table, table)
    signed, target = g.astype(np.float32), (np.arange(20) % 3).astype(np.int32)
    place, bins = np.empty(3, np.int64), np.full(3, 5, np.int32)
    k.stump_search_binned(place, np.empty((2, 2)), codes, bins, 255, signed, None, 2, 0)
    k.stump_search_binned(place, np.empty((2, 3)), codes, bins, 255, abs(signed), target, 3, 0)
    tokens, starts = np.arange(8, dtype=np.int32) % 5, np.array([0, 3, 8])
    paths, parts = ops.huffman_paths(np.ones(5)), (np.arange(6), np.arange(5, dtype=np.int32))
    rows, others = np.ones((5, 3), np.float32), np.ones((5, 3), np.float32)
    ops.word2vec_train(
        rows, others, tokens, starts, words=5, keep=np.ones(5, np.float32), sampler=ops.alias_table([1] * 5)
    )
    ops.word2vec_train(rows, others, tokens, starts, words=5, paths=paths, parts=parts)
    near = tokens[:4], tokens[1:5], np.ones(4, np.float32), np.arange(4)
    ops.glove_train(np.ones((2, 5, 4), np.float32), np.ones((2, 5, 4), np.float32), *near)


def examples() -> None:
    """Run every kernel on little data."""

    def largest(case: Case) -> int:
        return max((x.size for x in case.inputs if x is not None), default=0)

    taken: dict[str, int] = {}
    for family, case in sorted(all_cases(), key=lambda each: abs(largest(each[1]) - 200)):
        key = f"{family} {case.op.name} {bool(case.wanted)}"
        if taken.setdefault(key, 0) < 3:
            taken[key] += 1
            case.run(einkorn, case.make("float32"))
            differentiate(case)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 4))
    x[::7, 1] = np.nan
    y = (x[:, 0] + rng.normal(size=60) / 9 > 0).astype(int) + (x[:, 2] > 1)
    for target, model in (
        (y, boosting.GradientBoostingClassifier(n_estimators=2, subsample=0.7, random_state=0)),
        (x[:, 0], boosting.GradientBoostingRegressor(n_estimators=2, loss="absolute_error")),
        (y, boosting.RandomForestClassifier(n_estimators=2, random_state=0)),
        (x[:, 0], boosting.RandomForestRegressor(n_estimators=2, random_state=0)),
        (y, boosting.AdaBoostClassifier(n_estimators=2)),
        (y > 0, boosting.AdaBoostClassifier(n_estimators=2)),
    ):
        model.fit(x, target, sample_weight=rng.uniform(0.5, 1, 60))
        model.predict(x)
    explain.shap_values(boosting.GradientBoostingRegressor(n_estimators=2).fit(x, x[:, 0]), x)
    call_the_rest(engines.cpu())
    image = image_of(40, 30)
    detector = CascadeDetector(random_cascade(2, tilted=True))
    detector.detect(np.stack([image] * 3, -1), min_neighbors=1)


class Recorder:
    """The native engine, which remembers the calls of its kernels."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self.calls: dict[str, list[tuple[Any, ...]]] = {}

    def quick(self, kernel: str, *operands: Any) -> None:
        """No short cut: each kernel is called by its name."""

    def __getattr__(self, name: str) -> Any:
        function = getattr(self.engine, name)
        if name not in set(self.engine.kernels()):
            return function

        def recorded(*args: Any) -> Any:
            kept = self.calls.setdefault(name, [])
            absent = [a is None for a in args]
            if all([b is None for b in other] != absent for other in kept) and len(kept) < 3:
                kept.append(copied(args))
            return function(*args)

        return recorded


@pytest.fixture(scope="module")
def calls() -> dict[str, list[tuple[Any, ...]]]:
    """Calls of every kernel that numba has, made by the native engine."""
    if len(engines.available()) < 2:
        pytest.skip("needs both engines")
    before = engines.get_engine()
    einkorn.set_engine("native")
    recorder = Recorder(engines.cpu())
    engines._cpu = recorder  # type: ignore[assignment]
    try:
        examples()
    finally:
        engines._cpu = recorder.engine
        einkorn.set_engine(before)
    return recorder.calls


def outcome(engine: str, name: str, arguments: tuple[Any, ...]) -> str:
    """What a call raises."""
    einkorn.set_engine(engine)
    try:
        getattr(engines.cpu(), name)(*copied(arguments))
    except Exception as error:
        return type(error).__name__
    return "taken"


def changed(name: str, arguments: tuple[Any, ...]) -> list[tuple[str, tuple[Any, ...]]]:
    """The arguments of a kernel with one array changed, each with a name."""
    found = []
    names = list(
        inspect.signature(getattr(importlib.import_module("einkorn.engines.numba"), name)).parameters
    )
    for i, value in enumerate(arguments):
        arrays = value if isinstance(value, list) else [value]
        if not all(isinstance(x, np.ndarray) for x in arrays) or not arrays:
            continue
        for what, change in CHANGES.items():
            if what in LENGTHS and names[i] in TRUSTED.get(name, ()):
                continue
            new = change(arrays[-1])
            if new is None and what != "None":
                continue  # there is no such change of this array
            fresh = [*arrays[:-1], new] if isinstance(value, list) else new
            found.append((f"{names[i]}: {what}", (*arguments[:i], fresh, *arguments[i + 1 :])))
        if isinstance(value, list):
            found.append((f"{names[i]}: one fewer", (*arguments[:i], value[:-1], *arguments[i + 1 :])))
            found.append((f"{names[i]}: None", (*arguments[:i], None, *arguments[i + 1 :])))
    return found


def kernels() -> list[str]:
    if "numba" not in engines.available():
        return []
    return list(importlib.import_module("einkorn.engines.numba").KERNELS)


@pytest.mark.parametrize("name", kernels())
def test_both_engines_refuse_the_same(name: str, calls: dict[str, list[tuple[Any, ...]]]) -> None:
    assert name in calls, f"no example calls {name}"
    differences = []
    refused = 0
    for arguments in calls[name]:
        for engine in ("native", "numba"):
            assert outcome(engine, name, arguments) == "taken", engine
        for what, new in changed(name, arguments):
            native, numba = outcome("native", name, new), outcome("numba", name, new)
            refused += native != "taken"
            if native != numba:
                differences.append(f"{what}: native {native}, numba {numba}")
    assert not differences, "\n".join(differences)
    assert refused >= 5


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("tree_update", "value: empty"),
        ("tree_update", "value: one element"),
        ("tree_predict", "leaf_value: shorter rows"),
        ("tree_shap", "value: shorter rows"),
    ],
)
def test_places_outside_an_array_are_refused(
    name: str, what: str, engine: str, calls: dict[str, list[tuple[Any, ...]]]
) -> None:
    """Engines that take such calls do not differ: they read the same foreign memory."""
    for arguments in calls[name]:
        assert outcome(engine, name, dict(changed(name, arguments))[what]) == "ValueError"
