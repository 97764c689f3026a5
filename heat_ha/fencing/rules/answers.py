# SPDX-License-Identifier: Apache-2.0
"""What the answers of power controls mean: tables, and functions that look an answer up. Pure.

Only an answer that says so itself means that the host is off. An exit status alone never does:
programs end with the same ones when they were called in a wrong way. ``doc/source/admin/agent.rst``
has the tables for operators.
"""

import enum
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from heat_ha.fencing.model import Power, Said

# Of an answer, so much is shown.
SHOWN = 200


class Word(enum.Enum):
    """What the output of a program says about the power."""

    ON = 'on'
    OFF = 'off'
    OTHER = 'another word'
    NONE = 'no word'
    BOTH = 'several words'


class Row(NamedTuple):
    """An answer of a program, what it means, and why."""

    code: str
    word: Word
    power: Power
    why: str


# The interface of fence-agents: 0 is on, 2 is off. But 2 is also EC_BAD_ARGS, the exit status of
# argparse, and that of a shell with a syntax error. A test walks this table.
STATUS = (
    Row('0', Word.ON, Power.ON, 'the program says so'),
    Row('0', Word.NONE, Power.ON, 'the program ended without an error'),
    Row('0', Word.OTHER, Power.UNKNOWN, 'the program says something else'),
    Row('0', Word.OFF, Power.UNKNOWN, 'exit status and output contradict each other'),
    Row('0', Word.BOTH, Power.UNKNOWN, 'the output contradicts itself'),
    Row('2', Word.OFF, Power.OFF, 'exit status and output say so'),
    Row('2', Word.NONE, Power.UNKNOWN, 'a program that was called in a wrong way also ends with 2'),
    Row('2', Word.ON, Power.UNKNOWN, 'exit status and output contradict each other'),
    Row('2', Word.OTHER, Power.UNKNOWN, 'the program says something else'),
    Row('2', Word.BOTH, Power.UNKNOWN, 'the output contradicts itself'),
    Row('other', Word.ON, Power.UNKNOWN, 'the program failed'),
    Row('other', Word.OFF, Power.UNKNOWN, 'the program failed'),
    Row('other', Word.NONE, Power.UNKNOWN, 'the program failed'),
    Row('other', Word.OTHER, Power.UNKNOWN, 'the program failed'),
    Row('other', Word.BOTH, Power.UNKNOWN, 'the program failed'),
)

# What Redfish shows as PowerState. In the states between on and off the host may be on again.
POWER_STATES: dict[str, Power] = {
    'On': Power.ON,
    'Off': Power.OFF,
    'PoweringOn': Power.UNKNOWN,
    'PoweringOff': Power.UNKNOWN,
    'Paused': Power.UNKNOWN,
}

# Beside PowerState Off, a Status.State with which the power is unknown: an empty slot, which says
# nothing about the host that is not in it, and a system that is coming on. BMCs show all the others
# of systems that are off.
NOT_OFF = ('Absent', 'Starting')

# A SystemType whose power is not that of a host: a card in it has a power of its own.
NO_HOST = ('DPU',)

# What ipmitool prints, as a line of its own, when it ends with 0.
CHASSIS = {'chassis power is on': Word.ON, 'chassis power is off': Word.OFF}

# With this a BMC refuses to switch off what is off. That the power is off is seen by asking again.
_OFF_ALREADY = re.compile(
    r'not supported in (the )?present state|operation *for *system *state|already (powered )?off'
    r'|resource *(is *)?in *standby'
    r'|because the (system|server|host) is (currently )?(powered )?off',
    re.IGNORECASE,
)

_STATUSES = {'on': Word.ON, 'off': Word.OFF}

_ESCAPES = re.compile(r'\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(\x07|\x1b\\)|\x1b[@-Z\\^_]')
_STATUS_LINE = re.compile(r'status\s*:\s*(.*?)\.?')


def lines(text: str) -> list[str]:
    """The lines of an output as they are compared: without colours, case and outer space."""
    plain = _ESCAPES.sub('', text)
    return [' '.join(line.split()).casefold() for line in plain.splitlines()]


def word_of(said: Said, says_on: str = '', says_off: str = '') -> Word:
    """What the output says: a line ``Status: ON`` or ``Status: OFF``, and nothing else in it.

    What says that the host is on counts in either output. The rest counts only on the standard
    output: the other one has what the program did not mean as its answer.

    :param says_on: the line that this program writes instead, '' for the usual one.
    :param says_off: likewise.
    """
    out = _words(lines(said.out), says_on, says_off)
    err = _words(lines(said.err), says_on, says_off) & {Word.ON}
    return _one(out | err)


def _words(found: list[str], says_on: str, says_off: str) -> set[Word]:
    own = {word: lines(text) for word, text in ((Word.ON, says_on), (Word.OFF, says_off)) if text}
    words = set()
    for line in found:
        meant = {word for word, texts in own.items() if line in texts}
        usual = _STATUS_LINE.fullmatch(line)
        if usual and (usual[1] in _STATUSES or not meant):
            meant.add(_STATUSES.get(usual[1], Word.OTHER))
        words |= meant
    return words


def _one(words: set[Word]) -> Word:
    if len(words) > 1:
        return Word.BOTH
    return next(iter(words), Word.NONE)


def of_status(said: Said, says_on: str = '', says_off: str = '') -> tuple[Power, str]:
    """The power after ``action=status`` of a program with the interface of fence-agents.

    Invariant: OFF only with exit status 2 and the program's own word for it, and only when all
    that it wrote was read.
    """
    shown = _last_line(said)
    if not said.is_whole:
        return Power.UNKNOWN, f'it wrote more than is read, or went on writing: {shown}'
    word = word_of(said, says_on, says_off)
    code = str(said.code) if said.code in (0, 2) else 'other'
    [row] = [row for row in STATUS if (row.code, row.word) == (code, word)]
    if row.power is Power.UNKNOWN:
        return row.power, f'it ended with {said.code}, {row.why}: {shown}'[: SHOWN + 100]
    return row.power, shown


def of_chassis(said: Said) -> tuple[Power, str]:
    """The power after ``ipmitool chassis power status``."""
    words = {CHASSIS[line] for line in lines(said.out) if line in CHASSIS}
    words |= {CHASSIS[line] for line in lines(said.err) if line in CHASSIS} & {Word.ON}
    word, shown = _one(words), _last_line(said)
    if said.code == 0 and said.is_whole and word in (Word.ON, Word.OFF):
        return Power(word.value), f'Chassis Power is {word.value}'
    return Power.UNKNOWN, f'it ended with {said.code}: {shown}'


def of_system(resource: Any) -> tuple[Power, str]:
    """The power after a look at a Redfish system, by what the service answered."""
    if not isinstance(resource, Mapping):
        return Power.UNKNOWN, 'the answer is not a system'
    if why := _not_the_host(resource):
        return Power.UNKNOWN, why
    if 'PowerState' not in resource:
        return Power.UNKNOWN, 'the system has no PowerState'
    state = resource['PowerState']
    detail = f'PowerState {state!s:.40}'
    if not isinstance(state, str):
        return Power.UNKNOWN, detail
    found, status = POWER_STATES.get(state, Power.UNKNOWN), _text_at(resource, 'Status', 'State')
    if found is Power.OFF and status in NOT_OFF:
        return Power.UNKNOWN, f'{detail}, but it is {status}'
    return found, detail


def _not_the_host(resource: Mapping[Any, Any]) -> str:
    """Why a resource is not the system of a host, '' when it may be. Many kinds have a power."""
    kind = _text_at(resource, '@odata.type')
    if kind and not kind.startswith('#ComputerSystem.'):
        return f'it is not a system: {kind:.60}'
    system = _text_at(resource, 'SystemType')
    return f'it is not a host: SystemType {system}' if system in NO_HOST else ''


def _text_at(resource: Any, *keys: str) -> str:
    for key in keys:
        resource = resource.get(key) if isinstance(resource, Mapping) else None
    return resource if isinstance(resource, str) else ''


def is_off_already(refusal: str) -> bool:
    """Whether a power control refused to switch off only because nothing is on."""
    return _OFF_ALREADY.search(refusal) is not None


def _last_line(said: Said) -> str:
    """The last line that is not empty, for a person: without escapes and other controls."""
    plain = _ESCAPES.sub('', said.out if said.out.strip() else said.err)
    found = [line.strip() for line in plain.splitlines() if line.strip()]
    if not found:
        return 'it wrote nothing'
    return ''.join(sign if sign.isprintable() else '?' for sign in found[-1])[:SHOWN]
