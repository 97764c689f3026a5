# SPDX-License-Identifier: Apache-2.0
"""What the entries of the fencing file may be, each by itself and beside the others. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from heat_ha import exceptions

LEVELS = 'levels'

Settings = Mapping[str, Any]


def levels(host: str, settings: Settings) -> tuple[tuple[Settings, ...], ...]:
    """The settings of each driver of a host, by level.

    ``levels`` is a list; each of it is the settings of one driver, or a list of them, all of which
    are required. A host without it has one driver.

    :raises exceptions.Refused: what is wrong with the form.
    """
    _check_values(host, '', settings)
    if LEVELS not in settings:
        return ((settings,),)
    if other := sorted(str(key) for key in set(settings) - {LEVELS}):
        raise exceptions.Refused(
            f'host {host} has {other[0]!r} beside levels', 'Write it inside of each level'
        )
    found = settings[LEVELS]
    if not isinstance(found, list) or not found:
        raise exceptions.Refused(f'levels of host {host} must be a list with at least one level')
    return tuple(_level(host, number, one) for number, one in enumerate(found, start=1))


def _check_values(host: str, where: str, found: Any) -> None:
    """A key without a value is none that was left out: it would become the text None."""
    if found is None:
        raise exceptions.Refused(
            f'host {host}: {where} has no value',
            'Leave the key out, or write its value; if it is the text null or ~, put it in quotes',
        )
    if isinstance(found, Mapping):
        for key, value in found.items():
            _check_values(host, str(key), value)
    elif isinstance(found, list):
        for value in found:
            _check_values(host, where, value)


def _level(host: str, number: int, found: Any) -> tuple[Settings, ...]:
    level = found if isinstance(found, list) else [found]
    if not level or not all(isinstance(one, dict) for one in level):
        raise exceptions.Refused(
            f'level {number} of host {host} must be the settings of a driver, or a list of them'
        )
    for one in level:
        if LEVELS in one:
            raise exceptions.Refused(f'level {number} of host {host} has levels itself')
        if one.get('driver') == 'none' and (number > 1 or len(level) > 1):
            raise exceptions.Refused(
                f'level {number} of host {host} has the driver none',
                'A host that may go unfenced needs no other driver; give it only this one',
            )
    return tuple(level)


def check_default(name: str, is_power_control: bool) -> None:
    """A default may not switch anything off: it would be the same thing for all hosts.

    :raises exceptions.Refused: it does.
    """
    if is_power_control:
        raise exceptions.Refused(
            f'default in the fencing file has the driver {name}, which would switch off the same '
            'machine for every host that is not listed',
            'Give each host its own entry, and default the driver nova_forced_down',
        )


def check_addresses(addresses: Mapping[str, Sequence[tuple[str, bool]]]) -> None:
    """Where one machine has an address for itself, no other host may have a power control.

    :param addresses: by host, of each driver its address, '' for none, and whether there is one
        machine at it and no other. Behind other addresses there may be many, each by its own name.
    :raises exceptions.Refused: two hosts have such an address.
    """
    owner = {
        address: host
        for host in sorted(addresses, reverse=True)
        for address, is_one_machine in addresses[host]
        if is_one_machine
    }
    for host in sorted(addresses):
        for address, _is_one_machine in addresses[host]:
            other = owner.get(address, host) if address else host
            if other != host:
                first, second = sorted((host, other))
                raise _same(first, second, address)


def check_shared(targets: Mapping[str, Sequence[tuple[str, ...]]]) -> None:
    """No two hosts may name the same power control.

    :param targets: by host, what its drivers switch off.
    :raises exceptions.Refused: two hosts do.
    """
    owner: dict[tuple[str, ...], str] = {}
    for host in sorted(targets):
        for target in targets[host]:
            other = owner.setdefault(target, host)
            if other != host:
                raise _same(other, host, ' '.join(target))


def _same(one: str, other: str, what: str) -> exceptions.Refused:
    return exceptions.Refused(
        f'hosts {one} and {other} in the fencing file name the same power control ({what}), which '
        'would switch off one of them for the other',
        'Correct the entry that is wrong',
    )
