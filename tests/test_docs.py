"""README and docs do what they say: their Python runs, their commands parse, their extras and links exist.

The blocks of a page run top to bottom in a process of their own, in an empty folder. ``<!-- needs: torch
-->`` before a block names modules without which it is left out.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

import einkorn
from einkorn.cli.main import _parser

ROOT = Path(__file__).parents[1]
if not (ROOT / "docs").is_dir():
    pytest.skip("the tests run without the rest of the checkout", allow_module_level=True)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TEXTS = [*PAGES, ROOT / "CONTRIBUTING.md"]
FENCE = re.compile(
    r"(?:<!-- needs: (?P<needs>[\w., ]+) -->\n)?^```(?P<language>[^\n`]*)\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


class Block(NamedTuple):
    page: Path
    line: int
    code: str
    needs: list[str]

    def lacks(self) -> list[str]:
        """What is needed and not here."""
        return [name for name in self.needs if not importlib.util.find_spec(name)]


def _blocks(page: Path, *languages: str) -> list[Block]:
    text = page.read_text()
    return [
        Block(
            page,
            text.count("\n", 0, match.start("code")) + 1,
            match["code"],
            re.findall(r"[\w.]+", match["needs"] or ""),
        )
        for match in FENCE.finditer(text)
        if match["language"] in languages
    ]


BLOCKS = [block for page in PAGES for block in _blocks(page, "python")]


@cache
def _run(page: Path, folder: Path) -> dict[int, str]:
    """The traceback of each block that failed, by its line; empty text for the others."""
    blocks = [(block.line, block.code) for block in BLOCKS if block.page == page and not block.lacks()]
    report = folder / "report.json"
    work = folder / "work"
    work.mkdir()
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "run_page.py"), page.name, str(report)],
        input=json.dumps(blocks),
        cwd=work,
        env={**os.environ, "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {int(line): error for line, error in json.loads(report.read_text()).items()}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Path]:
    """A folder for each page."""
    return {page: tmp_path_factory.mktemp(page.stem) for page in PAGES}


def _name(block: Block) -> str:
    return f"{block.page.relative_to(ROOT)}:{block.line}"


@pytest.mark.parametrize("block", BLOCKS, ids=_name)
def test_a_block_runs(block: Block, folders: dict[Path, Path]) -> None:
    if block.lacks():
        pytest.skip(f"{_name(block)} needs {', '.join(block.lacks())}")
    error = _run(block.page, folders[block.page])[block.line]
    assert not error, f"{_name(block)}:\n{error}"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("x = 1\nx + 1  # -> 2\n", ""),
        ("x = 1\n\nx + 1  # -> 3\n", "page.md:9: is 2, and the page says 3"),
        ("[][0]  # raises IndexError\n", ""),
        ("[][0]  # raises KeyError\n", "IndexError"),
        ("[0][0]  # raises IndexError\n", "page.md:7: no IndexError was raised"),
        ("for i in range(2):\n    i / 0\n", 'File "page.md", line 8'),
    ],
)
def test_a_promise_is_kept_or_reported(code: str, said: str, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "tests" / "run_page.py"), "page.md", str(tmp_path / "report")]
    subprocess.run(command, input=json.dumps([[7, code]]), text=True, check=True)
    error = json.loads((tmp_path / "report").read_text())["7"]
    assert bool(error) == bool(said)
    assert said in error


def _commands(text: Path) -> list[list[str]]:
    """The words of every einkorn command in the text, in blocks and between backquotes."""
    lines = [line for block in _blocks(text, "", "sh") for line in block.code.splitlines()]
    lines += re.findall(r"(?<!`)`(einkorn [^`]+)`(?!`)", FENCE.sub("", text.read_text()))
    found = []
    for line in lines:
        for command in line.split("&&"):
            words = shlex.split(command.partition(" > ")[0], comments=True)
            if words[:1] == ["einkorn"]:
                found.append(words[1:])
    return found


@pytest.mark.parametrize("text", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_are_understood(text: Path) -> None:
    for words in _commands(text):
        named_alone = len(words) == 1  # `einkorn train`, as the name of the command
        try:
            _parser().parse_args([*words, "--help"] if named_alone else words)
        except SystemExit as left:
            if left.code != 0:
                pytest.fail(f"not understood: einkorn {' '.join(words)}")


def test_commands_are_found() -> None:
    words = _commands(ROOT / "README.md")
    assert ["train", "lenet5", "--data", "digits"] in words
    assert ["info"] in words


def test_what_is_installed_is_the_checkout_with_its_own_extras() -> None:
    """The package is on no index: a command that names it would fail, or fetch a stranger's."""
    text = (ROOT / "pyproject.toml").read_text()
    table = text[text.index("[project.optional-dependencies]") : text.index("[project.scripts]")]
    extras = set(re.findall(r"^(\w+) = ", table, re.MULTILINE))
    examples = sorted((ROOT / "examples").glob("*.py"))
    named = set()
    for path in [*TEXTS, *examples]:
        source = path.read_text()
        assert not re.search(r"pip install [\"']?einkorn", source), path
        for group in re.findall(r"pip install .*\"\.\[([\w,]+)\]\"", source):
            named |= set(group.split(","))
    assert {"train", "test", "boosting"} <= named <= extras


@pytest.mark.parametrize("text", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(text: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", text.read_text()):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        page = (text.parent / path) if path else text
        assert page.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
            plain = [re.sub(r"[^\w\- ]", "", heading).strip().lower() for heading in headings]
            assert anchor in [heading.replace(" ", "-") for heading in plain], target


def test_the_reference_has_every_module() -> None:
    pages = {path.stem for path in (ROOT / "docs" / "api").glob("*.rst")}
    listed = (ROOT / "docs" / "api" / "index.rst").read_text().split()
    public = set(einkorn._MODULES) - {"bench"}  # the commands' own
    assert public <= pages
    assert pages - {"index"} <= set(listed)
