# SPDX-License-Identifier: Apache-2.0
"""A member that failed and was repaired, not replaced, takes over again once it is seen well."""

import pytest

from heat_ha.cloud import model as cloud
from heat_ha.cloud.model import HostState
from tests.plugin import volumes
from tests.plugin.scaling import MEMBER

# A whole engine of Heat runs in these tests: minutes, not seconds.
pytestmark = pytest.mark.engine

FILES = {'member.yaml': MEMBER}


@pytest.fixture
def cloud_of(engine):
    with volumes.in_place(engine) as found:
        yield found


@pytest.fixture(params=['', 'member.yaml'], ids=['server', 'nested'])
def failed(engine, cloud_of, request):
    """A pair whose first active has failed: its stack, that member and the one that took over."""
    changes = {'member': request.param} if request.param else {}
    stack = engine.create(volumes.with_failover(size=2, **changes), files=FILES)
    old, new = engine.members(stack).members
    engine.signal(stack, 'failover')
    assert volumes.active(engine, stack).member == new.name
    return stack, old, new


def takes_over(engine, failed):
    """Whether the member that failed takes over once the active is reported sick."""
    stack, old, new = failed
    engine.signal(stack, 'failover', {'member': new.name})
    return volumes.active(engine, stack).member == old.name


def eligible_events(engine, failed):
    return [t for t in volumes.texts(engine, failed[0]) if 'is eligible again' in t]


def take_a_mark_back(engine, cloud_of, failed):
    inner = engine.nested(failed[0])
    engine.mark_unhealthy(inner, failed[1].name)
    engine.call('resource_mark_unhealthy', inner, failed[1].name, False, 'repaired')


def reboot(engine, cloud_of, failed):
    cloud_of.restart(failed[1].servers[0])


def start_again(engine, cloud_of, failed):
    cloud_of.shut_off.add(failed[1].servers[0])
    engine.signal(failed[0], 'failover', {'action': 'unpause'})
    cloud_of.shut_off.discard(failed[1].servers[0])


def check(engine, cloud_of, failed):
    try:
        engine.call('stack_check', failed[0])
    except NotImplementedError:
        pytest.skip('this release of Heat checks no stack with convergence')
    engine.run()


REPAIRS = {one.__name__: one for one in (take_a_mark_back, reboot, start_again, check)}


@pytest.mark.parametrize('repair', REPAIRS)
def test_a_repaired_member_takes_over_again(engine, cloud_of, failed, repair):
    REPAIRS[repair](engine, cloud_of, failed)
    assert takes_over(engine, failed), volumes.texts(engine, failed[0])
    (text,) = eligible_events(engine, failed)
    assert text.startswith(f'member {failed[1].name} is eligible again: ')
    assert cloud_of.holder('v1') == failed[1].servers[0]


def test_a_check_says_at_once_who_is_eligible_again(engine, cloud_of, failed):
    check(engine, cloud_of, failed)
    assert len(eligible_events(engine, failed)) == 1
    assert volumes.known(engine, failed[0]).suspects == ()


def test_a_dry_run_shows_it_and_puts_nothing_on_record(engine, cloud_of, failed):
    reboot(engine, cloud_of, failed)
    before = volumes.known(engine, failed[0])
    engine.signal(failed[0], 'failover', {'action': 'plan'})
    assert f'to {failed[1].name} would be done' in volumes.texts(engine, failed[0])[-1]
    assert volumes.known(engine, failed[0]) == before and eligible_events(engine, failed) == []


def nothing(engine, cloud_of, failed):
    pass


def alarm_is_over(engine, cloud_of, failed):
    engine.signal(failed[0], 'failover', {'alarm_id': 'a', 'current': 'ok', 'previous': 'alarm'})


def update(engine, cloud_of, failed):
    text = volumes.with_failover(size=2, properties='cooldown: 0')
    if failed[1].reference not in failed[1].servers:
        text = volumes.with_failover(size=2, properties='cooldown: 0', member='member.yaml')
    engine.update(failed[0], text, files=FILES)


def reboot_on_a_silent_host(engine, cloud_of, failed, state=HostState.DOWN):
    reboot(engine, cloud_of, failed)
    cloud_of.let_die(failed[1].servers[0])
    cloud_of.host = cloud.Host(state, 'its host is not seen to be up')
    cloud_of.all = super(volumes.Cloud, cloud_of).all


def reboot_on_an_unknown_host(engine, cloud_of, failed):
    reboot_on_a_silent_host(engine, cloud_of, failed, HostState.UNKNOWN)


NO_REPAIRS = {
    one.__name__: one
    for one in (
        nothing,
        alarm_is_over,
        update,
        reboot_on_a_silent_host,
        reboot_on_an_unknown_host,
    )
}


@pytest.mark.parametrize('seen', NO_REPAIRS)
def test_without_evidence_it_does_not(engine, cloud_of, failed, seen):
    NO_REPAIRS[seen](engine, cloud_of, failed)
    assert not takes_over(engine, failed), volumes.texts(engine, failed[0])
    assert eligible_events(engine, failed) == []


# The second server is the one that may be active.
TWO_SERVERS = """
heat_template_version: 2016-10-14
resources:
  beside: {type: OS::Nova::Server}
  server: {type: OS::Nova::Server}
outputs:
  OS::stack_id: {value: {get_resource: server}}
"""


@pytest.mark.parametrize('repaired', ['server', 'beside'])
def test_of_several_servers_of_a_member_the_one_that_may_be_active_counts(
    engine, cloud_of, repaired
):
    text = volumes.with_failover(size=2, member='member.yaml')
    stack = engine.create(text, files={'member.yaml': TWO_SERVERS})
    old, new = engine.members(stack).members
    server = volumes.active(engine, stack).server
    (beside,) = set(old.servers) - {server}
    # An alarm may be about any server of the active member.
    engine.signal(stack, 'failover', {'member': beside})
    assert volumes.active(engine, stack).member == new.name
    cloud_of.restart({'server': server, 'beside': beside}[repaired])
    assert takes_over(engine, (stack, old, new)) is (repaired == 'server')
