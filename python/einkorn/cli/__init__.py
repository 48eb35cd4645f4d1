"""Commands: ``einkorn train``, ``boost``, ``detect``, ``tokenize``, ``embed``, ``info``, ``bench``."""

from einkorn.cli.main import main

__all__ = ["main"]
