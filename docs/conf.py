"""Sphinx: `make docs`."""

from interestlab import __version__

project = "interestlab"
copyright = "the interestlab authors"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "results/leaderboard/*"]  # tables that the page of the leaderboard includes
html_theme = "furo"
html_title = "interestlab"
html_copy_source = False

myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_use_ivar = True  # else the attributes of a named tuple are described twice

SECTIONS = "<!-- sections of the drift report -->"
"""Placeholder in drift.md for the documentation that the sections of the drift report declare."""


def insert_sections(_app, docname, source):
    """Replace the placeholder by the sections' own documentation."""
    if docname == "drift":
        from interestlab.drift.section_registry import document_sections, load_sections

        if SECTIONS not in source[0]:
            raise ValueError(f"docs/drift.md has no line {SECTIONS}")
        source[0] = source[0].replace(SECTIONS, document_sections(load_sections()))


def setup(app):
    """Register the generated parts of pages."""
    app.connect("source-read", insert_sections)
