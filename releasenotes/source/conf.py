# SPDX-License-Identifier: Apache-2.0
"""Sphinx for the release notes: ``make docs``."""

project = 'heat-ha release notes'
copyright = 'the heat-ha maintainers'
extensions = ['reno.sphinxext']
html_theme = 'alabaster'
html_show_sourcelink = False
