# SPDX-License-Identifier: Apache-2.0
"""The fencing file: which driver fences which host, and how."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import yaml

from heat_ha import exceptions
from heat_ha.fencing import driver

_KEYS = ('default', 'hosts')


@dataclasses.dataclass(frozen=True)
class Inventory:
    """The settings of each host; ``default`` is for hosts that are not listed."""

    hosts: Mapping[str, Mapping[str, Any]]
    default: Mapping[str, Any]

    def driver(self, host: str) -> driver.Driver:
        """The driver of a host. :raises exceptions.Refused: its settings are wrong."""
        return driver.load(host, self.settings(host))

    def timeout(self, host: str) -> float:
        """Seconds until the host must be seen off."""
        return float(self.settings(host).get('timeout', driver.DEFAULT_TIMEOUT))

    def settings(self, host: str) -> Mapping[str, Any]:
        """The settings of a host."""
        return self.hosts.get(host, self.default)

    def check(self) -> None:
        """Load every driver once. :raises exceptions.Refused: the first one that is wrong."""
        for host in self.hosts:
            self.driver(host)
        self.driver('default')


def parse(text: str) -> Inventory:
    """Read the file's text. :raises exceptions.Refused: what is wrong with it."""
    try:
        found = yaml.safe_load(text) or {}
    except yaml.YAMLError as exc:
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
        if not isinstance(settings, dict):
            raise exceptions.Refused(f'the settings of host {host} must be a map')
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
    except OSError as exc:
        raise exceptions.Refused(f'the fencing file cannot be read: {exc}') from exc
