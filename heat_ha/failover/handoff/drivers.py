# SPDX-License-Identifier: Apache-2.0
"""The kinds of things that are handed over on the quick path, and their drivers."""

from typing import Any

from heat_ha.cloud import clients
from heat_ha.failover import model
from heat_ha.failover.handoff import driver, volume

AnyDriver = driver.Driver[Any]

_CLASSES: tuple[type[AnyDriver], ...] = (volume.VolumeDriver,)
_BY_THING = {found.thing: found for found in _CLASSES}


class Drivers:
    """The driver of each kind of thing, made when it is first asked for.

    What is not handed over needs no client: a cloud may not even have its service.
    """

    def __init__(self, services: clients.StackClients) -> None:
        self._services = services
        self._made: dict[model.ThingKind, AnyDriver] = {}

    def __getitem__(self, thing: model.ThingKind) -> AnyDriver:
        if thing not in self._made:
            self._made[thing] = _BY_THING[thing](self._services)
        return self._made[thing]


def of_type(resource_type: str) -> type[AnyDriver] | None:
    """The driver of what a resource of this type connects to a server, or None."""
    for found in _CLASSES:
        if resource_type in {*found.stand_ins, *found.stand_ins.values()}:
            return found
    return None


def stand_ins() -> dict[str, str]:
    """The resource types that another one stands in for below a FailoverPolicy, each with it."""
    pairs = [pair for found in _CLASSES for pair in found.stand_ins.items()]
    return {theirs: ours for theirs, ours in pairs if theirs != ours}
