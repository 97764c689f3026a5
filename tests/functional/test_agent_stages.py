# SPDX-License-Identifier: Apache-2.0
"""Twelve servers of a dead host under four policies, while the agent dies at each stage."""

import pytest

from tests import agents, cloud
from tests.hosts import addresses_of, host_of, only_on, run_lab
from tests.rescue_templates import ELEVEN, PAIR

pytestmark = [pytest.mark.alone, pytest.mark.thorough]

DEAD = 'c3'

# By stage, what the agent that is at work writes into its log just before.
STAGES = {
    'suspect': 'to=suspect',
    'confirmed': 'to=confirmed',
    'fenced': 'step=fence ',
    'rescuing': 'to=rescuing',
}


def at_work(running, stage):
    """The agent that brought the host's incident into this stage."""
    for agent in running:
        if any(f'host={DEAD} ' in line and STAGES[stage] in line for line in agent.decisions()):
            return agent
    return None


def until_stage(stage):
    """Wait for a stage, or for one after it, which the caller tells apart."""
    later = [*list(STAGES)[list(STAGES).index(stage) :], 'done']
    cloud.until(lambda: agents.phase(DEAD) in later, stage, seconds=60, every=0.02)


@pytest.mark.parametrize('are_two', [False, True], ids=['one_agent', 'two_agents'])
@pytest.mark.parametrize('stage', STAGES)
def test_all_ends_as_declared_wherever_the_agent_dies(
    make_stack, make_agent, admin, tenant, watch, power, stage, are_two
):
    with only_on(admin, DEAD):
        stack = make_stack(ELEVEN)
    with only_on(admin, 'c1', DEAD):
        pair = make_stack(PAIR)
    volumes = [stack.output('volume'), pair.output('volume')]
    database, batch = stack.output('database'), set(stack.output('batch'))
    evacuated = {database, *stack.output('readers')}
    web = set(stack.servers()) - evacuated - batch
    assert (len(evacuated), len(web), len(batch)) == (4, 4, 3)
    [lost_member] = [s for s in pair.servers() if host_of(admin, s) == DEAD]
    active = cloud.holder(tenant, volumes[1])
    kept = {server: addresses_of(admin, server) for server in evacuated}
    # Longer than Nova takes to show the host as down, so that it is a suspect for a while.
    running = [make_agent(f'agent-{n}', settle=15) for n in range(1, 3 if are_two else 2)]
    summary = watch(volumes)

    run_lab('kill', f'nova-compute-{DEAD}')
    until_stage(stage)
    dying = at_work(running, stage)
    assert dying is not None
    dying.kill()
    assert agents.phase(DEAD) == stage, 'it was too quick to die there'
    if not are_two:
        make_agent('agent-3', settle=15)
    cloud.until(lambda: agents.is_done(DEAD), 'the incident is done', seconds=400, every=1)

    assert agents.is_off(power, DEAD)
    # Evacuated: the same servers with their addresses and the volume, each once.
    assert all(host_of(admin, s) != DEAD for s in evacuated)
    assert {s: addresses_of(admin, s) for s in evacuated} == kept
    assert cloud.holder(tenant, volumes[0]) == database
    # Recreated: as many others. Left alone: still there.
    new_web = set(stack.servers()) - evacuated - batch
    assert len(new_web) == len(web) and not new_web & web
    assert DEAD not in {host_of(admin, s) for s in new_web}
    assert {host_of(admin, s) for s in batch} == {DEAD}
    # Failed over, if its active was there; the lost member is replaced in any case.
    holder = cloud.holder(tenant, volumes[1])
    assert holder in pair.servers() and host_of(admin, holder) != DEAD
    assert (holder != active) is (active == lost_member)
    assert lost_member not in pair.servers() and len(pair.servers()) == 2
    assert summary()['violations'] == []
    for where, policy, count, outcome in (
        (stack, 'rescue_databases', 4, 'done'),
        (stack, 'rescue_web', 4, 'done'),
        (stack, 'leave_batch', 3, 'left_alone'),
        (pair, 'rescue_pair', 1, 'done'),
    ):
        lines = where.attribute(policy, 'history')
        assert [line['outcome'] for line in lines] == [outcome] * count, (policy, lines)
    begun = [e for e in stack.events('rescue_databases') if 'evacuate because' in e]
    assert len(begun) == len(evacuated), begun
