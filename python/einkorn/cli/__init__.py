"""The command line: ``einkorn train``, ``boost``, ``detect``, ``info``, ``bench``."""

from einkorn.cli.main import main

__all__ = ["main"]
