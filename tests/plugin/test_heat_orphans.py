# SPDX-License-Identifier: Apache-2.0
"""What was made for a resource that Heat knows nothing of: which rows, and what is asked."""

import itertools
import types

import pytest

from heat_ha import exceptions
from heat_ha.cloud import heat_orphans

ACTIONS = ('INIT', 'CREATE', 'UPDATE', 'DELETE', 'CHECK')
STATUSES = ('IN_PROGRESS', 'FAILED', 'COMPLETE')
UUID = '3f0f1e1c-7a39-4a55-9d0e-5f3f3a1f0d11'


def row(action='CREATE', status='FAILED', physical=None, engine=None):
    return types.SimpleNamespace(
        id=7,
        uuid=UUID,
        name='db',
        stack_id='nested',
        action=action,
        status=status,
        physical_resource_id=physical,
        engine_id=engine,
        atomic_key=3,
    )


def test_only_a_creation_without_an_id_that_no_living_engine_holds_may_be_orphaned():
    lost_ones = set()
    for action, status, physical, engine in itertools.product(
        ACTIONS, STATUSES, (None, 'an-id'), (None, 'living', 'dead')
    ):
        if heat_orphans.may_be_orphaned(
            row(action, status, physical, engine), {'living'}.__contains__
        ):
            lost_ones.add((action, status, physical, engine))
    assert lost_ones == {
        ('CREATE', 'FAILED', None, None),
        ('CREATE', 'FAILED', None, 'dead'),
        ('CREATE', 'IN_PROGRESS', None, 'dead'),
    }


@pytest.fixture
def rows(monkeypatch):
    """A stack with one lost row; what is written to it."""
    written = []

    def write(_context, row_id, values, *, expected_engine_id, atomic_key):
        written.append((row_id, values, expected_engine_id, atomic_key))
        return True

    monkeypatch.setattr(heat_orphans.heat_db, 'below', lambda _context, _stack: iter([row()]))
    monkeypatch.setattr(
        heat_orphans.stack_object.Stack, 'get_by_id', lambda *_a: types.SimpleNamespace(name='s')
    )
    monkeypatch.setattr(
        heat_orphans.stack_object.Stack, 'get_by_name_and_owner_id', lambda *_a: None
    )
    monkeypatch.setattr(heat_orphans.resource_object.Resource, 'select_and_update_by_id', write)
    monkeypatch.setattr(heat_orphans._asked.retry, 'sleep', lambda _seconds: None)
    return written


def adopt():
    return heat_orphans.adopt(types.SimpleNamespace(clients=None), 'nested', lambda _engine: False)


def test_what_is_found_under_the_name_is_written_where_heat_would_have(rows, monkeypatch):
    asked = []

    def find(_clients, name):
        asked.append(name)
        return ['the-server']

    monkeypatch.setattr(heat_orphans, 'FINDERS', (find,))
    assert adopt() == ('the-server',)
    assert rows == [(7, {'physical_resource_id': 'the-server'}, None, 3)]
    assert asked[0].startswith('s-db-')


def test_a_stack_that_was_made_for_it_is_found_in_heat_and_nobody_else_is_asked(rows, monkeypatch):
    asked = []

    def get(_context, name, owner):
        asked.append((name, owner))
        return types.SimpleNamespace(id='the-stack')

    monkeypatch.setattr(heat_orphans.stack_object.Stack, 'get_by_name_and_owner_id', get)
    monkeypatch.setattr(heat_orphans, 'FINDERS', ())
    assert adopt() == ('the-stack',)
    assert rows == [(7, {'physical_resource_id': 'the-stack'}, None, 3)]
    ((name, owner),) = asked
    assert name.startswith('s-db-') and owner == 'nested'


@pytest.mark.parametrize('failures', range(heat_orphans.TRIES + 2))
def test_who_does_not_answer_is_asked_again_and_never_taken_for_nothing(
    rows, monkeypatch, failures
):
    left = [failures]

    def find(_clients, _name):
        if left[0]:
            left[0] -= 1
            raise OSError('no route')
        return []

    monkeypatch.setattr(heat_orphans, 'FINDERS', (find,))
    if failures >= heat_orphans.TRIES:
        with pytest.raises(exceptions.CouldNotAsk, match='no route'):
            adopt()
    else:
        assert adopt() == ()
    assert rows == []


@pytest.mark.parametrize('find', [heat_orphans._volumes, heat_orphans._ports])
def test_a_service_that_the_cloud_does_not_have_has_made_nothing(find):
    plugin = types.SimpleNamespace(does_endpoint_exist=lambda *_a: False)
    assert find(types.SimpleNamespace(client_plugin=lambda _name: plugin), 's-db-x') == []
