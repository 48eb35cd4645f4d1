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
