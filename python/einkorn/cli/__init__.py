"""The command line: ``einkorn train``, ``einkorn info``, ``einkorn bench``."""

from einkorn.cli.main import main

__all__ = ["main"]
