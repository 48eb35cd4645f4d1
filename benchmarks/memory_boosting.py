"""Peak memory of one fit of gradient boosting, each library in a process of its own.

``python benchmarks/memory_boosting.py`` compares einkorn with LightGBM at 1,000,000 rows of 28 columns; with
``--rows 10000000 --limit 16`` it fits ten million rows and fails when the process holds more than 16 GiB.
What a fit takes is the largest resident set less what was resident with libraries and data loaded.
"""

from __future__ import annotations

import argparse
import importlib
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from einkorn import bench, runtime
from einkorn.bench.boosting import GRADIENT_PEERS, gradient_boosting, noisy_signal

GIB = 1 << 30


def peak() -> int:
    """The largest resident set of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def resident() -> int:
    """The resident set now, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def model(library: str, threads: int) -> Any:
    if library == "einkorn":
        return gradient_boosting()
    return GRADIENT_PEERS[library](importlib.import_module(library), threads)


def measure(library: str, rows: int, features: int, threads: int) -> dict[str, float]:
    """Fit once in this process."""
    runtime.set_num_threads(threads)
    X, y = noisy_signal(rows, features)
    model(library, threads).fit(X[:1000], y[:1000])  # what is imported and started at the first fit
    before = resident()
    start = time.perf_counter()
    fitted = model(library, threads).fit(X, y)
    seconds = time.perf_counter() - start
    accuracy = float((fitted.predict(X[:100_000]) == y[:100_000]).mean())
    return {
        "fit": peak() - before,
        "process": peak(),
        "data": X.nbytes,
        "seconds": seconds,
        "accuracy": accuracy,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Peak memory of fitting gradient boosting.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--features", type=int, default=28)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--libraries", nargs="+", default=["einkorn", "lightgbm"], help="also xgboost")
    parser.add_argument("--limit", type=float, help="fail when einkorn's process exceeds this many GiB")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        found = measure(arguments.child, arguments.rows, arguments.features, arguments.threads)
        print(json.dumps(found))
        return 0

    print(f"{arguments.rows:,} x {arguments.features} float32, {arguments.threads} threads")
    print(f"{'library':10} {'fit MiB':>9} {'data MiB':>9} {'process MiB':>12} {'seconds':>8} {'accuracy':>9}")
    status = 0
    for library in arguments.libraries:
        if library != "einkorn" and bench.Peers([library]).get(library) is None:
            print(f"{library:10} is not installed")
            continue
        options = ["--rows", "--features", "--threads"]
        sizes = [str(getattr(arguments, option[2:])) for option in options]
        command = [sys.executable, __file__, "--child", library]
        command += [word for pair in zip(options, sizes, strict=True) for word in pair]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found = json.loads(output.splitlines()[-1])
        mib = [found[name] / (1 << 20) for name in ("fit", "data", "process")]
        print(
            f"{library:10} {mib[0]:9,.0f} {mib[1]:9,.0f} {mib[2]:12,.0f}"
            f" {found['seconds']:8.1f} {found['accuracy']:9.2%}",
            flush=True,
        )
        if library == "einkorn" and arguments.limit and found["process"] > arguments.limit * GIB:
            print(f"over the limit of {arguments.limit} GiB", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
