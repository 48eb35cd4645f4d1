"""Packages that import their names on first use: all are there, type checkers see the same, faults pass."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGES = (
    "einkorn",
    "einkorn.boosting",
    "einkorn.control",
    "einkorn.data",
    "einkorn.explain",
    "einkorn.keras",
    "einkorn.keras.layers",
    "einkorn.models",
    "einkorn.text",
    "einkorn.training",
    "einkorn.vision",
)


@pytest.mark.parametrize("package", PACKAGES)
def test_type_checkers_see_the_names_that_are_there(package: str) -> None:
    module = importlib.import_module(package)
    tree = ast.parse(Path(str(module.__file__)).read_text())
    guarded = next(
        node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    seen = [
        name
        for node in guarded.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        for name in (
            importlib.import_module(str(node.module)).NAMES
            if alias.name == "*"
            else [alias.asname or alias.name]
        )
    ]
    assert sorted(seen) == sorted(set(module.__all__) - {"__version__"})
    assert dir(module) == sorted(module.__all__)


@pytest.mark.parametrize("package", PACKAGES)
def test_an_unknown_name_is_an_attribute_error(package: str) -> None:
    module = importlib.import_module(package)
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'no_such_name'"):
        _ = module.no_such_name
    assert not hasattr(module, "__wrapped__")


def test_a_function_named_as_its_module_stays_one_when_the_module_is_imported() -> None:
    code = (
        "from einkorn import models\n"
        "first = [models.AlexNet, models.mobilenet_v2, models.UNet, models.Xception]\n"
        "import einkorn.models.mobilenet\n"
        "every = (models.alexnet, models.mobilenet, models.unet, models.xception)\n"
        "print([each.__name__ for each in every], callable(models.mobilenet), type(models.densenet).__name__)"
    )
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert printed.split("\n")[0] == "['alexnet', 'mobilenet', 'unet', 'xception'] True module"


def test_modules_of_a_lazy_package_are_attributes() -> None:
    code = (
        "import einkorn.data as d, einkorn.training as t\n"
        "print(d.loader.DataLoader is d.DataLoader, t.metrics.__name__)"
    )
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert printed.split() == ["True", "einkorn.training.metrics"]


def test_every_package_of_the_documentation_is_reached_from_its_parent() -> None:
    pages = Path(__file__).parents[1] / "docs" / "api"
    texts = [page.read_text() for page in pages.glob("*.rst")]
    named = {name for text in texts for name in re.findall(r"^\.\. (?:auto)?module:: (\S+)$", text, re.M)}
    public = sorted(name for name in named if "._" not in name)
    assert {"einkorn.seq", "einkorn.bayes", "einkorn.optim.schedules"} <= set(public)
    code = (
        "import sys, types, einkorn\n"
        "for name in sys.argv[1:]:\n"
        "    place = einkorn\n"
        "    for part in name.split('.')[1:]:\n"
        "        place = getattr(place, part, None)\n"
        "    if not isinstance(place, types.ModuleType) or place.__name__ != name:\n"
        "        print(name)"
    )
    for order in (public, public[::-1]):  # what one imports by the way may hide that another is missing
        command = [sys.executable, "-c", code, *order]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        assert printed.split() == []


def test_a_module_that_fails_to_import_says_what_failed(tmp_path: Path) -> None:
    package = tmp_path / "broken"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from einkorn._later import later\n_HOMES = {'name': 'home'}\n"
        "__getattr__, __dir__ = later(__name__, _HOMES)\n"
    )
    (package / "home.py").write_text("import einkorn.no_such_module\n")
    run = subprocess.run(
        [sys.executable, "-c", "import broken; broken.name"], cwd=tmp_path, capture_output=True, text=True
    )
    assert "ModuleNotFoundError: No module named 'einkorn.no_such_module'" in run.stderr
