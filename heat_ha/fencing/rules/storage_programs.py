# SPDX-License-Identifier: Apache-2.0
"""What the fencing file must say of a program that cuts a host off from its storage. Pure.

Two programs of fence-agents do so by persistent reservations of SCSI, ``fence_scsi`` and
``fence_mpath``. What is relied on here is from their sources, ``agents/scsi/fence_scsi.py`` and
``agents/mpath/fence_mpath.py``, and from ``fence_action`` in ``lib/fencing.py.py``, all of 4.12.1
(Debian 12) and of 4.17 (https://github.com/ClusterLabs/fence-agents):

* ``off`` removes the key of the host from each device ("preempt and abort"), with the key of the
  machine on which the program runs: that one must see the devices, and be registered itself. It
  does nothing where the status is OFF already.
* ``status`` says OFF when none of the devices has the key, and ON when one of them has it. A key
  that was never there, or that is spelled in another way than the device shows it, is OFF as well.
  It does not look whether the devices are reserved at all.
* ``on`` registers the machine on which the program runs, whatever key it is given: their metadata
  have ``on_target="1"`` for it.
"""

import re
from collections.abc import Mapping
from typing import Any

from heat_ha import exceptions

CUTS, UNFENCE = 'cuts', 'unfence'
POWER, STORAGE = 'power', 'storage'
BY_HAND, BY_PROGRAM = 'by_hand', 'program'

# By program, the options that name the key of the host, and those of them whose value is the key.
# Of several the first one counts. Of the name of a node fence_scsi makes a key, with what corosync
# on the same machine says.
_RESERVING: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    'fence_scsi': (('key', 'nodename', 'plug', 'port'), ('key',)),
    'fence_mpath': (('key', 'plug', 'port'), ('key', 'plug', 'port')),
}

# As sg_persist and mpathpersist show a key: the programs compare it as a text.
_KEY = re.compile(r'[1-9a-f][0-9a-f]{0,15}')

# Names that are made of the identity that the storage itself gives a device, so that they mean the
# same one on each machine and after each restart. A disk that has come under the name of another
# one has no key of any host, which would be taken for a fence. Not so /dev/mapper/mpatha, which
# each machine gives by a file of its own, nor by-path, which is the way from one machine.
_STABLE = re.compile(
    r'/dev/disk/by-id/(wwn|scsi|nvme|dm-uuid)-[^\s/]+|/dev/mapper/([0-9a-f]{17}|[0-9a-f]{33})'
)

_UNFENCE_REMEDY = (
    f'It is {BY_HAND} (a person does it on the host, and the status must say ON) or {BY_PROGRAM} '
    '(the program does it with action=on, from where the agents run)'
)


def cuts_power(host: str, settings: Mapping[str, Any]) -> bool:
    """Whether the program of a host cuts its power; else it cuts it off from its storage.

    :raises exceptions.Refused: a setting about that is wrong, is missing, or says nothing.
    """
    cuts, unfence = settings.get(CUTS, POWER), settings.get(UNFENCE)
    if cuts not in (POWER, STORAGE):
        raise exceptions.Refused(
            f'host {host}: {CUTS} is {cuts!r}',
            f'It is {POWER} (the default), or {STORAGE} where the host may run on',
        )
    if cuts == POWER:
        if unfence is not None:
            raise exceptions.Refused(
                f'host {host}: {UNFENCE} is set, and {CUTS} is {POWER}',
                f'Write {CUTS}: {STORAGE}, or leave {UNFENCE} out: a host that is switched off is '
                'switched on by others',
            )
        return True
    if unfence is None:
        raise exceptions.Refused(
            f'host {host}: {CUTS}: {STORAGE} needs {UNFENCE}: how the host gets its storage back',
            _UNFENCE_REMEDY,
        )
    if unfence not in (BY_HAND, BY_PROGRAM):
        raise exceptions.Refused(f'host {host}: {UNFENCE} is {unfence!r}', _UNFENCE_REMEDY)
    return False


def is_reserving(program: str) -> bool:
    """Whether a program, by its name without the folder, fences by persistent reservations."""
    return program in _RESERVING


def check(host: str, program: str, unfence: Any, options: Mapping[Any, Any]) -> None:
    """Check the settings of a program that fences by persistent reservations; of others nothing.

    :param program: its name, without the folder.
    :raises exceptions.Refused: with these, it would call a host fenced that writes on.
    """
    if program not in _RESERVING:
        return
    names, keys = _RESERVING[program]
    plain = {_plain_name(name): str(value).strip() for name, value in options.items()}
    if unfence == BY_PROGRAM:
        raise exceptions.Refused(
            f'host {host}: {UNFENCE} is {BY_PROGRAM}, and {program} with action=on registers the '
            'machine on which it runs, which would be that of the agent',
            f'Write {UNFENCE}: {BY_HAND}, or name a program of another name that calls {program} '
            'on the host, as by ssh',
        )
    if not any(plain.get(name) for name in names):
        raise exceptions.Refused(
            f'host {host}: {program} needs an option that names the key of the host',
            f'Write one of {", ".join(names)} into options',
        )
    for name in keys:
        if name in plain:
            _check_key(host, program, name, plain[name])
    _check_devices(host, program, plain.get('devices', ''))


def targets(program: str, options: Mapping[Any, Any]) -> tuple[tuple[str, ...], ...]:
    """What such a program removes: the key, which no other host may have, on whatever devices."""
    plain = {_plain_name(name): str(value).strip() for name, value in options.items()}
    names, _keys = _RESERVING[program]
    found = next((plain[name] for name in names if plain.get(name)), '')
    return (('persistent reservation', found),)


def one_by_one(options: Mapping[Any, Any]) -> tuple[Mapping[Any, Any], ...]:
    """The options for each of several devices alone; () where they name one or none.

    The status is ON when one of the devices has the key: only so are those seen that do not.
    """
    devices = devices_of(options).split(',')
    return tuple(_of_device(options, one) for one in devices) if len(devices) > 1 else ()


def devices_of(options: Mapping[Any, Any]) -> str:
    """What the options name as devices; '' for none."""
    return next((str(v).strip() for k, v in options.items() if _plain_name(k) == 'devices'), '')


def _of_device(options: Mapping[Any, Any], device: str) -> Mapping[Any, Any]:
    return {k: device if _plain_name(k) == 'devices' else v for k, v in options.items()}


def _plain_name(option: Any) -> str:
    return str(option).strip().casefold().replace('-', '_')


def _check_key(host: str, program: str, option: str, key: str) -> None:
    if not _KEY.fullmatch(key):
        raise exceptions.Refused(
            f'host {host}: the option {option!r} of {program} is {key!r:.40}, which is never found '
            'among the keys of a device, so that the host would always count as fenced',
            'Write it as the device shows it: 1 to 16 hexadecimal digits in lower case, without 0x '
            'and without zeros at the beginning, in quotes',
        )


def _check_devices(host: str, program: str, devices: str) -> None:
    if not devices:
        raise exceptions.Refused(
            f'host {host}: {program} needs the option devices',
            'Name all devices of the storage that the host writes to',
        )
    for device in devices.split(','):
        if not _STABLE.fullmatch(device):
            raise exceptions.Refused(
                f'host {host}: devices of {program} has {device!r}. Such a name may be that of '
                'another disk on another machine or after a restart, which has no key, so that the '
                'host would count as fenced',
                'Write each as /dev/disk/by-id/wwn-…, scsi-…, nvme-… or dm-uuid-… (ls -l '
                '/dev/disk/by-id shows which is meant), with a comma and no space between two',
            )
