# SPDX-License-Identifier: Apache-2.0
"""The option: Barbican, and RegionTwo's Heat behind a Keystone of its own, as in another cloud.

Only its Heat: Nova and Cinder of RegionTwo need the shared Glance and Neutron. Users, projects and
tokens of one Keystone are unknown to the other; both have a tenant ``demo``.
"""

from lab import (
    boot,
    config,
    database,
    facts,
    layout,
    ports,
    processes,
    regions,
    schemas,
    seed,
    services,
)
from lab.progress import Progress
from lab.service import Service

_OWN = f'keystone-{regions.TWO.key}'
_BARBICAN = 'barbican-api'


def begin(block: ports.Ports) -> None:
    """Take RegionTwo's Heat out of the shared Keystone; all else goes on."""
    progress = Progress()
    # Their databases are made new, also when an earlier begin was not ended.
    processes.stop([_OWN, _BARBICAN], seconds=4)
    layout.APART.touch()
    config.write_all(block)
    # A lab from before there was this option does not know of its services.
    facts.write(block)
    by_name = {service.name: service for service in services.table(block)}
    with progress.phase("Databases of Barbican and of RegionTwo's Keystone"):
        schemas.keystone('keystone_two', block.url('keystone', regions.TWO.key), regions.TWO)
        database.recreate('barbican')
    boot.start_all(progress, [by_name[_BARBICAN], by_name[_OWN]])
    with progress.phase('Users and catalogues'):
        seed.own_identity(block, regions.TWO)
        seed.secrets(block)
    _restart_heat(progress, block)
    progress.summary()


def end(block: ports.Ports, *, starts_heat: bool = True) -> None:
    """Bring RegionTwo's Heat back; harmless when it was never taken out."""
    processes.stop([_OWN, _BARBICAN], seconds=4)
    if not layout.APART.exists():
        return
    layout.APART.unlink()
    config.write_all(block)
    if starts_heat:
        _restart_heat(Progress(), block)
    else:
        processes.stop([service.name for service in _heat(block)], seconds=4)


def _heat(block: ports.Ports) -> list[Service]:
    return [
        service
        for service in services.table(block)
        if service.region == regions.TWO.key and service.name.startswith('heat-')
    ]


def _restart_heat(progress: Progress, block: ports.Ports) -> None:
    found = _heat(block)
    processes.stop([service.name for service in found], seconds=4)
    boot.start_all(progress, found)
