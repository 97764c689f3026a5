# SPDX-License-Identifier: Apache-2.0
"""What anybody may send: nothing of it crashes the agent, lets it act, or stays in its memory."""

import io
import os

import prometheus_client
import pytest

from heat_ha.agent import sources, web
from heat_ha.agent.model import Claimed
from lab.client import hostile
from tests.unit.agent.worlds import World, make, rounds, store  # noqa: F401

# `make thorough` sends as many to an agent that runs.
COUNT = int(os.environ.get('HEAT_HA_MESSAGES', '1000'))
HOSTS = ('c1', 'c2', 'c3')
TOKEN = 'a-token-with-enough-signs'


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
        lambda _sender, told: agent.report('webhook', told),
        prometheus_client.CollectorRegistry(),
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
    # Two senders, three hosts.
    assert len(agent._reports) <= 6


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
