# SPDX-License-Identifier: Apache-2.0
"""What anybody may send: nothing of it crashes the agent, lets it act, or stays in its memory."""

import io
import json
import os

import prometheus_client
import pytest

from heat_ha.agent import reception, report_table, sources, web
from heat_ha.agent.model import Claimed
from heat_ha.agent.rules.sender_settings import SenderSettings
from lab.client import hostile
from tests.unit import sender_bodies
from tests.unit.agent import host_bodies
from tests.unit.agent.worlds import World, make, rounds, store  # noqa: F401

# `make thorough` sends as many to an agent that runs.
COUNT = int(os.environ.get('HEAT_HA_MESSAGES', '1000'))
HOSTS = ('c1', 'c2', 'c3')
TOKEN = 'a-token-with-enough-signs'
DECLARED = SenderSettings(down_alerts=({'alertname': 'HostDown'},))

# What each sender may post that means no death. Of all words that are put into their places, none
# is the one that is missing to a death.
HARMLESS = [
    sender_bodies.alertmanager(sender_bodies.alert('firing', host='c1')),
    sender_bodies.alertmanager(
        sender_bodies.alert('firing', alertname='NovaComputeDown', hostname='c2'),
        sender_bodies.alert('resolved', host='c2'),
    ),
    sender_bodies.grafana(sender_bodies.alert('firing', alertname='DatasourceNoData', host='c1')),
    host_bodies.masakari_host('STOPPED', 'OFFLINE', 'UNKNOWN'),
    host_bodies.masakari_host('STOPPED', 'ONLINE', 'NORMAL'),
    host_bodies.masakari_host('STARTED', 'ONLINE', 'NORMAL'),
    host_bodies.masakari('PROCESS', event='STOPPED', process_name='nova-compute'),
    host_bodies.masakari('VM', event='LIFECYCLE', instance_uuid='i', vir_domain_event='STOPPED'),
    [sender_bodies.check('critical', 'c1', '_node_maintenance')],
    sender_bodies.consul(sender_bodies.check('passing', 'c1')),
    sender_bodies.pacemaker('lost'),
    host_bodies.fencing('off', rc='-62'),
    host_bodies.fencing('on'),
]
# These are one word away from a death, so they are not changed.
AS_IT_IS = [
    sender_bodies.alertmanager(
        sender_bodies.alert('firing', alertname='HostDown', instance='c1:9100'),
        sender_bodies.alert('resolved', alertname='HostDown', host='c2'),
    ),
    host_bodies.nova(False),
    host_bodies.nova(True, binary='nova-conductor'),
    {'host': 'c1', 'state': 'up'},
    {'host': 'c9', 'state': 'down'},
]


class Incoming:
    def __init__(self, message):
        self.message = message


@pytest.mark.parametrize('seed', [1, 2])
def test_hostile_messages_do_nothing(store, seed):  # noqa: F811
    world = World()
    agent = make(world, store)
    rounds(agent, world, 1)
    source = hostile.Source(seed, HOSTS)
    listener = sources.NovaNotifications(agent.report)
    reader = sources._Reader(listener.read)
    application = web.Application(
        {'monitor': TOKEN},
        reception.Reception(lambda one: agent.take('webhook', one), {'monitor': DECLARED}),
        prometheus_client.CollectorRegistry(),
        web.Desk(lambda: '', dict),
    )
    statuses = set()
    for number in range(COUNT):
        reader.dispatch([Incoming(source.notification())])
        body = source.body()
        environ = {
            'REQUEST_METHOD': 'POST', 'PATH_INFO': '/v1/reports',
            'CONTENT_LENGTH': str(len(body)), 'wsgi.input': io.BytesIO(body),
            'HTTP_AUTHORIZATION': f'Bearer {TOKEN}',
        }  # fmt: skip
        application(environ, lambda status, _headers: statuses.add(status[:3]))
        if number % 500 == 0:
            rounds(agent, world, 1)
    assert statuses <= {'202', '400', '413'} and {'202', '400'} <= statuses
    rounds(agent, world, 3)
    assert world.done == [] and not store.all('incident')
    # Three hosts: Nova's notifications, and what the monitor says of so many things.
    assert len(agent._reports) <= 3 * (1 + report_table.MAX_THINGS)


def mangled(source, value):
    """The same body with something missing, replaced or added at any depth."""
    if isinstance(value, dict):
        return {
            key: mangled(source, inner) for key, inner in source._mangled(value or {'x': 0}).items()
        }
    if isinstance(value, list):
        return [mangled(source, inner) for inner in value]
    return value


def test_20000_bodies_that_mean_no_death_report_none(store):  # noqa: F811
    world = World()
    agent = make(world, store, confirm=('webhook',), certain=('webhook',))
    rounds(agent, world, 1)
    taken = []

    def take(one):
        arrival = agent.take('webhook', one)
        taken.append(one.claimed)
        return arrival

    received = reception.Reception(take, {'monitor': DECLARED})
    source = hostile.Source(11, HOSTS)
    statuses = set()
    whole = HARMLESS + AS_IT_IS
    for number in range(20_000):
        is_whole = number < len(whole)
        body = whole[number] if is_whole else mangled(source, HARMLESS[number % len(HARMLESS)])
        statuses.add(received.post('monitor', json.dumps(body).encode()).status.value)
    assert statuses == {202, 400}
    assert Claimed.DOWN not in taken and {Claimed.UP, Claimed.RESOLVED} <= set(taken)
    rounds(agent, world, 3)
    assert world.done == [] and not store.all('incident')
    assert len(agent._reports) <= 3 * report_table.MAX_THINGS


def test_one_malformed_notification_does_not_take_the_others_along():
    heard = []
    listener = sources.NovaNotifications(lambda _source, told: heard.append(told))
    data = {'binary': 'nova-compute', 'host': 'c1', 'forced_down': True}
    good = {'event_type': 'service.update', 'payload': {'nova_object.data': data}}
    bad = [None, [], 'text', {'event_type': ['x']}, {'payload': 3}]
    reader = sources._Reader(listener.read)
    assert reader.dispatch([Incoming(m) for m in (*bad, good, *bad)]) == set()
    assert [(t.host, t.claimed) for t in heard] == [('c1', Claimed.DOWN)]


@pytest.mark.parametrize(
    ('timestamp', 'is_heard'),
    [('2020-01-01 00:00:00.1', False), ('9999-12-31 23:59:59', True), ('soon', True), (7, True)],
)
def test_what_the_broker_kept_for_long_is_not_news(timestamp, is_heard):
    heard = []
    listener = sources.NovaNotifications(lambda _source, told: heard.append(told))
    listener._valid = 300.0
    data = {'binary': 'nova-compute', 'host': 'c1', 'forced_down': True}
    message = {'event_type': 'service.update', 'payload': {'nova_object.data': data}}
    listener.read(message | {'timestamp': timestamp})
    assert bool(heard) is is_heard
