# SPDX-License-Identifier: Apache-2.0
"""Hosts whose power is wired to an emulated BMC, in the troubles that operators meet.

What the BMC switches off is dead, as in a rack: only so is it seen whether a healthy host was
switched off, and whether a server ran twice.
"""

import contextlib

import pytest

from lab.client import agents, bmc, hosts, stacks, storage, waiting, wires

pytestmark = [pytest.mark.alone, pytest.mark.thorough]

DEAD = 'c3'

# Nova shows a host as down this long after its last heartbeat, and the agent wants it for longer.
QUICK = {'settle': 1}

# Of three hosts, two may fail, one after the other.
TWO_MAY_FAIL = {'storm_host_share': 0.7, 'storm_together': 0}


def evacuated(count):
    """A server with a volume and some without, which are all evacuated, twelve by default."""
    return f"""
heat_template_version: 2016-10-14
resources:
  volume:
    type: OS::Cinder::Volume
    properties: {{size: 1}}
  database: {stacks.SERVER}
  data:
    type: OS::Cinder::VolumeAttachment
    properties:
      instance_uuid: {{get_resource: database}}
      volume_id: {{get_resource: volume}}
  others:
    type: OS::Heat::ResourceGroup
    properties: {{count: {count}, resource_def: {stacks.SERVER}}}
  rescue:
    type: OS::Heat::RescuePolicy
    properties:
      servers: [{{get_resource: database}}, {{get_resource: others}}]
      methods: [{{method: evacuate, attempts: 3}}]
outputs:
  volume: {{value: {{get_resource: volume}}}}
  database: {{value: {{get_resource: database}}}}
"""


class Scene:
    """Servers that are all on one host, and what has become of them."""

    def __init__(self, stack, admin, tenant, summary):
        self.stack, self.admin, self.tenant, self.summary = stack, admin, tenant, summary
        self.database, self.volume = stack.output('database'), stack.output('volume')
        self.servers = stack.servers()
        self.addresses = {s: hosts.addresses_of(admin, s) for s in self.servers}

    def homes(self):
        """The hosts that the servers are on."""
        return set(hosts.homes_of(self.admin, self.servers).values())

    def states(self):
        """The state and the task of each server, as an administrator sees them."""
        shown = self.admin.compute.get('/servers/detail?all_tenants=1&limit=1000').json()
        return {
            server['id']: (server['OS-EXT-STS:vm_state'], server['OS-EXT-STS:task_state'])
            for server in shown['servers']
            if server['id'] in self.servers
        }

    def check_evacuated(self, *dead):
        """See that each server lives on elsewhere as it was, and that nothing was done twice."""
        assert not self.homes() & set(dead)
        assert {s: hosts.addresses_of(self.admin, s) for s in self.servers} == self.addresses
        assert storage.holder(self.tenant, self.volume) == self.database
        lines = self.stack.attribute('rescue', 'history')
        assert {line['server'] for line in lines if line['outcome'] == 'done'} == set(self.servers)
        assert self.summary()['violations'] == []


@pytest.fixture
def make_scene(make_stack, admin, tenant, watch):
    def make(count=11, on=DEAD):
        with hosts.only_on(admin, on):
            stack = make_stack(evacuated(count))
        return Scene(stack, admin, tenant, watch([stack.output('volume')]))

    return make


def until_done(*names, seconds=300):
    for host in names:
        waiting.until(lambda h=host: agents.is_done(h), f'{host} is done', seconds=seconds, every=1)


def until_rescuing():
    """Wait until the rescues have begun; most of the servers are still to be rescued."""
    waiting.until(
        lambda: agents.phase(DEAD) == 'rescuing', 'its rescues begin', seconds=120, every=0.1
    )


def set_service(admin, host, **body):
    """What an operator does with a host in Nova."""
    number = hosts.service_of(admin, host)['id']
    answer = admin.compute.put(f'/os-services/{number}', json=body, microversion='2.53')
    assert answer.status_code == 200, answer.text


def some_rounds(agent, count=8):
    rounds = agent.metric('heat_ha_agent_round_seconds_count')
    waiting.until(
        lambda: agent.metric('heat_ha_agent_round_seconds_count') > rounds + count, 'some rounds'
    )


def test_a_host_that_is_back_while_it_is_rescued_is_fenced_again(make_scene, make_agent, power):
    scene = make_scene()
    with wires.wired(power) as wired:
        make_agent(**QUICK)
        hosts.run_lab('kill', f'nova-compute-{DEAD}')
        until_rescuing()
        wired.switch_on(DEAD)
        waiting.until(
            lambda: wired.switched_off(DEAD) == 2, 'it is fenced again', seconds=60, every=0.5
        )
        until_done(DEAD)
        assert wired.switched_off(DEAD) == 2 and agents.is_off(power, DEAD)
        assert {s.host for s in wired.switched} == {DEAD}
    scene.check_evacuated(DEAD)


def test_a_second_host_that_dies_under_its_rescues_is_rescued_too(
    make_scene, make_agent, power, admin
):
    scene = make_scene()
    with wires.wired(power) as wired:
        make_agent(**QUICK, **TWO_MAY_FAIL)
        hosts.run_lab('kill', f'nova-compute-{DEAD}')
        until_rescuing()
        # Nova is rebuilding servers there.
        hosts.run_lab('kill', 'nova-compute-c2')
        until_done(DEAD, 'c2')
        assert {s.host for s in wired.switched} == {DEAD, 'c2'}
    scene.check_evacuated(DEAD, 'c2')
    # What Nova had sent to it before it died is still in its queue. The guide says what to do.
    hosts.purge_queue('c2')
    hosts.run_lab('start', 'nova-compute-c2')
    waiting.until(
        lambda: agents.phase('c2') == 'closed', 'c2 is let in again', seconds=120, every=1
    )
    assert scene.homes() == {'c1'}
    assert scene.stack.servers() and set(scene.states().values()) == {('active', None)}


ONE = f"""
heat_template_version: 2016-10-14
resources:
  server: {stacks.SERVER}
  rescue:
    type: OS::Heat::RescuePolicy
    properties:
      servers: [{{get_resource: server}}]
      methods: [{{method: evacuate, attempts: 2}}]
outputs:
  server: {{value: {{get_resource: server}}}}
"""


def test_a_suspended_stack_among_five_keeps_no_other_one_waiting(
    make_stack, make_agent, power, admin
):
    with hosts.only_on(admin, DEAD):
        made = [make_stack(ONE) for _ in range(5)]
    suspended, *others = made
    suspended.action('suspend')
    with wires.wired(power):
        agent = make_agent(**QUICK)
        hosts.run_lab('kill', f'nova-compute-{DEAD}')
        for stack in others:
            waiting.until(
                lambda s=stack: hosts.host_of(admin, s.output('server')) != DEAD,
                f'the server of {stack.name} lives elsewhere', seconds=120, every=1,
            )  # fmt: skip
        assert hosts.host_of(admin, suspended.output('server')) == DEAD
        # It is told of once, not with each round, and a person can end it.
        some_rounds(agent, 10)
        told = [line for line in agent.log.read_text().splitlines() if suspended.name in line]
        assert len(told) < 5, told
        assert agents.phase(DEAD) == 'rescuing'
        agent.by_hand('end', DEAD)
        waiting.until(lambda: agents.phase(DEAD) == 'dropped', 'a person ended it', seconds=30)


def test_a_bmc_that_lies_starts_no_rescue(make_scene, make_agent, power, admin):
    scene = make_scene(2)
    with wires.wired(power) as wired:
        # It says off, and the host goes on: another machine was switched off.
        wired.cut.add(DEAD)
        agent = make_agent(
            **QUICK, sources='services_api,webhook', confirm='webhook', certain='webhook'
        )
        assert agent.report({'host': DEAD, 'state': 'down'}) == 202
        waiting.until(
            lambda: agents.phase(DEAD) in ('deferred', 'quarantined'),
            'the host is held for a person', seconds=200, every=1,
        )  # fmt: skip
        assert not hosts.service_of(admin, DEAD)['forced_down']
        assert scene.homes() == {DEAD} and hosts.runs(DEAD)
        assert scene.stack.attribute('rescue', 'history') == []
        assert wired.switched == []
        agent.by_hand('end', DEAD)


def test_a_bmc_that_is_slow_delays_and_loses_nothing(make_scene, make_agent, power, tmp_path):
    scene = make_scene(2)
    with wires.wired(power) as wired, bmc.silent(tmp_path) as goes_on:
        agent = make_agent(**QUICK)
        hosts.run_lab('kill', f'nova-compute-{DEAD}')
        waiting.until(
            lambda: agent.last(DEAD, 'no answer within'),
            'its BMC was too slow once', seconds=90,
        )  # fmt: skip
        assert scene.homes() == {DEAD}
        goes_on()
        until_done(DEAD)
        assert {s.host for s in wired.switched} == {DEAD}
    scene.check_evacuated(DEAD)


def test_a_bmc_that_is_dead_with_its_host_waits_for_a_persons_word(
    make_scene, make_agent, power, tmp_path, admin
):
    scene = make_scene(2)
    with contextlib.ExitStack() as stack:
        agent = make_agent(**QUICK)
        stack.enter_context(bmc.silent(tmp_path))
        hosts.run_lab('kill', f'nova-compute-{DEAD}')
        waiting.until(
            lambda: agents.phase(DEAD) == 'confirmed' and agent.last(DEAD, 'step=fence'),
            'it waits for its fence', seconds=90,
        )  # fmt: skip
        assert not hosts.service_of(admin, DEAD)['forced_down'] and scene.homes() == {DEAD}
        agent.by_hand('confirm', DEAD, '--by', 'ada')
        until_done(DEAD)
        assert 'ada' in agents.incidents()[DEAD]['proof']['who']
    scene.check_evacuated(DEAD)


def test_an_operator_in_the_middle_is_obeyed_and_every_server_is_rescued_in_the_end(
    make_scene, make_agent, power, admin
):
    scene = make_scene()
    with wires.wired(power) as wired:
        agent = make_agent(**QUICK)
        # A host in maintenance is silent for good reason.
        set_service(admin, DEAD, status='disabled', disabled_reason='new memory, ada')
        hosts.run_lab('kill', f'nova-compute-{DEAD}')
        waiting.until(lambda: hosts.service_of(admin, DEAD)['state'] == 'down', 'Nova shows it')
        some_rounds(agent)
        assert wired.switched == [] and scene.homes() == {DEAD}
        assert agents.phase(DEAD) in ('', 'closed', 'suspect')
        # It does not come back from that, and the operator says so.
        set_service(admin, DEAD, forced_down=True)
        until_rescuing()
        # Somebody else tidies up in the middle.
        set_service(admin, DEAD, status='enabled')
        set_service(admin, DEAD, forced_down=False)
        waiting.until(
            lambda: agents.phase(DEAD) not in ('rescuing', 'fenced'),
            'the unset mark stops the rescues', seconds=60,
        )  # fmt: skip
        # The host is still dead: that is a failure of its own.
        waiting.until(
            lambda: hosts.service_of(admin, DEAD)['forced_down'], 'it is fenced anew',
            seconds=180, every=1,
        )  # fmt: skip
        until_done(DEAD)
        assert {s.host for s in wired.switched} == {DEAD}
        assert agents.is_off(power, DEAD)
    scene.check_evacuated(DEAD)
