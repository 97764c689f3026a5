# SPDX-License-Identifier: Apache-2.0
"""Programs and options of fence-agents with which "off" does not mean the power of the host. Pure.

``doc/source/admin/agent.rst`` has the table for operators; a test compares them.
"""

from collections.abc import Iterable, Mapping

from heat_ha import exceptions

_NOVA = 'it marks the host in Nova, and reports that mark as the power'
_STORAGE = 'it shuts the host out of a storage; its guests and their addresses live on'
_PORT = 'it disables a port of a switch; the guests of the host live on'

# By the name of the program, why it is no fence of a compute host. A program of another name, which
# may call one of these, is the operator's own word for it.
NOT_THE_POWER: Mapping[str, str] = {
    'fence_compute': _NOVA,
    'fence_evacuate': _NOVA,
    'fence_scsi': _STORAGE,
    'fence_mpath': _STORAGE,
    'fence_brocade': _PORT,
    'fence_cisco_mds': _PORT,
    'fence_ifmib': _PORT,
    'fence_sanbox2': _PORT,
    'fence_heuristics_ping': 'it only looks whether other machines answer',
    'fence_crosslink': 'it reports a host that does not answer a ping as off',
    'fence_kdump': 'it only waits for the message of a kernel that crashed',
    'fence_ack_manual': "it takes a person's word; heat-ha-agent confirm does that",
    'fence_dummy': 'it switches a file',
}

# The action is the driver's, under each of the names that programs have for it.
_ACTIONS = frozenset({'action', 'option', 'operation'})

# Even with the value 0, programs take it as given.
_MISSING_AS_OFF = 'missing_as_off'


def check(host: str, program: str, options: Iterable[str]) -> None:
    """Refuse what would be taken for a fence of the host and is none.

    :param program: its name, without the folder.
    :param options: the names of its options.
    :raises exceptions.Refused: what, and what to write instead.
    """
    if why := NOT_THE_POWER.get(program):
        raise exceptions.Refused(
            f'host {host}: {program} does not switch it off: {why}',
            'Name a program that cuts its power, or use the driver nova_forced_down',
        )
    for option in options:
        plain = option.strip().lower().replace('-', '_')
        if plain in _ACTIONS:
            raise exceptions.Refused(f'host {host}: options must be without the key {option!r}')
        if plain == _MISSING_AS_OFF:
            raise exceptions.Refused(
                f'host {host}: with {option!r} a machine that is not found counts as off',
                'Leave the option out',
            )
