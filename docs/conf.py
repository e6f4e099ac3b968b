"""Sphinx: `make docs`."""

from interestlab import __version__

project = "interestlab"
copyright = "the interestlab authors"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "interestlab"
html_copy_source = False

myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_use_ivar = True  # else the attributes of a named tuple are described twice
