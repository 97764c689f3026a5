# SPDX-License-Identifier: Apache-2.0
"""Which names agents, and people who decide, may have. Pure.

A proof of a fence says in words who gave it: ``redfish by AGENT`` or ``NAME by hand``. The agent
reads there whether it was a driver, a mark or a person, so no name may look like one of these.
"""

from heat_ha import exceptions
from heat_ha.fencing import model as fencing

# So ends who has given a proof by word.
HAND = 'hand'
BY_HAND = f' by {HAND}'

LONGEST_NAME = 64


def check_agent(name: str) -> None:
    """Check the name of an agent, which is that of its machine where the option is not set.

    :raises exceptions.Refused: a proof of this agent would be taken for something else.
    """
    remedy = 'Set name in [heat_ha_agent] to another one'
    if name.casefold() == HAND or fencing.BY_MARK in name.casefold():
        raise exceptions.Refused(
            f'an agent cannot be named {name!r}: a proof of its fences would be taken for the word '
            'of a person, or of a mark in Nova',
            remedy,
        )
    if not name or len(name) > LONGEST_NAME or not name.isprintable() or ' ' in name:
        raise exceptions.Refused(
            f'an agent cannot be named {name[:LONGEST_NAME]!r}: a name has 1 to {LONGEST_NAME} '
            'printable letters, and no spaces',
            remedy,
        )


def of_person(text: str) -> str:
    """The name of who confirms that a host is off, without spaces around it.

    :raises exceptions.Refused: it is none, or would be taken for something else.
    """
    name = text.strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise exceptions.Refused(
            'a confirmation needs the name of who has made sure',
            f'Add --by NAME, of at most {LONGEST_NAME} letters',
        )
    if fencing.BY_MARK in name.casefold():
        raise exceptions.Refused(
            f'{fencing.BY_MARK} is a driver, and cannot confirm by hand',
            'Give the name of who has made sure: --by NAME',
        )
    return name
