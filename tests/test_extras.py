"""Optional packages that are absent: the error names what needs them and the extra that brings them."""

import subprocess
import sys
from pathlib import Path

import pytest

# What is called, the package it is called without, and the message.
ABSENT = [
    (
        "einkorn.boosting.AdaBoostClassifier",
        "sklearn",
        "boosting.AdaBoostClassifier needs scikit-learn",
        "boosting",
    ),
    (
        "einkorn.boosting.RandomForestRegressor",
        "scipy",
        "boosting.RandomForestRegressor needs SciPy",
        "boosting",
    ),
    *(
        (f"import einkorn.boosting.{module}", "sklearn", "einkorn.boosting needs scikit-learn", "boosting")
        for module in ("adaboost", "forest", "gradient", "stump", "transfer")
    ),
    ("einkorn.data.load_digits()", "sklearn", "load_digits needs scikit-learn", "train"),
    ("einkorn.data.load_digits()", "scipy", "load_digits needs scikit-learn", "train"),
    ("einkorn.vision.images.load_image('a.png')", "PIL", "reading image files needs Pillow", "vision"),
    ("einkorn.vision.plot_detections(None, [])", "matplotlib", "plot_detections needs matplotlib", "plot"),
    ("einkorn.set_engine('numba')", "numba", "the numba engine is not available", "numba"),
    ("history()", "matplotlib", "History.plot needs matplotlib", "plot"),
]
PROGRAM = """
from importlib.machinery import PathFinder

find = PathFinder.find_spec
absent = {package!r}
PathFinder.find_spec = lambda name, *rest: find(name, *rest) if name.partition(".")[0] != absent else None
import einkorn
import einkorn.vision.images

def history():
    found = einkorn.training.History()
    found.append(0, {{"loss": 1.0}})
    found.plot()

try:
    {call}
except einkorn.EinkornError as error:
    print(type(error).__name__, isinstance(error, ImportError), error)
"""


@pytest.mark.parametrize(("call", "package", "message", "extra"), ABSENT)
def test_the_extra_is_named(call: str, package: str, message: str, extra: str) -> None:
    # where numba is absent the native engine must be there, and the other way round
    program = PROGRAM.format(package=package, call=call)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert message in done.stdout
    assert f"pip install 'einkorn[{extra}]'" in done.stdout
    kind = "EngineError False" if package == "numba" else "MissingPackageError True"
    assert done.stdout.startswith(kind)


def test_a_saved_model_of_an_absent_package(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    from einkorn import boosting

    model = boosting.AdaBoostClassifier(n_estimators=1).fit([[0.0], [1.0]], [0, 1])
    boosting.save(model, tmp_path / "model")
    call = f"einkorn.boosting.load({str(tmp_path / 'model')!r})"
    program = PROGRAM.format(package="sklearn", call=call)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "MissingPackageError True boosting.AdaBoostClassifier needs scikit-learn: pip" in done.stdout


def test_a_name_that_does_not_exist_is_no_absent_package() -> None:
    import einkorn

    with pytest.raises(AttributeError, match="no attribute 'Forest'"):
        einkorn.boosting.Forest  # noqa: B018


EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


@pytest.mark.parametrize(
    ("example", "present"),
    [
        (
            "boosting",
            {"numpy", "safetensors", "tqdm", "numba", "sklearn", "scipy", "joblib", "threadpoolctl"},
        ),
        ("embed_in_numpy", {"numpy", "safetensors", "tqdm", "numba"}),
        ("search_architecture", {"sklearn"}),
        ("search_optuna", {"sklearn"}),  # which says so where Optuna is not installed
    ],
)
def test_examples_run_with_the_extras_that_they_name(example: str, present: set[str]) -> None:
    """Nothing else that this environment happens to have is imported."""
    if "sklearn" in present:
        pytest.importorskip("sklearn")
    watched = {"pandas", "matplotlib", "PIL", "torch", "cupy", "cv2", "sklearn"} - present
    program = (
        "import runpy\nfrom importlib.machinery import PathFinder\nfind = PathFinder.find_spec\n"
        f"PathFinder.find_spec = lambda name, *r: None if name in {watched!r} else find(name, *r)\n"
        f"runpy.run_path({str(EXAMPLES / f'{example}.py')!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout
