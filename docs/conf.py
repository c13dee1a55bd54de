"""The documentation site: `nox -s docs` builds it, and fails on each warning."""

from __future__ import annotations

from importlib import metadata

project = "asyncclient"
copyright = "the asyncclient contributors"  # noqa: A001  (Sphinx asks for this name)
release = version = metadata.version("asyncclient-tasks")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
nitpicky = False
suppress_warnings: list[str] = []

html_theme = "furo"
html_title = "asyncclient"
html_show_sphinx = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
copybutton_exclude = ".linenos, .gp, .go"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
default_role = "code"  # docstrings are written for readers of code: single backticks are code
maximum_signature_line_length = 80
