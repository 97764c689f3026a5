# SPDX-License-Identifier: Apache-2.0
"""An agent that runs gets 20,000 messages that nobody should send, by the bus and by HTTP."""

import http.client
import json
import os
import pathlib
import socket
import time
import urllib.parse

import amqp
import pytest

from lab.client import access, agents, hostile, hosts, waiting

COUNT = int(os.environ.get('HEAT_HA_MESSAGES', '20000'))
HOSTS = ('c1', 'c2', 'c3')

HEARD = 'heat_ha_agent_reports_total{says="down",source="nova_notifications"}'

# So much more memory at most than after the first tenth.
GROWTH = 1.1


def to_bus():
    """A channel to the bus of region one, past all libraries that would refuse bad messages."""
    url = urllib.parse.urlsplit(access.environment()['bus']['one'])
    connection = amqp.Connection(
        host=f'{url.hostname}:{url.port}', userid=url.username, password=url.password,
        virtual_host=url.path.lstrip('/'), socket_settings={socket.TCP_USER_TIMEOUT: 60_000},
    )  # fmt: skip
    connection.connect()
    return connection, connection.channel()


def publish(channel, message, number):
    if number % 50 == 0:
        body = message if isinstance(message, str) else '{"oslo.version": '
    else:
        body = json.dumps({'oslo.version': '2.0', 'oslo.message': json.dumps(message)})
    channel.basic_publish(
        amqp.Message(
            # Half a character is no UTF-8, and some send it.
            body.encode('utf-8', 'surrogatepass'),
            content_type='application/json',
            content_encoding='utf-8',
            delivery_mode=1,
        ),
        exchange='nova',
        routing_key='versioned_notifications.info',
    )


def post(port, body):
    connection = http.client.HTTPConnection('127.0.0.1', port, timeout=30)
    connection.request('POST', '/v1/reports', body, {'Authorization': f'Bearer {agents.TOKEN}'})
    status = connection.getresponse().status
    connection.close()
    return status


def resident(pid):
    return int(pathlib.Path(f'/proc/{pid}/statm').read_text().split()[1])


@pytest.mark.thorough
def test_20000_hostile_messages_do_nothing(tmp_path, admin):
    agents.clear()
    agent = agents.Agent(
        tmp_path,
        'agent-1',
        {'sources': 'services_api,nova_notifications,webhook', 'confirm': 'services_api+webhook'},
    )
    source = hostile.Source(7, HOSTS)
    statuses = {}
    agent.start()
    try:
        connection, channel = to_bus()
        for number in range(COUNT // 2):
            publish(channel, source.notification(), number)
            status = post(agent.port, source.body())
            statuses[status] = statuses.get(status, 0) + 1
            if number == COUNT // 20:
                early = resident(agent.pid)
        connection.close()
        heard = None
        while heard != (heard := agent.metric(HEARD)):
            # Nothing shows when the last one was read: longer than a batch takes.
            time.sleep(3)
        assert heard > 0
        assert set(statuses) <= {202, 400, 413} and statuses[400] > COUNT // 10, statuses
        assert resident(agent.pid) < early * GROWTH
        # It still looks around, and has begun nothing.
        rounds = agent.metric('heat_ha_agent_round_seconds_count')
        waiting.until(
            lambda: agent.metric('heat_ha_agent_round_seconds_count') > rounds, 'another round'
        )
        assert not agents.incidents()
        for host in HOSTS:
            assert not hosts.service_of(admin, host)['forced_down'], host
    finally:
        agent.stop()
