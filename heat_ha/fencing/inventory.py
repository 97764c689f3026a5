# SPDX-License-Identifier: Apache-2.0
"""The fencing file: which drivers fence which host, and how."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import yaml

from heat_ha import exceptions
from heat_ha.conf import yaml_files
from heat_ha.fencing import driver, model
from heat_ha.fencing.rules import entries

_KEYS = ('default', 'hosts')

# Of the drivers of a host, each level is tried after the one before it failed; all drivers of a
# level must have switched the host off.
Drivers = tuple[driver.Driver, ...]
Levels = tuple[Drivers, ...]


@dataclasses.dataclass(frozen=True)
class Inventory:
    """The settings of each host; ``default`` is for hosts that are not listed."""

    hosts: Mapping[str, Mapping[str, Any]]
    default: Mapping[str, Any]

    def driver(self, host: str) -> driver.Driver:
        """The only driver of a host. :raises exceptions.Refused: its settings are wrong."""
        return driver.load(host, self.settings(host))

    def levels(self, host: str) -> Levels:
        """All drivers of a host. :raises exceptions.Refused: its settings are wrong."""
        settings = self.settings(host)
        if entries.LEVELS not in settings:
            return ((self.driver(host),),)
        return tuple(
            tuple(driver.load(host, one) for one in level)
            for level in entries.levels(host, settings)
        )

    def switches_off(self, host: str) -> bool:
        """Whether a level of drivers switches the host off by itself; else somebody's word counts.

        :raises exceptions.Refused: its settings are wrong.
        """
        return any(all(one.is_power_control for one in level) for level in self.levels(host))

    def takes_word(self, host: str, who: str) -> bool:
        """Whether a proof is somebody's word, by a driver that switches nothing off.

        :param who: of the proof: the drivers that gave it, and the agent.
        :raises exceptions.Refused: the settings of the host are wrong.
        """
        return any(not one.is_power_control for one in self._named(host, who))

    def proved_by(self, host: str, proof: model.Proof) -> Drivers:
        """The power controls of a host that have given a proof, none for a person's word.

        Of a proof that has no level on record, or one that the host no longer has, they are told by
        their names alone.

        :raises exceptions.Refused: the settings of the host are wrong.
        """
        named = self._named(host, proof.who, proof.level) or self._named(host, proof.who)
        return tuple(one for one in named if one.is_power_control)

    def _named(self, host: str, who: str, level: int = 0) -> Drivers:
        names = who.rpartition(' by ')[0].split(' and ')
        return tuple(
            one
            for number, drivers in enumerate(self.levels(host), start=1)
            for one in drivers
            if one.name in names and level in (0, number)
        )

    def settings(self, host: str) -> Mapping[str, Any]:
        """The settings of a host."""
        return self.hosts.get(host, self.default)

    def check(self) -> None:
        """Load every driver once, and compare the entries with one another.

        :raises exceptions.Refused: the first thing that is wrong.
        """
        found = {host: self.levels(host) for host in self.hosts}
        for made in (one for level in self.levels('default') for one in level):
            entries.check_default(made.name, made.is_power_control)
        targets = {
            host: [target for level in levels for one in level for target in one.targets]
            for host, levels in found.items()
        }
        entries.check_shared(targets)
        entries.check_addresses(
            {
                host: [(one.address, one.is_one_machine) for level in levels for one in level]
                for host, levels in found.items()
            }
        )


def parse(text: str) -> Inventory:
    """Read the file's text. :raises exceptions.Refused: what is wrong with it."""
    try:
        found = yaml_files.load(text) or {}
    except (yaml.YAMLError, TypeError, ValueError) as exc:
        raise exceptions.Refused(f'the fencing file is not valid YAML: {exc}') from exc
    if not isinstance(found, dict):
        raise exceptions.Refused('the fencing file is not a map', f'Known keys: {", ".join(_KEYS)}')
    if unknown := sorted(str(key) for key in set(found) - set(_KEYS)):
        raise exceptions.Refused(
            f'the fencing file has the unknown key {unknown[0]!r}',
            f'Known keys: {", ".join(_KEYS)}',
        )
    hosts = found.get('hosts') or {}
    default = found.get('default') or {'driver': 'nova_forced_down'}
    if not isinstance(hosts, dict) or not isinstance(default, dict):
        raise exceptions.Refused('default and hosts in the fencing file must be maps')
    for host, settings in hosts.items():
        if not isinstance(host, str):
            raise exceptions.Refused(
                f'the host {host!r} in the fencing file is not a text', 'Write it in quotes'
            )
        if not isinstance(settings, dict):
            raise exceptions.Refused(f'the settings of host {host} must be a map')
        entries.levels(host, settings)
    entries.levels('default', default)
    return Inventory(hosts, default)


def read(path: str) -> Inventory:
    """Read the fencing file; without one, all hosts are fenced by others.

    :raises exceptions.Refused: it cannot be read, or what is wrong with it.
    """
    if not path:
        return parse('')
    try:
        with open(path) as stream:
            return parse(stream.read())
    except (OSError, UnicodeDecodeError) as exc:
        raise exceptions.Refused(f'the fencing file cannot be read: {exc}') from exc
