# SPDX-License-Identifier: Apache-2.0
"""From the crash of a guest to the failover without an alarm; needs ``make lab-real``."""

import pytest

from lab.client import agents, real_hosts, storage, waiting

pytestmark = [pytest.mark.real, pytest.mark.alone]

POLICY = 'server_failover_policy'


@pytest.fixture
def agent(tmp_path):
    agents.clear()
    one = agents.Agent(tmp_path)
    yield one.start()
    one.stop()


def heard(agent, outcome):
    return agent.metric(f'heat_ha_agent_instance_failures_total{{outcome="{outcome}"}}')


def test_a_guest_that_crashes_fails_over_without_an_alarm(make_stack, agent):
    stack = make_stack('failover_without_alarm.yaml', real_hosts.parameters())
    old = stack.attribute(POLICY, 'active_server')
    (standby,) = set(stack.servers()) - {old}

    # What somebody asks for is no failure.
    stack.cloud.compute.stop_server(standby)
    waiting.until(lambda: heard(agent, 'asked_for'), 'the agent has heard of the stop', seconds=180)
    stack.cloud.compute.start_server(standby)
    real_hosts.until_active(stack.cloud, standby)
    assert stack.attribute(POLICY, 'history') == [] and not heard(agent, 'signalled')

    real_hosts.crash(old)

    def has_moved():
        return storage.holder(stack.cloud, stack.output('volume')) == standby

    waiting.until(has_moved, 'the volume is at the standby', seconds=180)
    waiting.until(
        lambda: stack.attribute(POLICY, 'state') == 'ready', 'it is replaced', seconds=300, every=1
    )
    assert heard(agent, 'signalled') == 1 and old not in stack.servers()
    (line,) = stack.attribute(POLICY, 'history')
    assert line['reason'].startswith('heat-ha-agent: ') and line['old_server'] == old
