"""Optional packages: imported when something needs them, and named with their extra when they are absent."""

from __future__ import annotations

import contextlib
import importlib
from typing import Any

from einkorn._console import in_notebook
from einkorn.errors import MissingPackageError

__all__ = ["axes_for", "figure_for", "missing", "need"]

#: Package as it is imported -> its name, and the extra that brings it.
_EXTRAS = {
    "sklearn": ("scikit-learn", "boosting"),
    "scipy": ("SciPy", "boosting"),
    "joblib": ("joblib", "boosting"),
    "matplotlib": ("matplotlib", "plot"),
    "tensorboardX": ("tensorboardX", "tensorboard"),
    "pyarrow": ("pyarrow", "parquet"),
    "PIL": ("Pillow", "vision"),
    "h5py": ("h5py", "vision"),
    "snowballstemmer": ("snowballstemmer", "text"),
    "simplemma": ("simplemma", "text"),
    "numba": ("Numba", "numba"),
    "cupy": ("CuPy", "cuda"),
}


def need(module: str, what: str, extra: str | None = None) -> Any:
    """Import an optional module for ``what``, a function or a command that is named in the error.

    Parameters
    ----------
    module : str
        As it is imported, for example "matplotlib.figure".
    what : str
    extra : str, optional
        Another extra than the package's usual one, where that brings more than is needed.

    Raises
    ------
    MissingPackageError
        The module, or one that it imports in turn, is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise missing(error, what, extra, module) from error


def missing(
    error: ImportError, what: str, extra: str | None = None, module: str | None = None
) -> MissingPackageError:
    """The error to raise instead of an ImportError that an optional package caused."""
    package = (module or error.name or "").partition(".")[0]
    name, usual = _EXTRAS.get(package, (package, "all"))
    return MissingPackageError(
        f"{what} needs {name}: pip install 'einkorn[{extra or usual}]'", name=error.name
    )


def axes_for(ax: Any, what: str) -> Any:
    """The matplotlib axes that were given to ``what``, or those of a new figure."""
    if ax is not None:
        return ax
    if in_notebook():  # which shows the figures of pyplot, at the end of a cell
        return need("matplotlib.pyplot", what).figure(layout="constrained").subplots()
    return need("matplotlib.figure", what).Figure(layout="constrained").subplots()


def figure_for(what: str, **options: Any) -> Any:
    """A new matplotlib figure that nobody but its owner knows, and that a notebook can show as a picture."""
    figures = need("matplotlib.figure", what)
    if in_notebook():
        with contextlib.suppress(ImportError):  # it tells the notebook how to show figures
            importlib.import_module("matplotlib_inline.backend_inline")
    return figures.Figure(**options)
