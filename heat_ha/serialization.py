# SPDX-License-Identifier: Apache-2.0
"""Reading what another engine, perhaps one of another version of heat-ha, has put on record.

Each version keeps to this: a field that is added to a record has a default, so a newer one reads
what an older one wrote. The other way round nothing is guessed: a plan of which a part is not
understood is neither carried on nor written over.
"""

import json
from collections.abc import Callable
from typing import Any, TypeVar

from heat_ha import exceptions

T = TypeVar('T')


def read(text: str, make: Callable[[Any], T], what: str) -> T:
    """Read a text. :raises Unreadable: this version does not understand it."""
    return decode(text, lambda found: make(json.loads(found)), what)


def decode(found: Any, make: Callable[[Any], T], what: str) -> T:
    """Make a value of what was found. :raises Unreadable: this version does not understand it.

    :param make: raises what Python does for a field that is missing, or that it does not know.
    :param what: names it for a person.
    """
    try:
        return make(found)
    except (AttributeError, KeyError, TypeError, ValueError) as exc:
        raise exceptions.Unreadable(what, f'{type(exc).__name__}: {exc}') from exc
