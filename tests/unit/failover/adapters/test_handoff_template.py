# SPDX-License-Identifier: Apache-2.0
"""What of the nested stack a dead host of the active would hold fast."""

import types

import pytest

from heat_ha.failover.adapters import handoff_template

VOLUME = ('OS::Heat::HandoffVolumeAttachment', {'volume_id': 'v1', 'instance_uuid': 'old'})
PORT = ('OS::Heat::PortAttachment', {'port': 'p1', 'server': 'old'})
ADDRESS = ('OS::Neutron::FloatingIPAssociation', {'port_id': 'port-of-old', 'floatingip_id': 'f'})
POOL_MEMBER = ('OS::Octavia::PoolMember', {'address': '10.0.0.1', 'server': 'old'})


def stack(*found):
    def resource(one):
        if isinstance(one, types.SimpleNamespace):
            return types.SimpleNamespace(type=lambda: 'inner.yaml', nested=lambda: one, props={})
        kind, props = one
        return types.SimpleNamespace(type=lambda: kind, props=props)

    return types.SimpleNamespace(dependencies=[resource(one) for one in found])


@pytest.fixture(autouse=True)
def _known_properties(monkeypatch):
    monkeypatch.setattr(handoff_template, '_properties', lambda res: res.props)


@pytest.mark.parametrize(
    ('nested', 'moved', 'asks'),
    [
        (None, (), False),
        (stack(VOLUME), ('v1',), False),
        # A volume that waits for something else, so that Heat moves it.
        (stack(VOLUME), (), True),
        (stack(PORT), (), True),
        (stack(VOLUME, PORT), ('v1',), True),
        (stack(VOLUME, stack(PORT)), ('v1',), True),
        (stack(stack(VOLUME)), ('v1',), False),
        # Neutron and Octavia do these by themselves, whatever becomes of the host.
        (stack(ADDRESS, POOL_MEMBER), (), False),
        (stack(), (), False),
    ],
)
def test_only_what_nova_takes_from_the_server_needs_its_host(nested, moved, asks):
    found = handoff_template.asks_host(nested, frozenset({'old'}), frozenset(moved))
    assert found is asks
    assert not handoff_template.asks_host(nested, frozenset({'other'}), frozenset(moved))
    assert not handoff_template.asks_host(nested, frozenset(), frozenset(moved))
