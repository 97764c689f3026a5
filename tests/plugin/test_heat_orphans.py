# SPDX-License-Identifier: Apache-2.0
"""What was made for a resource that Heat knows nothing of: which rows, and what is asked."""

import dataclasses
import datetime
import itertools
import types

import pytest

from heat_ha import exceptions
from heat_ha.cloud import heat_orphans

ACTIONS = ('INIT', 'CREATE', 'UPDATE', 'DELETE', 'CHECK')
STATUSES = ('IN_PROGRESS', 'FAILED', 'COMPLETE')
UUID = '3f0f1e1c-7a39-4a55-9d0e-5f3f3a1f0d11'


CREATED = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)


def made(name, seconds=1):
    """What Nova has, made so many seconds after the resource."""
    at = CREATED + datetime.timedelta(seconds=seconds)
    return heat_orphans.Made(name, at.replace(tzinfo=None).isoformat())


def row(action='CREATE', status='FAILED', physical=None, engine=None, properties=None):
    return types.SimpleNamespace(
        id=7,
        properties_data=properties,
        created_at=CREATED,
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
    monkeypatch.setattr(heat_orphans._answer.retry, 'sleep', lambda _seconds: None)
    return written


def adopt():
    return heat_orphans.adopt(types.SimpleNamespace(clients=None), 'nested', lambda _engine: False)


def test_what_is_found_under_the_name_is_written_where_heat_would_have(rows, monkeypatch):
    asked = []

    def find(_clients, name):
        asked.append(name)
        return [made('the-server')]

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


PORT, SERVER, OTHER = 'the-port', 'the-server', 'another-server'


@dataclasses.dataclass
class Named:
    """What there is under the name that a template gives, and what Heat knows."""

    name: str = 'm-abc123'
    kind: type = heat_orphans.server.Server
    made: tuple = (SERVER,)
    known: tuple = ()
    at_port: str = ''
    port_is_own: bool = True
    wants_port: bool = True
    seconds: float = 1
    sibling: tuple = ()


OWN_NAMES = {
    'with the name of its nested stack in it': (Named(), SERVER),
    'of another kind': (Named(kind=heat_orphans.stack_resource.StackResource), None),
    'of a resource that is not in the template any more': (Named(kind=type(None)), None),
    'not there': (Named(made=()), None),
    'a resource already': (Named(known=(SERVER,)), None),
    'a resource already, and one beside it': (Named(made=(OTHER, SERVER), known=(OTHER,)), SERVER),
    'that others may use': (Named('web'), None),
    'that others may use, with its port': (Named('web', at_port=SERVER), SERVER),
    'two, one of them with its port': (Named('web', made=(OTHER, SERVER), at_port=SERVER), SERVER),
    'another one has its port': (Named('web', at_port=OTHER), None),
    'with a port of others': (Named('web', at_port=SERVER, port_is_own=False), None),
    'with a port that it was not to have': (Named('web', at_port=SERVER, wants_port=False), None),
    'a resource already, with its port': (Named('web', known=(SERVER,), at_port=SERVER), None),
    'a volume': (Named(kind=heat_orphans.volume.CinderVolume), SERVER),
    'a volume that others may have named': (
        Named('data', kind=heat_orphans.volume.CinderVolume, wants_port=False),
        None,
    ),
    'a port': (Named(kind=heat_orphans.port.Port, wants_port=False), SERVER),
    'older than the resource': (Named(seconds=-60), None),
    'older by what clocks are apart': (Named(seconds=-10), SERVER),
    'one that another resource may just get': (Named(sibling=('IN_PROGRESS', None)), None),
    'one that another resource did not get': (Named(sibling=('FAILED', None)), SERVER),
    'beside that of another resource': (Named(sibling=('COMPLETE', OTHER)), SERVER),
    'nothing': (Named(name=''), None),
    'no text': (Named(name=7), None),
}


@pytest.mark.parametrize('case', OWN_NAMES)
def test_under_a_name_of_the_template_only_what_was_surely_made_for_it_is_taken(
    rows, monkeypatch, case
):
    world, expected = OWN_NAMES[case]
    networks = [{'port': PORT}] if world.wants_port else [{'network': 'n'}]
    lost = row(properties={'name': world.name, 'networks': networks})
    resource = object.__new__(world.kind) if world.kind is not type(None) else None
    siblings = [types.SimpleNamespace(id=8, physical_resource_id=PORT, status='COMPLETE')]
    siblings = siblings if world.port_is_own else []
    if world.sibling:
        status, physical = world.sibling
        other = row(status=status, physical=physical, properties={'name': world.name})
        other.id = 9
        siblings.append(other)

    def find(_clients, name):
        return [made(one, world.seconds) for one in world.made if name == world.name]

    def at(_clients, ports):
        return {world.at_port} if PORT in ports else set()

    monkeypatch.setattr(heat_orphans.heat_db, 'below', lambda *_a: iter([lost]))
    monkeypatch.setattr(
        heat_orphans.stack_object.Stack,
        'get_by_id',
        lambda *_a: types.SimpleNamespace(name='m-abc123'),
    )
    monkeypatch.setattr(heat_orphans.heat_stack.Stack, 'load', lambda *_a, **_k: {'db': resource})
    monkeypatch.setattr(
        heat_orphans.resource_object.Resource,
        'get_all_active_by_stack',
        lambda *_a: dict(enumerate([lost, *siblings])),
    )
    monkeypatch.setattr(
        heat_orphans.db_api,
        'resource_get_by_physical_resource_id',
        lambda _context, one: object() if one in world.known else None,
    )
    monkeypatch.setattr(heat_orphans, 'FINDERS', ())
    monkeypatch.setattr(heat_orphans, 'FINDER_OF', dict.fromkeys(heat_orphans.FINDER_OF, find))
    monkeypatch.setattr(heat_orphans, '_servers_at', at)
    assert adopt() == ((expected,) if expected else ())
    assert [values for _id, values, _e, _k in rows] == [
        {'physical_resource_id': one} for one in (expected,) if one
    ]


def test_a_resource_that_is_not_read_is_not_taken_for_one_without_anything(rows, monkeypatch):
    lost = row(properties={'name': 'm-s'})
    monkeypatch.setattr(heat_orphans.heat_db, 'below', lambda *_a: iter([lost]))
    monkeypatch.setattr(
        heat_orphans.resource_object.Resource, 'get_all_active_by_stack', lambda *_a: {}
    )
    monkeypatch.setattr(heat_orphans, 'FINDERS', ())
    failures = [heat_orphans.heat_exception.NotFound(), OSError('the database is away')]

    def load(*_a, **_k):
        raise failures.pop(0)

    monkeypatch.setattr(heat_orphans.heat_stack.Stack, 'load', load)
    assert adopt() == (), 'its stack is gone'
    with pytest.raises(exceptions.CouldNotAsk, match='database is away'):
        adopt()
    assert rows == []


@pytest.mark.parametrize('service', ['nova', 'cinder', 'neutron'])
def test_only_what_has_the_very_name_is_found(service):
    """Cinder may ignore a filter, Nova's is a pattern, and databases ignore the case."""

    def entry(name):
        fields = {'id': f'id-{name}', 'name': name, 'created': '', 'created_at': ''}
        return fields if service == 'neutron' else types.SimpleNamespace(**fields)

    found = [entry(name) for name in ('web', 'WEB', 'web-1')]
    manager = types.SimpleNamespace(list=lambda **_k: found)
    client = types.SimpleNamespace(
        servers=manager, volumes=manager, list_ports=lambda **_k: {'ports': found}
    )
    plugin = types.SimpleNamespace(does_endpoint_exist=lambda *_a: True)
    clients = types.SimpleNamespace(client=lambda _n: client, client_plugin=lambda _n: plugin)
    find = dict(zip(('nova', 'cinder', 'neutron'), heat_orphans.FINDERS, strict=True))[service]
    assert [one.id for one in find(clients, 'web')] == ['id-web']
