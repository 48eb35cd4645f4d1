"""``python -m einkorn`` is the command ``einkorn``."""

import sys

from einkorn import _interrupts

__all__ = ["console"]


def console() -> int:
    """The command ``einkorn``: signals first, and then what takes time to import.

    Returns
    -------
    int
        As :func:`einkorn.cli.main`, which this calls with the arguments of the process.
    """
    try:
        _interrupts.watch()
        from einkorn.cli import main

        return main()
    except KeyboardInterrupt:  # before the command had begun
        if sys.stderr is not None:
            print("einkorn: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(console())
