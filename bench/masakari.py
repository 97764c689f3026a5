# SPDX-License-Identifier: Apache-2.0
"""Masakari on the lab: its own API and engine, on the lab's Nova, for the time of a benchmark.

Its packages are in an environment of their own and its database is made again for each benchmark.
Its processes are started and ended like the lab's own, through what is recorded of them. All of
its settings are its defaults but for the logins, the addresses, and what the caller asks for.
"""

import contextlib
import datetime
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import requests

from lab import beside, broker, database, layout, ports, processes, regions, service
from lab.client import access, waiting

# The addresses of the lab's block behind those of its regions.
PORT_OFFSET = 60
SERVICES = ('masakari-api', 'masakari-engine')
FOLDER = layout.LAB / 'masakari'
CONSTRAINTS = layout.SOURCES / 'masakari_constraints.txt'

# With which its API shows hosts and notifications as its own client does.
HEADERS = {'OpenStack-API-Version': 'instance-ha 1.3'}

# What smallest waits Masakari allows: after disabling the service of the failed host, and
# (at random, at most so many seconds) before a notification is taken.
NO_WAITS = {'wait_period_after_service_update': 0, 'notification_delay_max': 0}

_CONFIG = """\
[DEFAULT]
use_stderr = true
transport_url = {bus}
masakari_api_listen = 127.0.0.1
masakari_api_listen_port = {port}
masakari_api_workers = 1
state_path = {folder}
os_region_name = {region}
os_privileged_user_name = admin
os_privileged_user_password = {password}
os_privileged_user_tenant = admin
os_privileged_user_auth_url = {auth_url}
{own}
[wsgi]
api_paste_config = {folder}/venv/etc/masakari/api-paste.ini

[database]
connection = {database}

[taskflow]
connection = {database}

[oslo_concurrency]
lock_path = {folder}/locks

[keystone_authtoken]
auth_type = password
auth_url = {auth_url}
username = admin
password = {password}
project_name = admin
user_domain_name = Default
project_domain_name = Default
"""


def install(say: Callable[[str], None]) -> None:
    """Make its environment, once."""
    say('installing Masakari in an environment of its own')
    beside.install(FOLDER, CONSTRAINTS, 'masakari', 'pymysql')


@contextlib.contextmanager
def database_made() -> Iterator[None]:
    """A database for Masakari alone, which goes with the body."""
    database.recreate('masakari')
    try:
        # The tables of its workflows go where its settings say, so those come first.
        _configure({})
        beside.run(_program('masakari-manage'), *_FILE, 'db', 'sync')
        yield
    finally:
        database.query('DROP DATABASE IF EXISTS masakari')


class Masakari:
    """A Masakari that runs, as an operator's monitors see it.

    :param cloud: a connection as an administrator.
    """

    def __init__(self, cloud: Any) -> None:
        self._cloud = cloud
        self._url = f'http://127.0.0.1:{_port()}/v1'
        self._segment = ''
        self._hosts: dict[str, str] = {}

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        token = self._cloud.session.get_token()
        answer = requests.request(
            method, self._url + path, json=body, timeout=60,
            headers={'X-Auth-Token': token, **HEADERS},
        )  # fmt: skip
        assert answer.ok, f'Masakari: {answer.status_code} {answer.text[:500]}'
        return answer.json() if answer.content else None

    def answers(self) -> bool:
        """Whether its API works."""
        try:
            self._ask('GET', '/segments')
        except (requests.RequestException, AssertionError):
            return False
        return True

    def know(self, hosts: list[str]) -> None:
        """Register the hosts in one segment, each fit for work, whatever was before."""
        found = [s for s in self._ask('GET', '/segments')['segments'] if s['name'] == 'lab']
        if not found:
            body = {'name': 'lab', 'recovery_method': 'auto', 'service_type': 'COMPUTE'}
            found = [self._ask('POST', '/segments', {'segment': body})['segment']]
        self._segment = f'/segments/{found[0]["uuid"]}/hosts'
        self._hosts = {h['name']: h['uuid'] for h in self._ask('GET', self._segment)['hosts']}
        for name in hosts:
            if name not in self._hosts:
                body = {'name': name, 'type': 'COMPUTE', 'control_attributes': 'SSH'}
                made = self._ask('POST', self._segment, {'host': body})
                self._hosts[name] = made['host']['uuid']

    def report(self, host: str) -> str:
        """Say that a host has stopped, as its host monitor does. :returns: the report's id."""
        payload = {'event': 'STOPPED', 'host_status': 'NORMAL', 'cluster_status': 'OFFLINE'}
        return self._notify('COMPUTE_HOST', host, payload)

    def report_guest(self, host: str, server: str) -> str:
        """Say that a guest has crashed, as its instance monitor does. :returns: the report's id."""
        payload = {
            'event': 'LIFECYCLE', 'instance_uuid': server, 'vir_domain_event': 'STOPPED_FAILED',
        }  # fmt: skip
        return self._notify('VM', host, payload)

    def _notify(self, kind: str, host: str, payload: Mapping[str, str]) -> str:
        body = {
            'type': kind,
            'hostname': host,
            'generated_time': datetime.datetime.now(datetime.UTC).strftime('%Y-%m-%dT%H:%M:%S'),
            'payload': payload,
        }
        made = self._ask('POST', '/notifications', {'notification': body})
        return str(made['notification']['notification_uuid'])

    def is_over(self, report: str) -> bool:
        """Whether it has done what it does about a report. :raises AssertionError: it failed."""
        found = self._ask('GET', f'/notifications/{report}')['notification']
        assert found['status'] in ('new', 'running', 'finished'), f'Masakari: {found}'
        return bool(found['status'] == 'finished')

    def take_back(self, host: str) -> None:
        """Let it look after a host again that it took out of work."""
        self._ask(
            'PUT', f'{self._segment}/{self._hosts[host]}', {'host': {'on_maintenance': False}}
        )


@contextlib.contextmanager
def running(cloud: Any, own: Mapping[str, Any]) -> Iterator[Masakari]:
    """Run its API and its engine for the body.

    :param own: settings that are to differ from its defaults.
    """
    _configure(own)
    environment = service.base_environment()
    environment['PATH'] = f'{FOLDER}/venv/bin:{environment["PATH"]}'
    try:
        for name in SERVICES:
            processes.start(name, (str(_program(name)), *map(str, _FILE)), environment)
        made = Masakari(cloud)
        waiting.until(made.answers, f'Masakari answers: {layout.log_of(SERVICES[0])}', every=0.5)
        waiting.until(_engine_listens, f'its engine works: {layout.log_of(SERVICES[1])}', every=0.5)
        yield made
    finally:
        processes.stop(SERVICES, seconds=5)


_FILE = ('--config-file', FOLDER / 'masakari.conf')


def _engine_listens() -> bool:
    block = ports.from_environment()
    return broker.has_consumer(block.of('rabbitmq'), regions.ONE.key, 'ha_engine')


def _configure(own: Mapping[str, Any]) -> None:
    facts = access.environment()
    (FOLDER / 'masakari.conf').write_text(
        _CONFIG.format(
            bus=facts['bus'][regions.ONE.key],
            port=_port(),
            folder=FOLDER,
            region=regions.ONE.name,
            password=facts['password'],
            auth_url=facts['auth_url'],
            database=f'{facts["database"]["url"]}/masakari?charset=utf8mb3',
            own=''.join(f'{key} = {value}\n' for key, value in own.items()),
        )
    )


def _port() -> int:
    return ports.from_environment().base + PORT_OFFSET


def _program(name: str) -> Any:
    return FOLDER / 'venv' / 'bin' / name
