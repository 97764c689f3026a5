# SPDX-License-Identifier: Apache-2.0
"""Words and numbers in files of settings. Pure."""

import re

# What people write for a boolean, as YAML 1.1 has it. Where a name may stand it is one.
_WORDS = {'yes': True, 'on': True, 'no': False, 'off': False}


def boolean(value: object) -> object:
    """A setting that is a boolean or something else: the boolean where it is written as one."""
    return _WORDS.get(value.casefold(), value) if isinstance(value, str) else value


# Numbers as YAML 1.1 has them. One that begins with 0 is to the base 8 there, which hardly anybody
# means, so it is none here.
_WHOLE = re.compile(r'[-+]?(0|[1-9][0-9_]{0,30}|0x[0-9a-f]{1,30}|0b[01]{1,60})', re.IGNORECASE)
_FRACTION = re.compile(
    r'[-+]?([0-9]{1,30}\.[0-9]{0,30}|\.[0-9]{1,30})(e[-+]?[0-9]{1,3})?', re.IGNORECASE
)


def number(value: object) -> object:
    """A setting that is a number: the number where it is written as one."""
    if not isinstance(value, str):
        return value
    if _WHOLE.fullmatch(value):
        return int(value.replace('_', ''), 0)
    return float(value) if _FRACTION.fullmatch(value) else value
