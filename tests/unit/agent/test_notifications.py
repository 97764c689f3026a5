# SPDX-License-Identifier: Apache-2.0
"""What Masakari's monitors do: they find the service, and post by openstacksdk."""

import datetime

import openstack
import prometheus_client
import pytest
from keystoneauth1 import session, token_endpoint
from keystonemiddleware import fixture
from openstack import exceptions as sdk
from oslo_config import cfg

from heat_ha import exceptions
from heat_ha.agent import notifications, reception, report_table, web, web_server
from heat_ha.agent.adapters import keystone_tokens
from heat_ha.agent.model import Claimed
from heat_ha.agent.rules import host_names

ROLES = ['admin', 'service']
DEAD = {'event': 'STOPPED', 'cluster_status': 'OFFLINE', 'host_status': 'NORMAL'}
NOW = datetime.datetime(2026, 11, 1, 10, 0, 0, 5)


class Cloud:
    """The agent's address, and Keystone's tokens."""

    def __init__(self, folder):
        self.told = []
        self.hosts = ('c1',)
        conf = cfg.ConfigOpts()
        (folder / 'heat.conf').write_text(
            '[keystone_authtoken]\nwww_authenticate_uri = http://keystone.example\n'
        )
        conf(['--config-file', str(folder / 'heat.conf')])
        received = reception.Reception(self._take, {})
        notified = notifications.Notifications(
            received,
            lambda application: keystone_tokens.guard(application, conf),
            lambda environ: keystone_tokens.has_role(environ, ROLES),
        )
        application = web.Application(
            {}, received, prometheus_client.CollectorRegistry(), web.Desk(str, dict), {}, notified
        )
        self.server = web_server.Server(application, ['127.0.0.1:0'])
        self.server.start()
        self.tokens = fixture.AuthTokenFixture()
        self.tokens.setUp()

    def _take(self, one):
        self.told.append((one.sender, host_names.match(one.host, self.hosts), one.claimed))
        return report_table.Arrival.NEWS

    def monitor(self, token, path='/v1'):
        host, port = self.server.addresses[0]
        auth = token_endpoint.Token(f'http://{host}:{port}{path}', token)
        return openstack.connection.Connection(session=session.Session(auth=auth)).instance_ha

    def token(self, *roles):
        self.tokens.add_token_data('a-token', role_list=roles, user_name='masakari')
        return 'a-token'


@pytest.fixture
def cloud(tmp_path):
    made = Cloud(tmp_path)
    yield made
    made.tokens.cleanUp()
    made.server.shutdown()


def notify(monitor, kind='COMPUTE_HOST', host='c1', payload=DEAD):
    return monitor.create_notification(
        type=kind, hostname=host, generated_time=NOW, payload=payload
    )


# W5
@pytest.mark.parametrize('path', ['/v1', '/v1/', '/v1/5f7a0d2c9b1e4f3a'])
@pytest.mark.parametrize('role', ROLES)
def test_a_monitor_that_finds_the_agent_in_the_catalogue_tells_it_of_a_dead_host(cloud, path, role):
    found = notify(cloud.monitor(cloud.token('reader', role), path))
    assert cloud.told == [('masakari', 'c1', Claimed.DOWN)]
    assert (found.type, found.hostname, found.status) == ('COMPUTE_HOST', 'c1', 'new')
    assert found.notification_uuid


def test_what_means_no_death_is_ignored_and_not_sent_again(cloud):
    monitor = cloud.monitor(cloud.token('service'))
    assert notify(monitor, payload={**DEAD, 'host_status': 'UNKNOWN'}).status == 'ignored'
    process = {'event': 'STOPPED', 'process_name': 'nova-compute'}
    assert notify(monitor, 'PROCESS', payload=process).status == 'ignored'
    assert cloud.told == []


def test_a_host_that_nova_does_not_have_is_refused_by_its_name(cloud):
    with pytest.raises(sdk.BadRequestException, match="'c9' is not one of"):
        notify(cloud.monitor(cloud.token('service')), host='c9')


@pytest.mark.parametrize('roles', [(), ('member',), ('administrator',)])
def test_a_token_without_the_role_is_refused(cloud, roles):
    with pytest.raises(sdk.ForbiddenException, match='notifier_roles'):
        notify(cloud.monitor(cloud.token(*roles)))
    assert cloud.told == []


def test_without_a_valid_token_nothing_is_read(cloud):
    with pytest.raises(sdk.HttpException) as caught:
        notify(cloud.monitor('unknown'))
    assert caught.value.status_code == 401 and cloud.told == []


def test_headers_that_a_sender_makes_up_are_not_believed(cloud):
    monitor = cloud.monitor('unknown')
    headers = {'X-Identity-Status': 'Confirmed', 'X-Roles': 'admin'}
    answer = monitor.post('/notifications', json={'notification': {}}, headers=headers)
    assert answer.status_code == 401


def test_without_keystones_address_nothing_begins():
    conf = cfg.ConfigOpts()
    conf([])
    with pytest.raises(exceptions.Refused, match='www_authenticate_uri'):
        keystone_tokens.guard(lambda environ, start: [], conf)


NO_NOTIFICATION = [
    {},
    [],
    3,
    {'host': 'c1', 'state': 'down'},
    # Another row takes these for something else.
    *({'notification': odd, 'alerts': []} for odd in ('x', 7, None, ['x'], True)),
]


@pytest.mark.parametrize('body', NO_NOTIFICATION)
def test_only_notifications_are_taken_there(cloud, body):
    answer = cloud.monitor(cloud.token('service')).post('/notifications', json=body)
    assert answer.status_code == 400 and cloud.told == []
