"""Run the Python blocks of a page, one after the other, in one namespace; ``test_docs`` starts it.

Reads ``[[line, code], ...]`` as JSON from standard input and writes ``{line: traceback or ""}`` to the file
that the second argument names; the first is the page's name. An expression whose line ends in ``# -> value``
must have that ``repr``, a statement whose line ends in ``# raises Name`` must raise an error of that name.
"""

from __future__ import annotations

import ast
import json
import linecache
import re
import sys
import traceback
from pathlib import Path
from typing import Any

_PROMISE = re.compile(r"  # (->|raises) (.+)$")


def run(page: str, line: int, code: str, names: dict[str, Any]) -> None:
    """Run one block whose first line has this number in its page, and hold it to its promises."""
    lines = ["\n"] * (line - 1) + code.splitlines(keepends=True)
    linecache.cache[page] = (0, None, lines, page)
    for node in ast.parse("".join(lines), page).body:
        promise = _PROMISE.search(lines[node.end_lineno - 1].rstrip())
        kind, expected = promise.groups() if promise else ("", "")
        if kind == "->":
            assert isinstance(node, ast.Expr), f"{page}:{node.lineno}: '# ->' stands after a statement"
            value = repr(eval(compile(ast.Expression(node.value), page, "eval"), names))
            assert value == expected, f"{page}:{node.lineno}: is {value}, and the page says {expected}"
            continue
        try:
            exec(compile(ast.Module([node], []), page, "exec"), names)
        except Exception as error:
            if kind != "raises" or type(error).__name__ != expected:
                raise
        else:
            assert kind != "raises", f"{page}:{node.lineno}: no {expected} was raised"


def main() -> None:
    page, report = sys.argv[1:]
    names: dict[str, Any] = {"__name__": "__main__"}
    errors = {}
    for line, code in json.load(sys.stdin):
        try:
            run(page, line, code, names)
            errors[line] = ""
        except Exception:
            errors[line] = traceback.format_exc()
        Path(report).write_text(json.dumps(errors))


if __name__ == "__main__":
    main()
