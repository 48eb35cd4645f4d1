"""CONTRIBUTING's walkthrough, followed on a copy of the tree: what it says fits, is clean, and works."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = ROOT / "CONTRIBUTING.md"

#: In `path`, after `line`: and the lines to put there.
STEP = re.compile(
    r"[Ii]n\s+`(?P<path>[^`]+)`,\s+(?P<where>after|before)\s+`(?P<line>[^`]+)`:\n\n"
    r"(?P<indent> *)```\w+\n(?P<code>.*?)^ *```$",
    re.DOTALL | re.MULTILINE,
)

if not TEXT.exists():
    pytest.skip("needs a checkout", allow_module_level=True)


def _bare(line: str) -> str:
    return line.rstrip("\\ ").strip()


def _insert(path: Path, where: str, line: str, code: str) -> None:
    lines = path.read_text().split("\n")
    found = [i for i, other in enumerate(lines) if _bare(other) == line]
    assert len(found) == 1, f"{path.name} has {len(found)} lines {line!r}"
    at = found[0] + (where == "after")
    lines[at:at] = code.removesuffix("\n").split("\n")
    path.write_text("\n".join(lines))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources with the walkthrough's changes."""
    copy = tmp_path_factory.mktemp("contributing")
    ignored = shutil.ignore_patterns("*.so", "__pycache__")
    for folder in ("csrc", "python", "tests"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=ignored)
    for name in ("pyproject.toml", ".clang-format"):
        shutil.copy(ROOT / name, copy)
    for step in STEP.finditer(TEXT.read_text()):
        indented = "\n".join(line.removeprefix(step["indent"]) for line in step["code"].split("\n"))
        _insert(copy / step["path"], step["where"], step["line"], indented)
    return copy


def _run(tree: Path, *command: str, **environment: str) -> str:
    done = subprocess.run(
        command,
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree / "python"), **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def _changed(tree: Path, *suffixes: str) -> list[str]:
    changed = {step["path"] for step in STEP.finditer(TEXT.read_text())}
    return sorted(path for path in changed if path.endswith(suffixes))


def test_every_layer_is_among_the_steps(tree: Path) -> None:
    stem = "elementwise"
    assert set(_changed(tree, ".h", ".cpp", ".py")) == {
        f"csrc/kernels/{stem}/{stem}.h",
        f"csrc/kernels/{stem}/{stem}.cpp",
        f"python/einkorn/engines/numba/{stem}.py",
        f"python/einkorn/ops/{stem}.py",
        f"python/einkorn/cases/{stem}.py",
    }


def test_every_path_named_in_the_text_exists() -> None:
    text = TEXT.read_text()
    named = re.findall(r"`((?:csrc|python|tests|cmake|docs|\.ci)/[\w./-]+)`", text)
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_python_is_clean(tree: Path) -> None:
    files = _changed(tree, ".py")
    _run(tree, _tool("ruff"), "check", "--no-cache", *files)
    _run(tree, _tool("ruff"), "format", "--no-cache", "--check", *files)
    _run(tree, _tool("mypy"), "--no-incremental", *files)


def test_cpp_is_clean(tree: Path) -> None:
    _run(tree, _tool("clang-format"), "--dry-run", "-Werror", *_changed(tree, ".h", ".cpp"))


def test_the_kernel_is_compiled_and_in_the_table(tree: Path) -> None:
    """The body defines what the table of an instruction set refers to."""
    compiler = next(filter(None, map(shutil.which, (os.environ.get("CXX", "c++"), "g++", "clang++"))), None)
    if compiler is None:
        pytest.skip("no C++ compiler")
    symbols = {}
    for source in ("elementwise/elementwise", "isa_table"):
        flags = ("-std=c++20", "-O0", "-Wall", "-Wextra", "-Werror", "-DEINKORN_ISA=baseline", "-Icsrc")
        _run(tree, compiler, *flags, "-c", f"csrc/kernels/{source}.cpp", "-o", "kernel.o")
        listed = _run(tree, _tool("nm"), "kernel.o").splitlines()
        symbols[source] = {line.split()[-1]: line.split()[-2] for line in listed if "10logaddexp2I" in line}
    body, table = symbols["elementwise/elementwise"], symbols["isa_table"]
    assert len(table) == 2  # float and double
    assert set(table) <= {name for name, kind in body.items() if kind == "W"}


def test_the_operation_works_on_the_numba_engine(tree: Path) -> None:
    """Its cases, gradients and parity with torch, as everywhere; the native engine would have to be built."""
    pytest.importorskip("numba")
    suites = [f"tests/test_{suite}.py" for suite in ("kernels", "gradients", "parity_torch")]
    chosen = ("-k", "logaddexp2 or cover_every", "-p", "no:cacheprovider")
    ran = _run(tree, sys.executable, "-m", "pytest", "-q", *chosen, *suites, EINKORN_ENGINE="numba")
    assert int(re.search(r"(\d+) passed", ran)[1]) > 20


def test_each_snippet_is_a_step() -> None:
    text = TEXT.read_text()
    walkthrough = text[text.index("## Add an op") : text.index("## Style")]
    assert walkthrough.count("```") == 2 * len(STEP.findall(walkthrough)) > 0
