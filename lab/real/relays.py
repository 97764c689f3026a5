# SPDX-License-Identifier: Apache-2.0
"""Relays that lead a host's own 127.0.0.1 to the control plane's, by way of its management link.

The lab's services listen on 127.0.0.1 of the root namespace, and the catalogue says so. One relay
takes what comes to the control plane's address on the management network there. Another one, on
each host, takes what the host sends to its own 127.0.0.1 to that address. So a host uses the very
same addresses as everything else, and needs its management link for each of them.
"""

from lab import ports, regions
from lab.real.addresses import Link, Plan

# What a host needs, and a guest on it.
_SHARED = ('keystone', 'glance-api', 'neutron-api', 'rabbitmq')
_OF_REGION = ('placement', 'nova-api', 'cinder-api', 'heat-api', 'heat-api-cfn')


def relayed(block: ports.Ports) -> dict[str, int]:
    """Return the port of each service that hosts can reach, by name."""
    return {
        **{name: block.of(name) for name in _SHARED},
        **{name: block.of(name, regions.ONE.key) for name in _OF_REGION},
    }


def in_the_middle(block: ports.Ports, plan: Plan) -> str:
    """Return the listeners of the control plane's relay, which runs in the root namespace."""
    place = f'{plan.server(Link.MANAGEMENT)}:{{port}} namespace {plan.middle(Link.MANAGEMENT)}'
    return _listeners(block, place, f'{ports.ADDRESS}:{{port}}')


def on_host(block: ports.Ports, plan: Plan) -> str:
    """Return the listeners of a host's relay, which runs in the host's namespace."""
    return _listeners(
        block, f'{ports.ADDRESS}:{{port}}', f'{plan.server(Link.MANAGEMENT)}:{{port}}'
    )


def _listeners(block: ports.Ports, place: str, target: str) -> str:
    return '\n'.join(
        f'listen {name}\n'
        f'    bind {place.format(port=port)} tcp-ut 12s\n'
        f'    server one {target.format(port=port)}\n'
        for name, port in relayed(block).items()
    )
