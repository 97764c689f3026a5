# SPDX-License-Identifier: Apache-2.0
"""Fill the files in ``templates`` with values."""

import string
from collections.abc import Mapping

from lab import layout


def fill(template: str, values: Mapping[str, str]) -> str:
    """Return the text of a template with all its names replaced."""
    text = (layout.TEMPLATES / template).read_text()
    return string.Template(text).substitute(values)
