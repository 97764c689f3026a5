# SPDX-License-Identifier: Apache-2.0
"""Twelve servers of a dead host under four policies, while agents die and senders are wrong.

One host dies once, and the agent that is at work dies at each stage of that, one after the other:
``HEAT_HA_STAGES`` names fewer of them. Where a stage is short, what the agent waits for in it is
held: the power control, or Nova's API. So it dies there, and not a moment later.
"""

import contextlib
import os

import pytest

from lab.client import agents, bmc, hosts, rescue_templates, storage, waiting

pytestmark = [pytest.mark.alone, pytest.mark.thorough]

DEAD = 'c3'
API = 'nova-api-one'

# In the order in which they come, each with what the agent that is at work writes into its log.
STAGES = {
    'suspect': 'to=suspect',
    'confirmed': 'step=fence ',
    'fenced': 'step=fence ',
    'rescuing': 'to=rescuing',
}
CHOSEN = os.environ.get('HEAT_HA_STAGES', ','.join(STAGES)).split(',')

# Seconds that the first agents want a host to be down: longer than Nova takes to show it, so that
# it is a suspect for a while. Those that follow need not be as patient.
PATIENT, QUICK = 22, 1

# How many lines of history each policy has in the end, and how each rescue ended.
OUTCOMES = {
    'rescue_databases': (4, 'done'),
    'rescue_web': (4, 'done'),
    'leave_batch': (3, 'left_alone'),
    'rescue_pair': (1, 'done'),
}


class Scene:
    """The servers and volumes before the host dies, and what has become of them."""

    def __init__(self, make_stack, admin, tenant):
        self.admin, self.tenant = admin, tenant
        with hosts.only_on(admin, DEAD):
            self.stack = make_stack(rescue_templates.ELEVEN)
        with hosts.only_on(admin, 'c1', DEAD):
            self.pair = make_stack(rescue_templates.PAIR)
        self.volumes = [self.stack.output('volume'), self.pair.output('volume')]
        self.database = self.stack.output('database')
        self.batch = set(self.stack.output('batch'))
        self.evacuated = {self.database, *self.stack.output('readers')}
        self.web = set(self.stack.servers()) - self.evacuated - self.batch
        assert (len(self.evacuated), len(self.web), len(self.batch)) == (4, 4, 3)
        [self.lost] = [s for s in self.pair.servers() if hosts.host_of(admin, s) == DEAD]
        self.active = storage.holder(tenant, self.volumes[1])
        self.kept = {server: hosts.addresses_of(admin, server) for server in self.evacuated}

    def check(self):
        """See that all ended as declared, and nothing was done twice."""
        admin = self.admin
        # Evacuated: the same servers with their addresses and the volume.
        assert all(hosts.host_of(admin, s) != DEAD for s in self.evacuated)
        assert {s: hosts.addresses_of(admin, s) for s in self.evacuated} == self.kept
        assert storage.holder(self.tenant, self.volumes[0]) == self.database
        # Recreated: as many others. Left alone: still there.
        new_web = set(self.stack.servers()) - self.evacuated - self.batch
        assert len(new_web) == len(self.web) and not new_web & self.web
        assert DEAD not in {hosts.host_of(admin, s) for s in new_web}
        assert {hosts.host_of(admin, s) for s in self.batch} == {DEAD}
        # Failed over, if its active was there; the lost member is replaced in any case.
        holder = storage.holder(self.tenant, self.volumes[1])
        members = self.pair.servers()
        assert holder in members and hosts.host_of(admin, holder) != DEAD
        assert (holder != self.active) is (self.active == self.lost)
        assert self.lost not in members and len(members) == 2
        for policy, (count, outcome) in OUTCOMES.items():
            where = self.pair if policy == 'rescue_pair' else self.stack
            lines = where.attribute(policy, 'history')
            assert [line['outcome'] for line in lines] == [outcome] * count, (policy, lines)
        begun = [e for e in self.stack.events('rescue_databases') if 'evacuate because' in e]
        assert len(begun) == len(self.evacuated), begun


def until_phase(stage, is_seen=lambda: True):
    """Wait for a stage and for what is seen in it; fail when it is over before that."""
    over = [*list(STAGES)[list(STAGES).index(stage) + 1 :], 'done']

    def look():
        phase = agents.phase(DEAD)
        assert phase not in over, f'it was {phase} before it could die as {stage}'
        return phase == stage and is_seen()

    waiting.until(look, f'it is {stage}', seconds=90, every=0.02)


def at_work(running, stage):
    """Which of the agents that run was the last to write what marks the stage."""
    living = [agent for agent in running if agent.is_running]
    found = max(living, key=lambda agent: agent.last(DEAD, STAGES[stage]))
    return found if found.last(DEAD, STAGES[stage]) else None


@contextlib.contextmanager
def frozen(service):
    """A service of the lab that hangs during the body."""
    hosts.run_lab('freeze', service)
    try:
        yield
    finally:
        hosts.run_lab('thaw', service)


def die(running, stage):
    """Kill the agent that is at work, and see that it died in the stage."""
    dying = at_work(running, stage)
    dying.kill()
    assert agents.phase(DEAD) == stage, 'it was too quick to die there'


@pytest.mark.parametrize('at_once', [1, 2], ids=['one_agent', 'two_agents'])
def test_all_ends_as_declared_wherever_the_agent_dies(
    make_stack, make_agent, admin, tenant, watch, power, tmp_path, at_once
):
    assert set(CHOSEN) <= set(STAGES), f'HEAT_HA_STAGES knows {", ".join(STAGES)}'
    scene = Scene(make_stack, admin, tenant)
    running = [make_agent(f'agent-{n}', settle=PATIENT) for n in range(1, at_once + 1)]
    summary = watch(scene.volumes)

    def follow():
        running.append(make_agent(f'agent-{len(running) + 1}', settle=QUICK))

    hosts.run_lab('kill', f'nova-compute-{DEAD}')
    with bmc.silent(tmp_path) as power_answers:
        if 'suspect' in CHOSEN:
            until_phase('suspect')
            die(running, 'suspect')
            follow()
        if 'confirmed' in CHOSEN:
            until_phase('confirmed', lambda: at_work(running, 'confirmed'))
            die(running, 'confirmed')
            follow()
        if 'fenced' in CHOSEN:
            until_phase('confirmed', lambda: at_work(running, 'confirmed'))
            with frozen(API):
                power_answers()
                until_phase('fenced')
                # Whose proof is on record was at work, whatever others have tried meanwhile.
                who = agents.incidents()[DEAD]['proof']['who']
                [dying] = [a for a in running if who.endswith(f'by {a.name}')]
                dying.kill()
                assert agents.phase(DEAD) == 'fenced'
            assert agents.is_off(power, DEAD)
            follow()
    if 'rescuing' in CHOSEN:
        until_phase('rescuing', lambda: at_work(running, 'rescuing'))
        die(running, 'rescuing')
        follow()
    waiting.until(lambda: agents.is_done(DEAD), 'the incident is done', seconds=400, every=1)

    assert agents.is_off(power, DEAD)
    assert sum(agent.is_running for agent in running) == at_once
    assert len(running) == at_once + len(set(CHOSEN))
    scene.check()
    assert summary()['violations'] == []


def test_reports_that_are_doubled_late_disordered_or_lies_change_nothing(
    make_stack, make_agent, admin, tenant, watch, power
):
    scene = Scene(make_stack, admin, tenant)
    pair = [
        make_agent(
            f'agent-{n}',
            sources='services_api,nova_notifications,webhook',
            confirm='services_api+webhook,services_api+nova_notifications',
        )
        for n in (1, 2)
    ]
    summary = watch(scene.volumes)

    def lie():
        """Say of the hosts that live that they are down, in every way and twice."""
        for agent in pair:
            for _time in range(2):
                assert agent.report({'host': 'c1', 'state': 'down'}) == 202
        agents.notify('c2', True, times=2)
        agents.notify('c1', True, age=3600)

    lie()
    hosts.run_lab('kill', f'nova-compute-{DEAD}')
    # One agent hears the news in the wrong order, the other one twice.
    for state in ('down', 'up'):
        assert pair[0].report({'host': DEAD, 'state': state}) == 202
    for _time in range(2):
        assert pair[1].report({'host': DEAD, 'state': 'down'}) == 202
    waiting.until(lambda: agents.phase(DEAD) in ('rescuing', 'done'), 'it is rescued', seconds=60)
    lie()
    for agent in pair:
        assert agent.report({'host': DEAD, 'state': 'down'}) == 202
        assert agent.report({'host': DEAD, 'state': 'up'}) == 202
    waiting.until(lambda: agents.is_done(DEAD), 'the incident is done', seconds=400, every=1)
    scene.check()
    assert summary()['violations'] == []

    # The host returns, and what was said of its death comes late.
    hosts.run_lab('start', f'nova-compute-{DEAD}')
    waiting.until(
        lambda: agents.phase(DEAD) == 'closed', 'it is let in again', seconds=120, every=1
    )
    agents.notify(DEAD, True, age=3600, times=2)
    for agent in pair:
        assert agent.report({'host': DEAD, 'state': 'down'}) == 202
        rounds = agent.metric('heat_ha_agent_round_seconds_count')
        waiting.until(
            lambda agent=agent, past=rounds + 5: (
                agent.metric('heat_ha_agent_round_seconds_count') > past
            ),
            'it looks at all hosts again',
        )
    assert set(agents.incidents()) == {DEAD} and agents.phase(DEAD) == 'closed'
    for host in hosts.HOSTS:
        assert not hosts.service_of(admin, host)['forced_down'], host
        assert host == DEAD or not agents.is_off(power, host), host
