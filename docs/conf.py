"""Settings of the documentation site; `make docs` builds it into docs/_build/html."""
from __future__ import annotations

import addp_mm

project = 'addp_mm'
author = 'addp_mm contributors'
copyright = f'2026, {author}'
version = release = addp_mm.__version__

extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon', 'sphinx.ext.viewcode']
exclude_patterns = ['_build']
html_theme = 'furo'
html_title = f'addp_mm {release}'
myst_heading_anchors = 3
autodoc_typehints = 'description'
autodoc_member_order = 'bysource'
