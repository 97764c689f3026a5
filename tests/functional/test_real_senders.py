# SPDX-License-Identifier: Apache-2.0
"""Alertmanager and Masakari's monitor of hosts, their real programs, as senders."""

import contextlib

import pytest

from lab.client import agents, alertmanager, hosts, masakari_monitor, stacks, storage, waiting

pytestmark = [pytest.mark.alone, pytest.mark.thorough]

DEAD = 'c3'
POLICY = 'server_replace_policy'

SERVER = f"""
heat_template_version: 2016-10-14
resources:
  server: {stacks.SERVER}
  rescue:
    type: OS::Heat::RescuePolicy
    properties: {{servers: [{{get_resource: server}}]}}
outputs:
  server: {{value: {{get_resource: server}}}}
"""

SENDERS = """
pacemaker:
  host_labels: [hostname]
  down_alerts: [HostDown, {alertname: Unreachable, role: compute}]
"""


def events_with(stack, text):
    return [event for event in stack.events(POLICY) if text in event]


def test_alertmanager_fails_over_the_member_that_it_names_and_no_other(
    make_stack, tenant, tmp_path
):
    stack = make_stack('failover_pair.yaml')
    volume = stack.output('volume')
    active = storage.holder(tenant, volume)
    [standby] = set(stack.servers()) - {active}
    url = stack.output('alarm_url')
    with alertmanager.running(tmp_path, alertmanager.receiver(url)) as told:
        # Of another's server, and of the standby, which is replaced and nothing is moved.
        told.tell({'alertname': 'Down', 'server_id': 'c0ffee00-0000-4000-8000-000000000000'})
        waiting.until(lambda: events_with(stack, 'neither a member'), 'a foreign alert is refused')
        # An alert that was over before anybody was told of it.
        told.tell({'alertname': 'Late', 'server_id': active}, is_over=True)
        assert stack.output('history') == []

        told.tell({'alertname': 'Down', 'server_id': active})
        waiting.until(
            lambda: storage.holder(tenant, volume) == standby, 'the volume moved', seconds=60
        )
        waiting.until(
            lambda: stack.output('state') == 'ready' and active not in stack.servers(),
            'the active is replaced', seconds=180, every=1,
        )  # fmt: skip
        before = told.notified()
        told.tell({'alertname': 'Down', 'server_id': active}, is_over=True)
        waiting.until(lambda: told.notified() > before, 'the policy hears that it is over')
    # That it is over asks for nothing.
    assert stack.output('state') == 'ready'
    assert storage.holder(tenant, volume) == standby
    assert [line['outcome'] for line in stack.output('history')] == ['done']


def test_alertmanager_tells_the_agent_of_a_host(make_stack, make_agent, admin, power, tmp_path):
    with hosts.only_on(admin, DEAD):
        server = make_stack(SERVER).output('server')
    senders = tmp_path / 'senders.yaml'
    senders.write_text(SENDERS)
    agent = make_agent(
        sources='services_api,webhook', confirm='services_api+webhook', settle=1,
        senders_file=senders,
    )  # fmt: skip
    url = f'http://127.0.0.1:{agent.port}/v1/reports'
    down = {'alertname': 'HostDown', 'hostname': f'{DEAD.upper()}:9100'}
    with alertmanager.running(tmp_path, alertmanager.receiver(url, agents.TOKEN)) as told:
        for alert in ('DiskFull', 'HostDown'):
            told.tell({'alertname': alert, 'hostname': 'nobody-knows-it'})
        told.tell({'alertname': 'DiskFull', 'hostname': 'c1'})
        told.tell({'alertname': 'Unreachable', 'hostname': 'c2', 'role': 'network'})
        hosts.run_lab('kill', f'nova-compute-{DEAD}')
        told.tell(down)
        waiting.until(lambda: agents.is_done(DEAD), 'the incident is done', seconds=120, every=1)
        assert hosts.host_of(admin, server) != DEAD
        # It is resolved before the host is back, as after a restart of its sender.
        told.tell(down, is_over=True)
        rounds = agent.metric('heat_ha_agent_round_seconds_count')
        waiting.until(
            lambda: agent.metric('heat_ha_agent_round_seconds_count') > rounds + 8, 'some rounds'
        )
        assert agents.is_done(DEAD) and hosts.service_of(admin, DEAD)['forced_down']
        assert set(agents.incidents()) == {DEAD}
        hosts.run_lab('start', f'nova-compute-{DEAD}')
        waiting.until(
            lambda: agents.phase(DEAD) == 'closed', 'it is let in again', seconds=90, every=1
        )


@contextlib.contextmanager
def in_the_catalogue(admin, port):
    """Where Masakari's monitors find the agent."""
    made = admin.identity.create_service(name='heat-ha', type='instance-ha')
    try:
        admin.identity.create_endpoint(
            service_id=made.id, interface='internal', region_id='RegionOne',
            url=f'http://127.0.0.1:{port}/v1',
        )  # fmt: skip
        yield
    finally:
        admin.identity.delete_service(made)


def test_masakaris_monitor_tells_the_agent_of_a_host(
    make_stack, make_agent, admin, power, tmp_path
):
    with hosts.only_on(admin, DEAD):
        server = make_stack(SERVER).output('server')
    agent = make_agent(
        sources='services_api,webhook', confirm='services_api+webhook', settle=1,
        masakari_notifications='true',
    )  # fmt: skip
    said = 'heat_ha_agent_reports_total{{says="{}",source="webhook"}}'
    with (
        in_the_catalogue(admin, agent.port),
        masakari_monitor.running(tmp_path, hosts.HOSTS) as cluster,
    ):
        log = tmp_path / 'hostmonitor.log'
        waiting.until(lambda: 'a new member of cluster' in log.read_text(), 'it knows its nodes')
        hosts.run_lab('kill', f'nova-compute-{DEAD}')
        cluster.be(DEAD, False)
        waiting.until(lambda: agent.metric(said.format('down')) > 0, 'the agent hears of it')
        waiting.until(lambda: agents.is_done(DEAD), 'the incident is done', seconds=120, every=1)
        assert hosts.host_of(admin, server) != DEAD
        assert 'Retry sending' not in log.read_text() and 'Traceback' not in log.read_text()
        hosts.run_lab('start', f'nova-compute-{DEAD}')
        cluster.be(DEAD, True)
        waiting.until(lambda: agent.metric(said.format('up')) > 0, 'the agent hears that it is up')
        waiting.until(
            lambda: agents.phase(DEAD) == 'closed', 'it is let in again', seconds=90, every=1
        )


def test_a_monitor_that_cannot_see_the_power_proves_nothing(make_agent, admin, power, tmp_path):
    agent = make_agent(
        sources='services_api,webhook', confirm='webhook', certain='webhook', settle=1,
        masakari_notifications='true',
    )  # fmt: skip
    with (
        in_the_catalogue(admin, agent.port),
        masakari_monitor.running(tmp_path, hosts.HOSTS, sees_power=True) as cluster,
    ):
        log = tmp_path / 'hostmonitor.log'
        waiting.until(lambda: 'a new member of cluster' in log.read_text(), 'it knows its nodes')
        cluster.be(DEAD, False)
        waiting.until(lambda: 'Send a notification' in log.read_text(), 'it notifies', seconds=90)
        rounds = agent.metric('heat_ha_agent_round_seconds_count')
        waiting.until(
            lambda: agent.metric('heat_ha_agent_round_seconds_count') > rounds + 5, 'some rounds'
        )
        assert 'Response:' in log.read_text()
        assert agents.incidents() == {} and not agents.is_off(power, DEAD)
