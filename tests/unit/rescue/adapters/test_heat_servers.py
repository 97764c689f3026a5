# SPDX-License-Identifier: Apache-2.0
"""Having Heat replace servers: the ones that are meant, and nothing that has taken their place."""

import itertools
import types

import pytest

from heat_ha import exceptions
from heat_ha.rescue.adapters import heat_servers


class ActionInProgress_Remote(Exception):
    """As Heat's error has it in its name when it comes over the bus."""


class ResourceNotFound_Remote(Exception):
    pass


class Heat:
    """A stack with a place for each server, which an update fills anew when it is marked."""

    def __init__(self, places):
        self.places = dict(places)
        self.marked, self.new = set(), itertools.count(1)
        self.busy = self.updates = 0

    def resource_mark_unhealthy(self, _context, _stack, name, is_sick, _reason):
        assert is_sick
        if self.busy:
            self.busy -= 1
            raise ActionInProgress_Remote
        # Heat takes the name of a resource, or the id of what it stands for.
        found = [p for p, server in self.places.items() if name in (p, server)]
        if not found:
            raise ResourceNotFound_Remote
        self.marked.add(found[0])

    def update_stack(self, *_args):
        self.updates += 1
        for place in self.marked:
            self.places[place] = f'new{next(self.new)}'
        self.marked.clear()


@pytest.fixture
def heat(monkeypatch):
    made = Heat({'database': 'old-1', 'web': 'old-2'})
    get_status = types.SimpleNamespace(
        get_status=lambda *_args: ('UPDATE', 'COMPLETE', '', None)
    )  # fmt: skip
    monkeypatch.setattr(heat_servers.stack_object, 'Stack', get_status)
    made.policy = types.SimpleNamespace(
        context=None,
        rpc_client=lambda: made,
        stack=types.SimpleNamespace(id='stack', name='stack', identifier=dict),
    )
    return made


def place(name, server):
    return heat_servers.Protected(server, name, name, '', (('stack_id', 'stack'),), name)


def recreate(heat, *servers):
    heat_servers.recreate(heat.policy, servers, 'its host died', float('inf'))


def test_a_server_is_replaced(heat):
    recreate(heat, place('database', 'old-1'))
    assert heat.places == {'database': 'new1', 'web': 'old-2'}


def test_what_a_dead_engine_has_replaced_already_is_not_replaced_again(heat):
    heat.places['database'] = 'new-of-the-dead-engine'
    recreate(heat, place('database', 'old-1'), place('web', 'old-2'))
    assert heat.places == {'database': 'new-of-the-dead-engine', 'web': 'new1'}


def test_an_update_that_the_dead_engine_began_replaces_it_only_once(heat):
    # It marked one and died; the update that takes its lock away replaces the server.
    heat.marked.add('database')
    heat.busy = 1
    recreate(heat, place('database', 'old-1'))
    assert heat.places['database'] == 'new1'


def test_what_heat_refuses_is_told_with_a_way_out(heat):
    def refuse(*_args):
        raise ValueError('no')

    heat.resource_mark_unhealthy = refuse
    with pytest.raises(exceptions.Stopped, match='Signal again'):
        recreate(heat, place('database', 'old-1'))
