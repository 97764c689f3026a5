# SPDX-License-Identifier: Apache-2.0
"""Programs and options of fence-agents with which "off" does not mean the power of the host. Pure.

``doc/source/admin/agent.rst`` has the table for operators; a test compares them.
"""

from collections.abc import Iterable, Mapping

from heat_ha import exceptions
from heat_ha.fencing.rules import storage_programs

_NOVA = 'it marks the host in Nova, and reports that mark as the power'
_STORAGE = 'it shuts the host out of a storage; its guests and their addresses live on'
_PORT = 'it disables a port of a switch; the guests of the host live on'
_GROUPS = 'it changes the security groups of a machine, which goes on running'
_HEURISTICS = 'it only decides whether, or when, another program fences'
_WORD = "it takes a person's word; heat-ha-agent confirm does that"

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
    'fence_mcdata': _PORT,
    'fence_sanbox2': _PORT,
    'fence_vixel': _PORT,
    'fence_aws_vpc': _GROUPS,
    'fence_aws_vpc_net': _GROUPS,
    'fence_sbd': 'it leaves a message on a disk, and reports the message as the power',
    'fence_nova': 'it reports a server in any state but ACTIVE as off, as one that is rebooted',
    'fence_zvmip': 'it reports a machine that it does not find as off',
    'fence_docker': 'it kills a container; what else runs on the host lives on',
    'fence_heuristics_ping': _HEURISTICS,
    'fence_heuristics_resource': _HEURISTICS,
    'fence_crosslink': 'it reports a host that does not answer a ping as off',
    'fence_kdump': 'it only waits for the message of a kernel that crashed',
    'fence_ack_manual': _WORD,
    'fence_manual': _WORD,
    'fence_dummy': 'it switches a file',
}

# The action is the driver's, under each of the names that programs have for it.
_ACTIONS = frozenset({'action', 'option', 'operation'})

# What counts as off with an option. Even with the value 0, some programs take it as given.
_COUNTS_AS_OFF = {
    'missing_as_off': 'a machine that is not found',
    'network_fencing': 'a machine whose network is blocked',
}


def check(host: str, program: str, options: Iterable[str], cuts_power: bool = True) -> None:
    """Refuse what would be taken for a fence of the host and is none.

    :param program: its name, without the folder.
    :param options: the names of its options.
    :param cuts_power: whether it is said to cut the power; else, to cut the host off from its
        storage.
    :raises exceptions.Refused: what, and what to write instead.
    """
    is_reserving = storage_programs.is_reserving(program)
    if (why := NOT_THE_POWER.get(program)) and (cuts_power or not is_reserving):
        says_so = f'Write {storage_programs.CUTS}: {storage_programs.STORAGE}, name'
        raise exceptions.Refused(
            f'host {host}: {program} does not switch it off: {why}',
            f'{says_so if is_reserving else "Name"} a program that cuts its power, or use the '
            'driver nova_forced_down',
        )
    for option in options:
        plain = option.strip().lower().replace('-', '_')
        if plain in _ACTIONS:
            raise exceptions.Refused(f'host {host}: options must be without the key {option!r}')
        if what := _COUNTS_AS_OFF.get(plain):
            raise exceptions.Refused(
                f'host {host}: with {option!r} {what} counts as off',
                'Leave the option out',
            )
