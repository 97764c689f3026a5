# SPDX-License-Identifier: Apache-2.0
"""A host dies, and the agent sees to it that each server is rescued as its template says."""

import contextlib

import pytest

from lab.client import access, agents, hosts, rescue_templates, stacks, storage, waiting

pytestmark = pytest.mark.alone

ROUNDS = 'heat_ha_agent_round_seconds_count'

# All of it is made on the host that is to die.
ON_ONE_HOST = """
heat_template_version: 2016-10-14
resources:
  volume:
    type: OS::Cinder::Volume
    properties: {size: 1}
  database:
    type: OS::Nova::Server
    properties: &server
      image: tiny
      flavor: m1.tiny
      networks: [{network: private}]
  data:
    type: OS::Cinder::VolumeAttachment
    properties:
      instance_uuid: {get_resource: database}
      volume_id: {get_resource: volume}
  batch:
    type: OS::Nova::Server
    properties: *server
  web:
    type: OS::Heat::AutoScalingGroup
    properties:
      min_size: 3
      max_size: 4
      rolling_updates: {max_batch_size: 3}
      resource: {type: ha_server.yaml}
  rescue_database:
    type: OS::Heat::RescuePolicy
    properties:
      servers: [{get_resource: database}]
      methods: [{method: evacuate, attempts: 2}, {method: recreate}]
      priority: 10
  rescue_web:
    type: OS::Heat::RescuePolicy
    properties:
      servers: [{get_resource: web}]
      methods: [{method: recreate}]
  leave_batch:
    type: OS::Heat::RescuePolicy
    properties:
      servers: [{get_resource: batch}]
      methods: [{method: none}]
outputs:
  volume: {value: {get_resource: volume}}
  database: {value: {get_resource: database}}
  batch: {value: {get_resource: batch}}
"""


def log_sizes():
    """The logs of both engines of Heat, with how long each is."""
    logs = [access.LAB / 'log' / f'heat-engine-one-{number}.log' for number in (1, 2)]
    return {log: log.stat().st_size for log in logs}


def until_engines_are_logged_in(before):
    """Wait until each engine says, behind what ``log_sizes`` found, that it can reach Nova."""
    for log, size in before.items():
        waiting.until(
            lambda log=log, size=size: b'ready for a rescue' in log.read_bytes()[size:],
            f'{log.name} says that the engine is logged in to Nova',
        )


def assert_histories(stack, pair):
    """Each policy says of its rescues that they are done, or that the servers were left alone."""
    for where, policies in ((stack, ('rescue_database', 'rescue_web')), (pair, ('rescue_pair',))):
        for policy in policies:
            lines = where.attribute(policy, 'history')
            assert lines and {line['outcome'] for line in lines} == {'done'}, lines
    assert [x['outcome'] for x in stack.attribute('leave_batch', 'history')] == ['left_alone']


def assert_host_is_let_in_again(admin, host):
    """The host returns: it is let in again once nothing is left on it."""
    hosts.run_lab('start', f'nova-compute-{host}')
    waiting.until(
        lambda: agents.incidents()[host]['phase'] == 'closed',
        'the host is let in again', seconds=90, every=1,
    )  # fmt: skip
    service = hosts.service_of(admin, host)
    assert not service['forced_down'] and service['status'] == 'enabled'


def test_each_server_of_a_dead_host_is_rescued_as_its_template_says(
    make_stack, make_agent, admin, tenant, watch, power
):
    dead = 'c3'
    with hosts.only_on(admin, dead):
        stack = make_stack(ON_ONE_HOST)
    with hosts.only_on(admin, 'c1', dead):
        pair = make_stack(rescue_templates.PAIR)
    logged = log_sizes()
    agent = make_agent()
    volumes = [stack.output('volume'), pair.output('volume')]
    database, batch = stack.output('database'), stack.output('batch')
    web = set(stack.servers()) - {database, batch}
    kept = hosts.addresses_of(admin, database)
    active = storage.holder(tenant, volumes[1])
    was_active_lost = hosts.host_of(admin, active) == dead
    [lost_member] = [s for s in pair.servers() if hosts.host_of(admin, s) == dead]
    summary = watch(volumes)
    until_engines_are_logged_in(logged)

    hosts.run_lab('kill', f'nova-compute-{dead}')
    waiting.until(lambda: agents.is_done(dead), 'the incident is done', seconds=400, every=1)

    incident = agents.incidents()[dead]
    assert agents.is_off(power, dead) and 'redfish by agent-1' in incident['proof']['who']
    service = hosts.service_of(admin, dead)
    assert service['forced_down']
    waiting.until(
        lambda: (hosts.service_of(admin, dead)['disabled_reason'] or '').startswith(
            'heat-ha: redfish'
        ),
        'the host is disabled, with the reason',
    )
    # Evacuated: the same server with its address and volume, elsewhere.
    assert hosts.host_of(admin, database) != dead and hosts.addresses_of(admin, database) == kept
    assert storage.holder(tenant, volumes[0]) == database
    # Recreated: other servers, as many, elsewhere.
    new_web = set(stack.servers()) - {database, batch}
    assert len(new_web) == len(web) and not new_web & web
    assert dead not in {hosts.host_of(admin, s) for s in new_web}
    # Left alone, and failed over.
    assert hosts.host_of(admin, batch) == dead
    holder = storage.holder(tenant, volumes[1])
    assert holder in pair.servers() and hosts.host_of(admin, holder) != dead
    assert (holder != active) is was_active_lost
    assert lost_member not in pair.servers() and len(pair.servers()) == 2
    assert summary()['violations'] == []
    assert_histories(stack, pair)
    assert agent.metric('heat_ha_agent_hosts{phase="done"}') == 1
    assert '"turn": "done"' in agent.by_hand('show', dead)

    assert_host_is_let_in_again(admin, dead)


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


def test_false_alarms_rescue_nothing(make_stack, make_agent, admin, tenant, power):
    # Longer than it takes here to thaw one host after the other.
    agent = make_agent(
        sources='services_api,nova_notifications,webhook', confirm='services_api+webhook',
        settle=8,
    )  # fmt: skip
    stack = make_stack(SERVER)
    server = stack.output('server')
    home = hosts.host_of(admin, server)

    # A witness that lies, doubled and out of order; and hosts and senders that nobody knows.
    for state in ('down', 'down', 'up', 'down'):
        assert agent.report({'host': home, 'state': state}) == 202
    assert agent.report({'host': 'nowhere', 'state': 'down'}) == 400
    assert agent.report({'host': home, 'state': 'down'}, token='x' * 20) == 401
    assert agent.report(b'{' * 5000) == 400
    assert agent.report({'host': ['x'], 'state': 'down'}) == 400
    # The owner stops the server, and signals the policy as if a host had died.
    tenant.compute.post(f'/servers/{server}/action', json={'os-stop': None})
    stack.signal('rescue', {'action': 'rescue', 'reason': 'a lie'})
    waiting.until(
        lambda: [e for e in stack.events('rescue') if 'SIGNAL' in e and 'confirmed down' in e],
        'the policy refuses',
    )
    # For longer than a host must be down.
    rounds = agent.metric(ROUNDS)
    waiting.until(lambda: agent.metric(ROUNDS) > rounds + 9, 'the agent looks at all hosts')
    assert [e for e in stack.events('rescue') if 'SIGNAL' in e] == [
        e for e in stack.events('rescue') if 'confirmed down' in e
    ]
    assert stack.attribute('rescue', 'history') == [] and home not in agents.incidents()

    # Two of three hosts at once: the observer is wrong.
    for host in ('c1', 'c2'):
        hosts.run_lab('freeze', f'nova-compute-{host}')
        agent.report({'host': host, 'state': 'down'})
    waiting.until(
        lambda: {h: i['phase'] for h, i in agents.incidents().items() if h in ('c1', 'c2')}
        == {'c1': 'deferred', 'c2': 'deferred'}
        or 'may be cut off' in '\n'.join(agent.decisions()),
        'the storm guard', seconds=60,
    )  # fmt: skip
    assert not agents.is_off(power, 'c1') and not agents.is_off(power, 'c2')
    for host in ('c1', 'c2'):
        hosts.run_lab('thaw', f'nova-compute-{host}')
        # One witness that goes on saying that they are down would keep them suspect.
        agent.report({'host': host, 'state': 'up'})
    waiting.until(
        lambda: all(i['phase'] == 'closed' for i in agents.incidents().values()),
        'all is well again', seconds=60,
    )  # fmt: skip
    assert stack.attribute('rescue', 'history') == []
    for host in hosts.HOSTS:
        assert not hosts.service_of(admin, host)['forced_down'] and not agents.is_off(power, host)
    assert hosts.host_of(admin, server) == home


def test_nova_itself_notifies_of_a_host_that_is_marked_as_down(make_agent, admin):
    agent = make_agent(sources='services_api,nova_notifications', confirm='nova_notifications')
    reports = 'heat_ha_agent_reports_total{{says="{}",source="nova_notifications"}}'
    agent_heard = agent.metric(reports.format('down'))
    hosts.confirm_down(admin, 'c3', True, settles=False)
    waiting.until(lambda: agent.metric(reports.format('down')) > agent_heard, 'it hears of it')
    waiting.until(lambda: agents.is_done('c3'), 'the incident is done', seconds=60)
    hosts.confirm_down(admin, 'c3', False)
    waiting.until(lambda: agent.metric(reports.format('silent')) > 0, 'it hears that it is over')
    waiting.until(lambda: agents.incidents()['c3']['phase'] == 'closed', 'it is over', seconds=60)


@pytest.mark.thorough
def test_an_agent_that_dies_is_followed_by_another_and_nothing_is_done_twice(
    make_stack, make_agent, admin, tenant
):
    with contextlib.ExitStack() as agents_left:
        first = make_agent('agent-1')
        second = make_agent('agent-2')
        agents_left.callback(first.kill)
        stack = make_stack(SERVER)
        server = stack.output('server')
        home = hosts.host_of(admin, server)
        hosts.run_lab('kill', f'nova-compute-{home}')
        hosts.confirm_down(admin, home, True, settles=False)
        waiting.until(lambda: home in agents.incidents(), 'the incident', seconds=30, every=0.1)
        first.kill()
        waiting.until(lambda: agents.is_done(home), 'the incident is done', seconds=120, every=0.5)
        assert hosts.host_of(admin, server) != home
        [line] = stack.attribute('rescue', 'history')
        assert line['outcome'] == 'done' and line['method'] == 'evacuate'
        begun = [e for e in stack.events('rescue') if 'evacuate because' in e]
        assert len(begun) == 1
        # It counts the hosts once in each of its rounds.
        waiting.until(
            lambda: second.metric('heat_ha_agent_hosts{phase="done"}') == 1, 'it is counted'
        )


@pytest.mark.thorough
def test_a_failover_that_waits_for_the_fence_goes_on_by_itself(
    make_stack, make_agent, admin, tenant
):
    stack = make_stack('failover_pair.yaml')
    volume = stack.output('volume')
    active = storage.holder(tenant, volume)
    home = hosts.host_of(admin, active)
    hosts.run_lab('freeze', f'nova-compute-{home}')
    waiting.until(lambda: hosts.service_of(admin, home)['state'] == 'down', f'{home} is down')
    stack.signal('server_replace_policy', {'member': active})
    waiting.until(
        lambda: stack.output('state') == 'waiting_for_fence', 'it waits for the fence', seconds=60
    )
    make_agent()
    waiting.until(
        lambda: storage.holder(tenant, volume) not in (None, active), 'the volume moved', seconds=90
    )
    waiting.until(lambda: stack.output('state') == 'ready', 'it is ready', seconds=120, every=1)
