# SPDX-License-Identifier: Apache-2.0
"""Fill the cloud with what only the tier with real guests has."""

from lab import ports, regions, rest
from lab.progress import Progress
from lab.real import images, neutron
from lab.real.addresses import Link, Plan

FLAVOR = 'm1.real'
NETWORK = 'real'
VOLUME_TYPE = 'rbd'

# Without a disk Nova refuses the flavor to tenants.
_SIZE = {'ram': 128, 'vcpus': 1, 'disk': 1}


def fill(progress: Progress, block: ports.Ports) -> None:
    """Create image, flavor, volume type and network agents, each unless it is there."""
    with progress.phase('Image, flavor and volume type of real guests'):
        admin = rest.Cloud(block, 'admin', regions.ONE.name)
        neutron.enter_agents()
        _network(rest.Cloud(block, 'demo', regions.ONE.name), Plan(block.base))
        images.upload(admin)
        flavors = admin.get('compute', '/flavors')['flavors']
        if FLAVOR not in {flavor['name'] for flavor in flavors}:
            admin.post('compute', '/flavors', {'flavor': {'name': FLAVOR, **_SIZE}})
        kinds = admin.get('block-storage', '/types')['volume_types']
        if VOLUME_TYPE not in {kind['name'] for kind in kinds}:
            kind = {'name': VOLUME_TYPE, 'extra_specs': {'volume_backend_name': 'rbd'}}
            admin.post('block-storage', '/types', {'volume_type': kind})


def _network(tenant: rest.Cloud, plan: Plan) -> None:
    """Create the network that guests are really in; its gateway leads to Keystone and Heat."""
    if tenant.get('network', f'/v2.0/networks?name={NETWORK}')['networks']:
        return
    made = tenant.post('network', '/v2.0/networks', {'network': {'name': NETWORK}})
    first, last = plan.guests
    subnet = {
        'network_id': made['network']['id'],
        'name': NETWORK,
        'ip_version': 4,
        'cidr': plan.network(Link.GUESTS),
        'gateway_ip': plan.server(Link.GUESTS),
        'allocation_pools': [{'start': first, 'end': last}],
        # Nobody answers: the address is on the config drive.
        'enable_dhcp': False,
    }
    tenant.post('network', '/v2.0/subnets', {'subnet': subnet})
