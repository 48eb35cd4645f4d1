"""Import einkorn in a sub-interpreter: it must refuse, with an ImportError that says so, and not hang.

python tests/check_subinterpreter.py
"""

from __future__ import annotations

import importlib
import sys

IMPORT = """
try:
    import einkorn
except ImportError as error:
    assert "sub-interpreter" in str(error), error
else:
    raise AssertionError("einkorn was imported in a sub-interpreter")
"""


def main() -> None:
    """Run the import in a fresh sub-interpreter."""
    for name in ("_interpreters", "_xxsubinterpreters"):
        try:
            interpreters = importlib.import_module(name)
        except ImportError:
            continue
        script = f"import sys; sys.path[:] = {sys.path!r}" + IMPORT
        problem = interpreters.run_string(interpreters.create(), script)
        if problem is not None:  # Python 3.13 returns what earlier ones raise
            raise SystemExit(f"{problem.type.__name__}: {problem.msg}")
        print("refused")
        return
    print("this Python has no sub-interpreters")


if __name__ == "__main__":
    main()
