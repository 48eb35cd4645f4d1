"""Limits that the README promises: wheel size and import time. Run as: python tests/check_limits.py WHEEL."""

import statistics
import subprocess
import sys
from pathlib import Path

WHEEL_LIMIT = 8e6  # bytes
# Both in seconds of the processor, which other programs lengthen less than those of the clock. A machine on
# which NumPy's own import takes longer than where the limit was set is slower, and the limit grows alike.
IMPORT_LIMIT = 0.1  # seconds beyond NumPy
NUMPY_IMPORT = 0.09

FORBIDDEN = ("numba", "cupy", "torch", "sklearn", "matplotlib", "scipy", "pandas")

SCRIPT = f"""
import sys, time
began = time.process_time()
import numpy
start = time.process_time()
import einkorn
import einkorn.nn, einkorn.optim, einkorn.training
print(start - began, time.process_time() - start)
loaded = [name for name in {FORBIDDEN} if name in sys.modules]
assert not loaded, f"import einkorn loads {{loaded}}"
"""


def main() -> None:
    wheel = Path(sys.argv[1])
    size = wheel.stat().st_size
    print(f"{wheel.name}: {size / 1e6:.2f} MB, limit {WHEEL_LIMIT / 1e6:.0f} MB")
    runs = [
        subprocess.run([sys.executable, "-c", SCRIPT], check=True, capture_output=True, text=True).stdout
        for _ in range(15)
    ]
    # The fastest decides: the others tell what else the machine did.
    numpy, times = ([float(run.split()[column]) for run in runs] for column in (0, 1))
    limit = IMPORT_LIMIT * max(1, min(numpy) / NUMPY_IMPORT)
    fastest, median = min(times) * 1e3, statistics.median(times) * 1e3
    print(f"import einkorn with nn, optim and training: {fastest:.0f} ms beyond NumPy (median {median:.0f}),")
    print(f"limit {limit * 1e3:.0f} ms, NumPy {min(numpy) * 1e3:.0f} ms")
    if size > WHEEL_LIMIT or min(times) > limit:
        sys.exit("over the limit")


if __name__ == "__main__":
    main()
