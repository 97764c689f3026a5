# SPDX-License-Identifier: Apache-2.0
"""Failovers of guests that write: no record is lost, none is doubled, and nothing is left over.

It needs ``make lab-real``. The truth is what lies on the volume and on the guests' consoles.
"""

import pytest

from lab.client import agents, hosts, real_data, real_hosts, real_pairs, rescue_templates, waiting
from lab.client import real_writers as writers
from lab.real.guest import build

pytestmark = [pytest.mark.real, pytest.mark.alone, pytest.mark.usefixtures('bindings')]

# Milliseconds for which Ceph counts with a client that has died.
WATCH = 30_000
# Milliseconds between two records of a guest that nothing happens to, on a busy machine.
LONGEST_PAUSE = 5000


@pytest.fixture
def consoles():
    with real_data.Consoles() as found:
        yield found


@pytest.fixture
def fencing_file(tmp_path, admin):
    """A fencing file with the storage of each host; afterwards every host is as it was."""
    agents.clear()
    yield real_hosts.fencing_file(tmp_path)
    real_hosts.make_whole(admin)


@pytest.fixture
def make_agent(tmp_path, fencing_file):
    made = []

    def make(**options):
        made.append(agents.Agent(tmp_path, 'agent-1', {'fencing_file': fencing_file, **options}))
        return made[-1].start()

    yield make
    for one in made:
        one.stop()


@pytest.fixture
def agent(make_agent):
    return make_agent()


def until_writing(stack, consoles, policy='failover'):
    pair = real_pairs.Pair(stack, consoles, policy)
    pair.written.until_by(pair.active)
    return pair


def test_a_guest_that_crashes_fails_over_by_its_alarm(make_stack, consoles, admin):
    stack = make_stack('failover_pair.yaml', real_hosts.parameters())
    pair = until_writing(stack, consoles, 'server_failover_policy')
    real_hosts.crash(pair.active)
    new = pair.until_handed_over('server_group')
    pair.assert_handed_over_once(new)
    real_hosts.until_nothing_is_left(stack.servers())


def test_a_host_that_is_cut_off_is_fenced_in_the_storage_before_its_volume_moves(
    make_stack, consoles, admin, agent
):
    stack = make_stack(rescue_templates.PAIR, real_hosts.parameters())
    pair = until_writing(stack, consoles)
    dead = hosts.host_of(admin, pair.active)
    with real_hosts.cut(dead, 'management'):
        new = pair.until_handed_over('pair')
        pair.assert_handed_over_once(new)
        # It runs on, and cannot write.
        assert real_hosts.guest_of(pair.active)
    waiting.until(
        lambda: agents.phase(dead) == 'quarantined' and not real_hosts.guests(dead),
        'Nova has removed the guest of before',
        seconds=240,
        every=1,
    )
    # Nova cannot say what ran there, so a person lets the host in, as the guide has it.
    agent.by_hand('end', dead)
    agent.by_hand('unfence', dead, '--by', 'test')
    hosts.let_in(admin, dead)
    pair.assert_handed_over_once(new)
    real_hosts.until_nothing_is_left(stack.servers())


@pytest.fixture
def neighbour(admin):
    """Makes a guest that writes to a volume of its own, on a certain host."""
    made = []

    def make(host):
        made.append(writers.Writer(admin, host))
        made[-1].begin()
        return made[-1]

    yield make
    for one in made:
        one.remove()


def test_one_guest_is_shut_out_alone_also_when_it_is_started_again(
    make_stack, consoles, admin, make_agent, neighbour
):
    make_agent(**agents.FENCES_NO_HOST)
    stack = make_stack('failover_storage_fence.yaml', real_hosts.parameters())
    pair = until_writing(stack, consoles)
    host = hosts.host_of(admin, pair.active)
    other = neighbour(host)
    with real_hosts.cut(host, 'management'):
        waiting.until(
            lambda: hosts.service_of(admin, host)['state'] == 'down', f'{host} is down', every=0.5
        )
        stack.signal('replace', {'member': pair.active})
        new = pair.until_handed_over('group')
        pair.assert_handed_over_once(new)
        real_hosts.start_again(host, pair.active)
        # It boots, finds its volume, and would write.
        real_hosts.until_printed(host, pair.active, pair.active)
        before = other.written().count
        pair.written.until_by(new, count=pair.written.report().runs[-1].last)
        pair.assert_handed_over_once(new)
        report = other.written()
        assert report.count > before and not report.faults
        assert report.longest_pause.milliseconds < LONGEST_PAUSE
        assert not hosts.service_of(admin, host)['forced_down'] and not real_hosts.blocklisted()
    pair.assert_handed_over_once(new)


def test_the_dead_client_of_a_crashed_guest_holds_up_nobodys_first_write(
    make_stack, consoles, admin, agent
):
    stack = make_stack('failover_storage_fence.yaml', real_hosts.parameters())
    pair = until_writing(stack, consoles)
    real_hosts.crash(pair.active)
    waiting.until(
        lambda: admin.compute.get_server(pair.active).status == 'SHUTOFF',
        'Nova knows that the guest has died',
        every=0.2,
    )
    stack.signal('replace', {'member': pair.active})
    new = pair.until_handed_over('group')
    pair.assert_handed_over_once(new)
    (one,) = pair.written.report().interruptions
    assert one.milliseconds < WATCH, 'it has waited for the watch of the dead client'
    assert any('refuses what was left' in text for text in stack.events('failover'))
    real_hosts.until_nothing_is_left(stack.servers())


def test_a_host_that_lost_its_power_holds_up_nobodys_first_write(
    make_stack, consoles, admin, agent
):
    stack = make_stack(rescue_templates.PAIR, real_hosts.parameters())
    pair = until_writing(stack, consoles)
    with real_hosts.powerless(hosts.host_of(admin, pair.active)):
        new = pair.until_handed_over('pair')
        pair.assert_handed_over_once(new)


def test_scripts_of_software_configs_hand_a_file_system_over(make_stack, consoles):
    scripts = {
        f'{name}_script': (build.CONFIGS / f'{name}.sh').read_text()
        for name in ('quiesce', 'activate')
    }
    image = f'{real_hosts.facts()["image"]}-files'
    stack = make_stack(
        'failover_quiesce_activate.yaml', real_hosts.parameters() | scripts | {'image': image}
    )
    pair = real_pairs.Pair(stack, consoles, 'failover')
    other = next(server for server in stack.servers() if server != pair.active)
    pair.written.until_by(pair.active)
    stack.signal('failover', {'action': 'switchover', 'member': other})
    pair.written.until_by(other)
    report = pair.written.report()
    assert not report.faults and not report.unknown, report
    assert [run.writer.by for run in report.runs] == [pair.active, other]
