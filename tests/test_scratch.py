"""Scratch memory: what kernels write to lies within it, and a checked build notices when it does not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from einkorn import engines

TESTS = Path(__file__).parent
COMPILER = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")


def test_images_of_any_size_leave_memory_whole() -> None:
    if "native" not in engines.available():
        pytest.skip("the native engine was not built")
    run = subprocess.run(
        [sys.executable, str(TESTS / "scan_sizes.py"), "300"], capture_output=True, text=True, timeout=300
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "scanned" in run.stdout


@pytest.fixture(scope="session")
def overrun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of overrun.cpp with guards."""
    if COMPILER is None:
        pytest.skip("there is no C++ compiler")
    program = tmp_path_factory.mktemp("overrun") / "overrun"
    source = TESTS.parent / "csrc"
    flags = ["-std=c++20", "-O1", "-DEINKORN_CHECKED", "-DEINKORN_ISA=baseline", f"-I{source}"]
    sources = [str(TESTS / "overrun.cpp"), str(source / "runtime" / "guard.cpp")]
    subprocess.run([COMPILER, *flags, *sources, "-o", str(program)], check=True)
    return program


def test_guards_let_right_use_pass(overrun: Path) -> None:
    run = subprocess.run([str(overrun)], capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.parametrize(
    ("use", "message"),
    [
        ("a part", "wrote past the end of its scratch"),
        ("a thread's part", "wrote past the end of its scratch"),
        ("a thread's row", "wrote past the end of its scratch"),
        ("the last part", "wrote past the end of its scratch"),
        ("another count", "laid out otherwise"),
    ],
)
def test_guards_notice(overrun: Path, use: str, message: str) -> None:
    run = subprocess.run([str(overrun), use], capture_output=True, text=True)
    assert run.returncode != 0
    assert run.stderr.startswith("einkorn: overrun: ")
    assert message in run.stderr
