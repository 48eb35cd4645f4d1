"""Run the shared cases on the GPU without pytest: what compute-sanitizer watches."""

from __future__ import annotations

import argparse
import collections
import math
import sys
import time
import traceback
from pathlib import Path

import cupy
import numpy as np

import einkorn
from einkorn import _cuda
from einkorn.cases import FAMILIES, Case, as_tuple, cases_of
from einkorn.engines import cuda
from einkorn.errors import EngineError

SMALL = 20_000  # elements
PER_OPERATION = 4


def chosen(family: str, small: bool) -> list[Case]:
    """Cases of a family; with ``small`` a few short ones for each operation, the widest options last."""
    cases = [case for case in cases_of(family) if not case.for_bench]
    if not small:
        return cases
    by_operation = collections.defaultdict(list)
    for case in cases:
        if sum(0 if x is None else x.size for x in case.inputs) <= SMALL:
            by_operation[case.op.name].append(case)
    spread = (c[:: max(1, len(c) // PER_OPERATION)] for c in by_operation.values())
    return [case for some in spread for case in some]


def run(case: Case, dtype: str) -> None:
    """Run forward, and backward where the case asks for gradients."""
    arrays = [a if a is None else cupy.asarray(a) for a in case.make(dtype)]
    for i in case.wanted:
        arrays[i] = einkorn.Tensor(arrays[i], requires_grad=True)
    out = as_tuple(case.run(einkorn, arrays, np.dtype(dtype)))[0]
    if isinstance(out, einkorn.Tensor) and out.requires_grad:
        out.backward(cupy.ones(out.shape, dtype))
    cupy.cuda.runtime.deviceSynchronize()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="a few short cases of each operation")
    parser.add_argument(
        "--record", type=Path, metavar="FILE", help="write the names of the kernels that ran, where all did"
    )
    parser.add_argument("--seconds", type=float, default=math.inf, help="begin no case after this")
    options = parser.parse_args()
    deadline = time.monotonic() + options.seconds
    cupy.cuda.set_allocator(None)  # a pool's blocks are larger than their arrays and hide what lies beyond
    count: collections.Counter[str] = collections.Counter()
    for family in FAMILIES:
        for case in chosen(family, options.small):
            for dtype in case.dtypes:
                if time.monotonic() > deadline:
                    count["left out"] += 1
                    continue
                try:
                    run(case, dtype)
                    count["ran"] += 1
                except EngineError:
                    count["without a CUDA body"] += 1
                except Exception:
                    count["failed"] += 1
                    print(family, case.name, dtype, file=sys.stderr)
                    traceback.print_exc()
    if options.record and not count["failed"]:
        ran = sorted(
            set(_cuda.kernels()) & vars(cuda).keys()
        )  # the engine makes a kernel's launcher on its first use
        options.record.write_text("\n".join(ran) + "\n")
    print("cases:", dict(count), "of", len(_cuda.kernels()), "kernels")
    return 1 if count["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
