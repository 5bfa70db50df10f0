"""Configuration of Sphinx; ``scripts/docs`` builds the site."""

import os

import vidsal

# TensorFlow reports its start on stderr, which the notebook would show.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

project = "vidsal"
author = "the vidsal authors"
release = version = vidsal.__version__
language = "en-GB"

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_nb",
    "sphinx_copybutton",
    "sphinx_design",
]
templates_path = ["_templates"]
exclude_patterns = ["reference/generated/*.ipynb"]

# Markdown.
myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 3
suppress_warnings = [
    # The pages of origins include README files whose headings begin at the first level.
    "myst.header",
]

# The notebook is stored without outputs and executed by each build.
nb_execution_mode = "force"
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_merge_streams = True

# Reference.
autosummary_generate = True
autosummary_imported_members = False
autodoc_typehints = "none"
autodoc_member_order = "bysource"
# `viewer` is a module, which would be shown with its path on the machine of the build.
autodoc_default_options = {"members": True, "exclude-members": "viewer"}
numpydoc_show_class_members = False
default_role = "code"

# Appearance.
html_theme = "pydata_sphinx_theme"
html_title = "vidsal"
html_static_path = ["_static"]
html_css_files = ["vidsal.css"]
html_copy_source = html_show_sourcelink = False
# Pages without subpages need no navigation beside them.
html_sidebars = {
    page: [] for page in ("how_it_works", "benchmarks", "architecture", "contributing")
}
html_theme_options = {
    "logo": {"text": "vidsal"},
    "navigation_with_keys": False,
    "show_nav_level": 1,
    "show_toc_level": 2,
    "header_links_before_dropdown": 7,
    "footer_start": ["copyright"],
    "footer_end": [],
}
project_copyright = "the vidsal authors, Apache-2.0"
