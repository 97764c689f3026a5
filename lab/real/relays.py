# SPDX-License-Identifier: Apache-2.0
"""Relays that lead a host's own 127.0.0.1 to the control plane's, by way of its management link.

The lab's services listen on 127.0.0.1 of the root namespace, and the catalogue says so. One relay
takes what comes to the control plane's address on the management network there. Another one, on
each host, takes what the host sends to its own 127.0.0.1 to that address. So a host uses the very
same addresses as everything else, and needs its management link for each of them.

A guest has no such relay: it finds Keystone and Heat at the same ports of its gateway.
"""

from collections.abc import Mapping

from lab import ports, regions
from lab.real.addresses import Link, Plan

# What a host needs.
_SHARED = ('keystone', 'glance-api', 'neutron-api', 'rabbitmq')
_OF_REGION = ('placement', 'nova-api', 'cinder-api', 'heat-api', 'heat-api-cfn')
_FOR_GUESTS = ('keystone', 'heat-api', 'heat-api-cfn')


def relayed(block: ports.Ports) -> dict[str, int]:
    """Return the port of each service that hosts can reach, by name."""
    return {
        **{name: block.of(name) for name in _SHARED},
        **{name: block.of(name, regions.ONE.key) for name in _OF_REGION},
    }


def in_the_middle(block: ports.Ports, plan: Plan) -> str:
    """Return the listeners of the control plane's relay, which runs in the root namespace."""
    found = relayed(block)
    target = f'{ports.ADDRESS}:{{port}}'
    for_guests = {name: found[name] for name in _FOR_GUESTS}
    return _listeners(found, _place(plan, Link.MANAGEMENT), target) + _listeners(
        for_guests, _place(plan, Link.GUESTS), target, prefix='guests-'
    )


def _place(plan: Plan, link: Link) -> str:
    return f'{plan.server(link)}:{{port}} namespace {plan.middle(link)}'


def on_host(block: ports.Ports, plan: Plan) -> str:
    """Return the listeners of a host's relay, which runs in the host's namespace."""
    target = f'{plan.server(Link.MANAGEMENT)}:{{port}}'
    return _listeners(relayed(block), f'{ports.ADDRESS}:{{port}}', target)


def _listeners(found: Mapping[str, int], place: str, target: str, prefix: str = '') -> str:
    return ''.join(
        f'listen {prefix}{name}\n'
        f'    bind {place.format(port=port)} tcp-ut 12s\n'
        f'    server one {target.format(port=port)}\n\n'
        for name, port in found.items()
    )
