"""Keep the list of what the CUDA kernels have run on, ``einkorn/engines/cuda_runs.json``.

docs/performance.md has a copy of it. Without arguments, the kernels of the host device that no card has run
are written down as its own. With ``--ran FILE``, the names in FILE, one a line, have run on this machine's
card (benchmarks/gpu.sh).
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import json
import re
import subprocess
import textwrap
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RUNS = ROOT / "python" / "einkorn" / "engines" / "cuda_runs.json"
DOCS = ROOT / "docs" / "performance.md"
BLOCK = re.compile(r"(<!-- on the host device alone -->\n).*?(<!-- end -->)", re.DOTALL)


def card() -> dict[str, Any]:
    """The card of this machine, by its driver."""
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    name, driver = (
        subprocess.run(query, capture_output=True, text=True, check=True).stdout.splitlines()[0].split(", ")
    )
    return {"card": name, "driver": driver, "date": datetime.date.today().isoformat()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ran", type=Path, metavar="FILE")
    parser.add_argument("--dry-run", action="store_true", help="write nothing")
    options = parser.parse_args()
    runs = json.loads(RUNS.read_text())
    if options.ran:
        ran = options.ran.read_text().split()
        this = card()
        others = [c for c in runs["cards"] if c["card"] != this["card"]]
        runs["cards"] = [*others, {**this, "kernels": sorted(ran)}]
    known = set(runs["host_device"])
    if importlib.util.find_spec("einkorn._cuda_host") is not None:
        from einkorn import _cuda_host

        known = set(_cuda_host.kernels())
    runs["host_device"] = sorted(known - {name for c in runs["cards"] for name in c["kernels"]})
    if options.dry_run:
        print("kernels that have run on the host device alone:", len(runs["host_device"]))
        return
    RUNS.write_text(json.dumps(runs, indent=1) + "\n")
    names = textwrap.fill(", ".join(f"`{name}`" for name in runs["host_device"]), 150)
    DOCS.write_text(BLOCK.sub(lambda m: f"{m[1]}{names}\n{m[2]}", DOCS.read_text()))


if __name__ == "__main__":
    main()
