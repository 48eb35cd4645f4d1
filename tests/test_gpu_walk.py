"""Every public function by kinds of arguments, on a GPU that is not there: it takes what the CPU takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gpu_stand_in
import gpu_walk
import numpy as np
import pytest
from gpu_stand_in import GpuArray, near

import einkorn
from einkorn import Tensor, linalg, nn, ops, special
from einkorn._torch_names import NAMES

#: What gives arrays of the CPU by what it is, and what is left as it is.
ELSEWHERE = {
    "Tensor.cpu": "brings to the CPU",
    "Tensor.numpy": "an array of the CPU",
    "ops.alias_table": "a table that the CPU draws from",
    "ops.bootstrap_counts": "drawn for a forest on the CPU",
    "ops.normal": "drawn by a shape on the CPU",
    "ops.uniform": "drawn by a shape on the CPU",
    "ops.permutation": "an order, which the CPU reads",
    "ops.sinusoidal_positions": "made of sizes on the CPU",
    "Tensor.data_ptr": "a place in memory",
    "Tensor.get_device": "the number of a GPU",
    "Tensor.type": "a name that has the device in it",
    "ops.bin_edges": "edges that the CPU looks at before they are used",
    "ops.ctc_greedy_decode": "texts, which the CPU reads",
    "ops.group_rectangles": "detections, which the CPU reads",
    "ops.huffman_paths": "a tree that the CPU builds",
    "ops.tril_indices": "a matrix is made on the CPU unless told otherwise",
    "ops.triu_indices": "a matrix is made on the CPU unless told otherwise",
}
_UNSET = ("empty", "empty_like", "new_empty")  # contents are those that were there
_TENSORS = tuple(kind for kind in gpu_walk.KINDS if isinstance(kind.make(einkorn.tensor), Tensor))


def _functions(home: Any, names: Any, prefix: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    for name in sorted(names):
        function = getattr(home, name)
        if callable(function) and not isinstance(function, type):
            yield f"{prefix}.{name}", function


def _of_ops() -> Iterator[str]:
    for name, function in vars(ops).items():
        if not name.startswith("_") and getattr(function, "__module__", "").startswith("einkorn.ops"):
            yield name


HOMES: dict[str, Any] = {
    "einkorn": lambda: _functions(einkorn, NAMES, "einkorn"),
    "functional": lambda: _functions(nn.functional, nn.functional.__all__, "functional"),
    "linalg": lambda: _functions(linalg, linalg.__all__, "linalg"),
    "special": lambda: _functions(special, special.__all__, "special"),
    "ops": lambda: _functions(ops, _of_ops(), "ops"),
    "methods": lambda: _functions(Tensor, (n for n in dir(Tensor) if not n.startswith("_")), "Tensor"),
}


def _there(a: np.ndarray) -> Tensor:
    return einkorn.tensor(a, device="cuda:0")


def _is_far(value: Any) -> bool:
    return isinstance(value, GpuArray) or (isinstance(value, Tensor) and value.is_cuda)


def _differences(name: str, call: gpu_walk.Call) -> Iterator[str]:
    """In what a call on the GPU is another than on the CPU."""
    wanted = call.run(einkorn.tensor)
    try:
        got = call.run(_there)
    except Exception as error:
        yield f"{type(error).__name__}: {error}"
        return
    far = any(map(_is_far, gpu_walk.leaves(got[1])))
    pairs = zip(gpu_walk.leaves(got), gpu_walk.leaves(wanted), strict=True)
    for there, here in pairs:
        if isinstance(here, (Tensor, np.ndarray)):
            if far and not _is_far(there) and name not in ELSEWHERE:
                yield "a result on the CPU"
            elif type(there) is not type(here) and not isinstance(there, GpuArray):
                yield f"a result of {type(there)}"
            elif name.partition(".")[2] not in _UNSET:
                a, b = (np.asarray(near(getattr(x, "_data", x))) for x in (there, here))
                if a.dtype != b.dtype or not np.array_equal(a, b, equal_nan=a.dtype.kind == "f"):
                    yield "other numbers"
        elif isinstance(here, (bool, int, str)) and there != here and name not in ELSEWHERE:
            yield f"{there} for {here}"


X, WHOLE, PLACES, IMAGES = gpu_walk.X, gpu_walk.WHOLE, gpu_walk.PLACES, gpu_walk.IMAGES
ROWS = np.stack([X, X.T])
VOLUMES = gpu_walk.RNG.standard_normal((1, 2, 4, 4, 4)).astype(np.float32)
F = nn.functional
#: Functions of more arguments, which trying does not find.
EXAMPLES: dict[str, Callable[[Callable[[np.ndarray], Tensor]], Any]] = {
    "batches of products": lambda t: [
        einkorn.addbmm(t(X), t(ROWS), t(ROWS)),
        einkorn.baddbmm(t(ROWS), t(ROWS), t(ROWS), beta=0.5, alpha=2),
        t(X).addbmm_(t(ROWS), t(ROWS)),
        t(ROWS).baddbmm_(t(ROWS), t(ROWS)),
        F.bilinear(t(X), t(X), t(ROWS), t(X[0, :2].copy())),
    ],
    "volumes": lambda t: [
        F.conv3d(t(VOLUMES), t(VOLUMES[:, :, :3, :3, :3].copy()), padding=1),
        F.conv_transpose3d(t(VOLUMES), t(VOLUMES[0, :, None, :2, :2, :2].copy()), stride=2),
        F.conv_transpose1d(t(ROWS), t(ROWS[0, :, None, :3].copy()), t(X[0, :1].copy()), 2),
        F.interpolate(t(VOLUMES), scale_factor=2, mode="trilinear"),
        F.fractional_max_pool3d(t(VOLUMES), 2, output_size=2),
        *F.max_pool3d(t(VOLUMES), 2, return_indices=True),
    ],
    "places": lambda t: [
        t(X).index_add(0, t(PLACES), t(X), alpha=2),
        t(X).index_add_(1, t(PLACES), t(X)),
        t(X).index_copy(0, t(PLACES), t(X)),
        t(X).index_copy_(1, t(PLACES), t(X)),
        t(X).index_put((t(PLACES),), t(X)),
        t(X).index_put_((t(PLACES), t(PLACES)), t(X[0].copy()), accumulate=True),
        einkorn.index_put(t(X), [t(PLACES)], 0.5 * t(X)),
        *(t(X).scatter_reduce(0, t(WHOLE), t(X), how) for how in ("sum", "prod", "mean", "amax", "amin")),
        t(X).scatter_reduce_(1, t(WHOLE), t(X), "sum", include_self=False),
    ],
    "shapes": lambda t: [
        *einkorn.meshgrid(t(X[0].copy()), t(PLACES), indexing="ij"),
        t(X).unflatten(1, (2, 2)),
        einkorn.unflatten(t(WHOLE), 0, (2, -1)),
        F.fold(t(ROWS), (3, 3), (2, 2)),
    ],
    "norms": lambda t: [
        F.layer_norm(t(X), (4,), t(X[0].copy()), t(X[1].copy())),
        F.layer_norm(t(IMAGES), (6, 6)),
        F.rms_norm(t(X), (4,), t(X[0].copy())),
        einkorn.layer_norm(t(X), [4]),
    ],
    "grids": lambda t: [
        F.grid_sample(t(IMAGES), F.affine_grid(t(ROWS[:, :2, :3].copy()), (2, 4, 5, 5), align_corners=False)),
        F.interpolate(t(IMAGES), 9, mode="bilinear"),
        F.interpolate(t(IMAGES), scale_factor=0.5),
        F.upsample(t(IMAGES), scale_factor=2),
        F.upsample_nearest(t(IMAGES), scale_factor=2),
        F.upsample_bilinear(t(IMAGES), scale_factor=2),
        F.fractional_max_pool2d(t(IMAGES), 2, output_ratio=0.5),
        F.max_unpool2d(*F.max_pool2d(t(IMAGES), 2, return_indices=True), 2),
    ],
    "sequences": lambda t: [
        F.ctc_loss(
            t(gpu_walk.RNG.standard_normal((6, 2, 4)).astype(np.float32) * 0 - 1.4),
            t(np.array([[1, 2], [3, 1]])), t(np.array([6, 5])), t(np.array([2, 1])),
        ),
        *nn.LSTM(4, 3).to(t(X).device)(t(ROWS))[1],
        nn.GRU(4, 3).to(t(X).device)(t(ROWS))[0],
        nn.RNN(4, 3).to(t(X).device)(t(ROWS))[0],
        nn.MultiheadAttention(4, 2).to(t(X).device)(t(ROWS), t(ROWS), t(ROWS))[0],
        nn.TransformerEncoderLayer(4, 2, 8, 0.0).to(t(X).device)(t(ROWS)),
    ],
    "systems": lambda t: [
        linalg.solve_triangular(t(X + np.eye(4, dtype=np.float32)), t(X), upper=True),
        linalg.solve(t(X + 2 * np.eye(4, dtype=np.float32)), t(X)),
    ],
}  # fmt: skip


@pytest.mark.parametrize("call", EXAMPLES.values(), ids=EXAMPLES)
def test_calls_of_many_arguments(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    einkorn.engines.cpu()
    gpu_stand_in.install(monkeypatch)
    results = []
    for put in (einkorn.tensor, _there):
        einkorn.manual_seed(3)
        results.append(call(lambda a, put=put: put(a.copy())))
    for here, there in zip(*results, strict=True):
        assert _is_far(there)
        np.testing.assert_array_equal(*(near(getattr(x, "_data", x)) for x in (there, here)))


@pytest.mark.parametrize("home", HOMES)
def test_what_the_cpu_takes_a_gpu_takes(home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    einkorn.engines.cpu()
    gpu_stand_in.install(monkeypatch)
    first = _TENSORS if home == "methods" else tuple(gpu_walk.KINDS)
    found: list[str] = []
    count = 0
    for name, function in HOMES[home]():
        for call in gpu_walk.calls(function, first):
            if home == "special" and any(kind.name == "list" for kind in call.args):
                continue  # a list becomes a tensor, of the CPU as torch.tensor's
            count += 1
            found += [f"{name}({call}): {what}" for what in _differences(name, call)]
    assert not found, "\n".join([f"{len(found)} of {count}", *found[:40]])
    assert count > {"linalg": 300, "special": 300}.get(home, 2000), count
