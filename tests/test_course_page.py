"""The page of the course keeps its word: the programs for either library differ in their imports alone."""

import ast
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "docs" / "course.md"
if not PAGE.is_file():
    pytest.skip("the tests run without the rest of the checkout", allow_module_level=True)
SECTIONS = PAGE.read_text().split("\n### ")[1:]


def blocks(text: str) -> list[tuple[str, str]]:
    """The name of the library and the code, of each block of a section."""
    found = []
    for part in text.split("\n```python\n")[1:]:
        code = part.split("\n```")[0]
        found.append(code)
    names = [line.rstrip(":") for line in text.splitlines() if line in ("Keras:", "PyTorch:", "einkorn:")]
    assert len(names) == len(found)
    return list(zip(names, found, strict=True))


def body(code: str) -> str:
    """The program without its imports."""
    tree = ast.parse(code)
    tree.body = [node for node in tree.body if not isinstance(node, (ast.Import, ast.ImportFrom))]
    return ast.unparse(tree)


def imported(code: str) -> list[tuple[str, list[str]]]:
    """What is imported from where."""
    return [
        (node.module or "", sorted(alias.name for alias in node.names))
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.ImportFrom)
    ]


@pytest.mark.parametrize("section", SECTIONS, ids=[text.partition("\n")[0] for text in SECTIONS])
def test_only_imports_differ(section: str) -> None:
    found = blocks(section)
    assert found
    assert len(found) % 2 == 0
    for (library, theirs), (name, ours) in zip(found[::2], found[1::2], strict=True):
        assert library in ("Keras", "PyTorch")
        assert name == "einkorn"
        assert body(theirs) == body(ours)
        modules = {"Keras": ("keras", "einkorn.keras"), "PyTorch": ("torch", "einkorn")}[library]
        before, after = imported(theirs), imported(ours)
        assert [names for _, names in before] == [names for _, names in after]
        for (module, _), (other, _) in zip(before, after, strict=True):
            assert module.startswith(modules[0])
            last = module.removeprefix(modules[0])
            # Keras keeps what it calls old behind other modules
            assert other == modules[1] + last.replace(".src.legacy", "")
