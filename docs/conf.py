"""The documentation site: ``python -m sphinx -W --keep-going -b dirhtml docs build/docs``."""

from __future__ import annotations

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "pytest-xdevice"
copyright = "the pytest-xdevice authors"
release = version_of("pytest-xdevice")
version = ".".join(release.split(".")[:2])

extensions = [
    "derived_tables",  # ours: tables of options, markers, ... from the code that defines them
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["_ext"]
html_theme = "furo"
html_title = "pytest-xdevice"
html_copy_source = False
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "deflist"]

smartquotes = False  # help texts quote what is to be typed
add_module_names = False
autodoc_typehints = "none"  # docstrings name the types, in words for those who read them
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True  # attributes are described with their class alone
# A name in single backticks is code, as NumPy's docstrings have it.
default_role = "code"
