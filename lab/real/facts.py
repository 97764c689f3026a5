# SPDX-License-Identifier: Apache-2.0
"""What tests and benches need to know of the tier with real guests, for ``.lab/env.json``."""

from lab import layout, ports
from lab.real import ceph, images, names, paths, seeding, virtualization
from lab.real.addresses import HOSTS, Link, Plan


def collect(block: ports.Ports) -> dict[str, object]:
    """Return hosts, storage, and what a server is made of."""
    plan = Plan(block.base)
    return {
        'image': images.IMAGE,
        'images': list(images.command_lines()),
        'flavor': seeding.FLAVOR,
        'volume_type': seeding.VOLUME_TYPE,
        'virt_type': virtualization.known().value,
        'ceph': {
            'conf': str(paths.CEPH_CONF),
            'user': ceph.CLIENT,
            'admin': 'admin',
            'pools': list(ceph.POOLS),
            'namespace': plan.middle(Link.STORAGE),
        },
        'network': seeding.NETWORK,
        # Where a guest finds Keystone and Heat, at their ports.
        'gateway': plan.server(Link.GUESTS),
        'hosts': {
            host: {
                'namespace': plan.namespace(host),
                'management': plan.host(host, Link.MANAGEMENT),
                'storage': plan.host(host, Link.STORAGE),
                'services': list(names.of_host(host)),
                'keeper': str(layout.RUN / f'{names.of_host(host)[0]}.pid'),
                # The console of server ID is instances/ID/console.log.
                'instances': str(paths.instances_of(host)),
            }
            for host in HOSTS
        },
    }
