# SPDX-License-Identifier: Apache-2.0
"""Sphinx for heat-ha: ``make docs``."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'ext'))

project = 'heat-ha'
copyright = 'the heat-ha maintainers'
extensions = ['agent_metrics', 'heat_properties', 'sphinx.ext.autodoc']
nitpicky = True
# Heat's docstrings, which ours go along with, put names between single backticks.
default_role = 'literal'
html_theme = 'alabaster'
html_theme_options = {
    'description': 'High availability policies for OpenStack Heat',
    'page_width': '72em',
    'sidebar_width': '15em',
    'fixed_sidebar': True,
}
html_show_sourcelink = False
