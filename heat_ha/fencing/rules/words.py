# SPDX-License-Identifier: Apache-2.0
"""Words in files of settings: of this domain, and of those above it. Pure."""

# What people write for a boolean, as YAML 1.1 has it. Where a name may stand it is one.
_WORDS = {'yes': True, 'on': True, 'no': False, 'off': False}


def boolean(value: object) -> object:
    """A setting that is a boolean or something else: the boolean where it is written as one."""
    return _WORDS.get(value.casefold(), value) if isinstance(value, str) else value
