"""How Sphinx builds the pages as a site: `make docs`.

The source is the whole project, so that the links between the pages hold here as on a forge.
"""

project = "chargen"
extensions = ["myst_parser"]
root_doc = "docs/index"
include_patterns = ["*.md", "benchmarks/*.md", "corpora/*.md", "docs/*.md"]
html_theme = "furo"
html_title = "chargen"
html_copy_source = False
myst_heading_anchors = 3
