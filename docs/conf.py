"""The documentation site: `make docs` builds it into build/site, warnings are errors, and it reads offline."""

import sys
from pathlib import Path

import hypersharp

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE / "extensions")]

project = "hypersharp"
author = copyright = "The hypersharp maintainers"
release = version = hypersharp.__version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "myst_nb", "mathml", "docstrings", "generated"]
exclude_patterns = ["extensions", "images/README.md"]

smartquotes = False  # --option must stay two hyphens

html_theme = "furo"
html_title = "hypersharp"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
html_math_renderer = "mathml"  # browsers draw MathML themselves: no script, no network

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4
myst_dmath_double_inline = True
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_execution_timeout = 300
nb_merge_streams = True
nb_ipywidgets_js: dict[str, object] = {}  # the notebooks have no widgets, and their script would come from the network

napoleon_use_ivar = True  # fields of dataclasses are shown once
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100
