# SPDX-License-Identifier: Apache-2.0
"""Fill the cloud with what only the tier with real guests has."""

from lab import ports, regions, rest
from lab.progress import Progress
from lab.real import images, neutron

FLAVOR = 'm1.real'
VOLUME_TYPE = 'rbd'

# Without a disk Nova refuses the flavor to tenants.
_SIZE = {'ram': 128, 'vcpus': 1, 'disk': 1}


def fill(progress: Progress, block: ports.Ports) -> None:
    """Create image, flavor, volume type and network agents, each unless it is there."""
    with progress.phase('Image, flavor and volume type of real guests'):
        admin = rest.Cloud(block, 'admin', regions.ONE.name)
        neutron.enter_agents()
        images.upload(admin)
        flavors = admin.get('compute', '/flavors')['flavors']
        if FLAVOR not in {flavor['name'] for flavor in flavors}:
            admin.post('compute', '/flavors', {'flavor': {'name': FLAVOR, **_SIZE}})
        kinds = admin.get('block-storage', '/types')['volume_types']
        if VOLUME_TYPE not in {kind['name'] for kind in kinds}:
            kind = {'name': VOLUME_TYPE, 'extra_specs': {'volume_backend_name': 'rbd'}}
            admin.post('block-storage', '/types', {'volume_type': kind})
