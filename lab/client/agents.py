# SPDX-License-Identifier: Apache-2.0
"""Agents on the lab: programs of their own, with the engines' configuration."""

import contextlib
import datetime
import json
import os
import pathlib
import signal
import subprocess
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import amqp
import yaml

from heat_ha.fencing import driver
from lab.client import access, bmc, database, waiting

TOKEN = 'a-token-of-the-lab'

# Options of an agent that fences a host as soon as somebody who is certain reports it, and of one
# that fences none, because nobody confirms by the webhook what Nova shows.
BY_A_SENDER = {'sources': 'services_api,webhook', 'confirm': 'webhook', 'certain': 'webhook'}
FENCES_NO_HOST = {'sources': 'services_api,webhook', 'confirm': 'services_api+webhook'}


def clear() -> None:
    """Drop what earlier agents have put on record."""
    database.query('DROP TABLE IF EXISTS heat_one.heat_ha_agent')


class Agent:
    """One ``heat-ha-agent``; ``folder`` holds its files, ``options`` go into its group."""

    def __init__(
        self, folder: pathlib.Path, name: str = 'agent-1', options: Mapping[str, Any] = {}
    ) -> None:
        self.name = name
        self.port = int(options.get('port') or bmc.free_port())
        self.log = folder / f'{name}.log'
        self._process: subprocess.Popen[bytes] | None = None
        tokens = folder / 'tokens'
        tokens.write_text(f'pacemaker:{TOKEN}\n')
        wanted = {
            'name': name,
            'port': self.port,
            'coordination_url': f'file://{folder}/locks',
            'tokens_file': tokens,
            'poll_interval': 1,
            'settle': 2,
            **options,
        }
        config = folder / f'{name}.conf'
        config.write_text(
            '[heat_ha_agent]\n' + ''.join(f'{key} = {value}\n' for key, value in wanted.items())
        )
        etc = pathlib.Path(access.environment()['etc']) / 'one' / 'heat'
        program = pathlib.Path(access.environment()['venv']) / 'bin' / 'heat-ha-agent'
        files = etc / 'heat.conf', etc / 'heat_ha.conf', config
        self._command = [program, *(part for f in files for part in ('--config-file', f))]

    def start(self) -> 'Agent':
        """Start it, and wait until it has looked around."""
        with open(self.log, 'a') as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, start_new_session=True
            )
        waiting.until(self._works, f'{self.name} works: {self.log}', seconds=60)
        return self

    def _works(self) -> bool:
        assert self._process is not None and self._process.poll() is None, self.log.read_text()
        try:
            return self.metric('heat_ha_agent_round_seconds_count') > 0
        except OSError:
            return False

    def metric(self, line: str) -> float:
        """One figure of its metrics, 0 when it is not there."""
        with urllib.request.urlopen(f'http://127.0.0.1:{self.port}/metrics', timeout=5) as answer:
            for text in answer.read().decode().splitlines():
                name, _, value = text.rpartition(' ')
                if name == line:
                    return float(value)
        return 0.0

    def buckets(self, name: str) -> dict[float, float]:
        """A histogram of its metrics: by upper bound, how many values are below it."""
        with urllib.request.urlopen(f'http://127.0.0.1:{self.port}/metrics', timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        start = f'{name}_bucket{{le="'
        return {
            float(line.removeprefix(start).partition('"')[0]): float(line.rpartition(' ')[2])
            for line in lines
            if line.startswith(start)
        }

    @property
    def pid(self) -> int:
        """The process that runs."""
        assert self._process is not None
        return self._process.pid

    def report(self, body: Any, token: str = TOKEN) -> int:
        """Post to the webhook. :returns: the status."""
        request = urllib.request.Request(
            f'http://127.0.0.1:{self.port}/v1/reports',
            data=body if isinstance(body, bytes) else json.dumps(body).encode(),
            headers={'Authorization': f'Bearer {token}'},
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as exc:
            return exc.code

    def by_hand(self, *words: str) -> str:
        """What the program says to a verb."""
        done = subprocess.run([*self._command, *words], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    def decisions(self) -> list[str]:
        """The lines of its log about decisions."""
        return [line for line in self.log.read_text().splitlines() if ' host=' in line]

    @property
    def is_running(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and self._process.poll() is None

    def last(self, host: str, text: str) -> str:
        """The last line of its log about a host with this text, '' when there is none."""
        found = [line for line in self.decisions() if f'host={host} ' in line and text in line]
        return found[-1] if found else ''

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def stop(self) -> None:
        """End it in order."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.kill()


@contextlib.contextmanager
def running(
    folder: pathlib.Path, options: Mapping[str, Any], name: str = 'agent-1'
) -> Iterator[Agent]:
    """One agent that runs during the body; ``folder`` keeps its log."""
    one = Agent(folder, name, options)
    try:
        yield one.start()
    finally:
        one.stop()


def notify(host: str, is_forced_down: bool, age: float = 0.0, times: int = 1) -> None:
    """Notify the agents, as Nova does, that somebody has set or cleared ``forced_down``.

    :param age: seconds since which the notification has been on its way.
    """
    sent = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=age)
    data = {'binary': 'nova-compute', 'host': host, 'forced_down': is_forced_down}
    message = {
        'message_id': uuid.uuid4().hex,
        'publisher_id': 'nova-api:lab',
        'event_type': 'service.update',
        'priority': 'INFO',
        'payload': {'nova_object.name': 'ServiceStatusPayload', 'nova_object.data': data},
        'timestamp': str(sent.replace(tzinfo=None)),
    }
    body = json.dumps({'oslo.version': '2.0', 'oslo.message': json.dumps(message)})
    place = urllib.parse.urlsplit(access.environment()['bus']['one'])
    connection = amqp.Connection(
        host=f'{place.hostname}:{place.port}',
        userid=place.username,
        password=place.password,
        virtual_host=place.path.lstrip('/'),
    )
    connection.connect()
    with contextlib.closing(connection):
        for _time in range(times):
            connection.channel().basic_publish(
                amqp.Message(body, content_type='application/json', content_encoding='utf-8'),
                exchange='nova',
                routing_key='versioned_notifications.info',
            )


def incidents() -> dict[str, dict[str, Any]]:
    """What the agents have on record about hosts."""
    rows = database.query("SELECT name, value FROM heat_one.heat_ha_agent WHERE kind = 'incident'")
    return {name: json.loads(value) for name, value in rows}


def phase(host: str) -> str:
    """How far the agents are with a host, '' when nothing is on record."""
    return str(incidents().get(host, {}).get('phase', ''))


def is_done(host: str) -> bool:
    """Whether the agents are done with a host that failed."""
    return phase(host) == 'done'


def is_off(fencing: pathlib.Path, host: str) -> bool:
    """Whether the power control that a fencing file names says that the host is off."""
    settings = yaml.safe_load(fencing.read_text())['hosts'][host]
    return driver.load(host, settings).power()[0] is driver.Power.OFF


@contextlib.contextmanager
def fencing_file(folder: pathlib.Path, hosts: Sequence[str]) -> Iterator[pathlib.Path]:
    """A Redfish emulator for the hosts, and the fencing file that says so."""
    with bmc.redfish(folder, hosts) as address:
        path = folder / 'fencing.yaml'
        path.write_text(
            yaml.safe_dump({'hosts': {h: bmc.redfish_settings(address, h) for h in hosts}})
        )
        yield path
