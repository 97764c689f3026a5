# SPDX-License-Identifier: Apache-2.0
"""Send the agent what Nova and monitors send: ``python -m bench.sender bus|web …``.

A program of its own, so that several run at once. It prints what it has sent as JSON.
"""

import argparse
import concurrent.futures
import datetime
import http.client
import json
import socket
import sys
import time
import urllib.parse
import uuid
from typing import Any

import amqp

# One of so many notifications matters.
MATTERS = 100
EXCHANGE, ROUTING_KEY = 'nova', 'versioned_notifications.info'

# What a server's update carries is about as long.
FILLING = {f'field_{index}': 'x' * 40 for index in range(30)}


def _notification(event_type: str, payload: Any) -> str:
    """The text of a notification, with marks for its own id and time."""
    message = {
        'message_id': '@ID@',
        'publisher_id': 'nova-compute:c1',
        'event_type': event_type,
        'priority': 'INFO',
        'payload': payload,
        'timestamp': '@TIME@',
        '_unique_id': '@ID@',
        '_context_request_id': 'req-1',
    }
    return json.dumps({'oslo.version': '2.0', 'oslo.message': json.dumps(message)})


def _of_server() -> str:
    data = {'nova_object.name': 'InstanceUpdatePayload', 'nova_object.data': FILLING}
    return _notification('instance.update', data)


def _of_service(host: str) -> str:
    data = {
        'nova_object.name': 'ServiceStatusPayload',
        'nova_object.data': {'binary': 'nova-compute', 'host': host, 'forced_down': False},
    }
    return _notification('service.update', data)


def to_bus(url: str, rate: float, seconds: float, hosts: list[str]) -> dict[str, Any]:
    """Publish at a rate, or as many as can be."""
    place = urllib.parse.urlsplit(url)
    connection = amqp.Connection(
        host=f'{place.hostname}:{place.port}',
        userid=place.username,
        password=place.password,
        virtual_host=place.path.lstrip('/'),
        # A broker that has more than it can take stops reading for a while; by default a second of
        # that ends the connection.
        socket_settings={socket.TCP_USER_TIMEOUT: 300_000},
    )
    connection.connect()
    channel = connection.channel()
    other = _of_server()
    matters = [_of_service(host) for host in hosts]
    sent = mattered = 0
    begin = time.monotonic()
    while (now := time.monotonic() - begin) < seconds:
        if sent >= now * rate:
            time.sleep(0.002)
            continue
        is_one = sent % MATTERS == 0
        text = matters[mattered % len(matters)] if is_one else other
        when = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
        body = text.replace('@ID@', uuid.uuid4().hex).replace('@TIME@', str(when))
        message = amqp.Message(
            body, content_type='application/json', content_encoding='utf-8', delivery_mode=1
        )
        channel.basic_publish(message, exchange=EXCHANGE, routing_key=ROUTING_KEY)
        sent += 1
        mattered += is_one
    took = time.monotonic() - begin
    connection.close()
    return {'sent': sent, 'matter': mattered, 'seconds': took}


def to_web(port: int, token: str, threads: int, seconds: float, hosts: list[str]) -> dict[str, Any]:
    """Post one report after the other in some threads."""
    deadline = time.monotonic() + seconds
    begin = time.monotonic()

    def post(_number: int) -> list[tuple[float, int]]:
        found = []
        while time.monotonic() < deadline:
            is_one = len(found) % MATTERS == 0
            host = hosts[len(found) % len(hosts)] if is_one else f'unknown-{len(found)}'
            body = json.dumps({'host': host, 'state': 'up', 'reason': 'all is well'})
            asked = time.perf_counter()
            connection = http.client.HTTPConnection('127.0.0.1', port, timeout=30)
            headers = {'Authorization': f'Bearer {token}'}
            connection.request('POST', '/v1/reports', body, headers)
            status = connection.getresponse().status
            connection.close()
            found.append((time.perf_counter() - asked, status))
        return found

    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        found = [one for part in pool.map(post, range(threads)) for one in part]
    took = time.monotonic() - begin
    times = sorted(seconds for seconds, _status in found)
    return {
        'sent': len(found),
        # One that is about an unknown host is refused, after it was read.
        'accepted': sum(status in (202, 400) for _seconds, status in found),
        'seconds': took,
        'p50_ms': 1000 * times[len(times) // 2],
        'p99_ms': 1000 * times[len(times) * 99 // 100],
    }


def main() -> int:
    """Send, and print the figures as JSON."""
    parser = argparse.ArgumentParser(prog='python -m bench.sender', description=__doc__)
    parser.add_argument('kind', choices=['bus', 'web'])
    parser.add_argument('where', help="the bus' URL, or the agent's port")
    parser.add_argument('--rate', type=float, default=1000.0)
    parser.add_argument('--seconds', type=float, default=10.0)
    parser.add_argument('--threads', type=int, default=4)
    parser.add_argument('--token', default='')
    parser.add_argument('--hosts', default='c1,c2,c3')
    options = parser.parse_args()
    hosts = options.hosts.split(',')
    if options.kind == 'bus':
        figures = to_bus(options.where, options.rate, options.seconds, hosts)
    else:
        figures = to_web(int(options.where), options.token, options.threads, options.seconds, hosts)
    print(json.dumps(figures))
    return 0


if __name__ == '__main__':
    sys.exit(main())
