"""How Sphinx makes pages of docs/: guides in Markdown, the reference from the docstrings."""

import re
from typing import Any

import einkorn

project = "einkorn"
release = version = einkorn.__version__
html_title = f"einkorn {version}"
html_theme = "furo"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 3

# scikit-learn gives its estimators set_..._request, whose docstrings refer to its own pages.
requests = ("fit", "predict", "predict_proba", "score", "partial_fit", "transform")
autodoc_default_options = {
    "members": True,
    "exclude-members": ",".join(f"set_{method}_request" for method in requests),
}
autodoc_member_order = "groupwise"
autodoc_typehints = "none"  # types stand in the docstrings, in words
# References of docstrings must lead somewhere; types are words, "int or pair of int", and need not.
nitpicky = True
nitpick_ignore_regex = [("py:(class|obj|data)", ".*")]
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
# A source that no sentence refers to; a word of a type ("array of images") that is the name of attributes.
suppress_warnings = ["ref.footnote", "ref.python"]


def number_footnotes(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Let a docstring's ``[1]`` be its own, whatever else stands on the page."""
    label = name.rpartition(".")[2]
    lines[:] = [re.sub(r"(?<=^\.\. )\[(\d)\]|\[(\d)\](?=_)", rf"[#{label}-\1\2]", line) for line in lines]


def setup(app: Any) -> None:
    app.connect("autodoc-process-docstring", number_footnotes)
