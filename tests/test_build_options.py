"""What the build is told to do and cannot: cmake's own words for it, before anything is compiled."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

TREE = Path(__file__).parent.parent
CMAKE = shutil.which("cmake") if shutil.which("ninja") else None

CHOICES = {
    "host device": ("-DEINKORN_CUDA_HOST=maybe", "EINKORN_CUDA_HOST is 'maybe', expected ON or OFF"),
    "tiles": ("-DEINKORN_TILES_IN_SOFTWARE=2", "EINKORN_TILES_IN_SOFTWARE is '2', expected ON or OFF"),
    "engine": ("-DEINKORN_CUDA=maybe", "EINKORN_CUDA is 'MAYBE', expected AUTO, ON or OFF"),
}


def _said(folder: Path, *options: str) -> str:
    """What cmake says of options that it refuses, on one line."""
    assert CMAKE is not None
    ran = subprocess.run(
        [CMAKE, "-G", "Ninja", "-S", str(TREE), "-B", str(folder), *options],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode != 0
    return " ".join(ran.stderr.split())


@pytest.mark.skipif(CMAKE is None, reason="needs cmake and ninja")
@pytest.mark.parametrize(("option", "words"), CHOICES.values(), ids=CHOICES)
def test_words_that_are_no_choice_are_refused(option: str, words: str, tmp_path: Path) -> None:
    assert words in _said(tmp_path, option)


@pytest.mark.skipif(CMAKE is None or shutil.which("nvcc") is None, reason="needs cmake, ninja and nvcc")
@pytest.mark.parametrize("architecture", ["all-major", "70"])
def test_architectures_before_those_of_the_kernels_are_refused(architecture: str, tmp_path: Path) -> None:
    pybind11 = pytest.importorskip("pybind11")
    options = ("-DEINKORN_CUDA=ON", f"-Dpybind11_DIR={pybind11.get_cmake_dir()}")
    said = _said(tmp_path, *options, f"-DCMAKE_CUDA_ARCHITECTURES={architecture}")
    assert f"CUDA architecture {architecture}:" in said.replace("'", "")
    assert "8.0" in said
