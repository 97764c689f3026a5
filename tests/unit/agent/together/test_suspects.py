# SPDX-License-Identifier: Apache-2.0
"""A host that is suspected: what still counts of what was said, and what ends it."""

import dataclasses

import pytest

from heat_ha.agent import service
from heat_ha.agent.model import Claimed, Phase
from heat_ha.agent.rules import reports
from tests.unit.agent.worlds import begin, make, rounds, store  # noqa: F401

BOTH = ('services_api+webhook',)
EITHER = ('services_api', 'webhook')


def said(claimed, **more):
    return reports.ParsedReport('c1', claimed, sender='m', thing='t', **more)


def show(scene, *, up):
    mark = scene.world.services['c1']
    scene.world.services['c1'] = dataclasses.replace(mark, is_up=up)


def cut_off(scene, is_cut):
    scene.world.broker = not is_cut
    if is_cut:
        scene.agent.monitor._broker_at = float('-inf')


# S6
@pytest.mark.parametrize('up', [3, 300])
def test_a_host_that_was_up_in_between_must_be_down_for_all_of_settle_again(begin, up):  # noqa: F811
    scene = begin(confirm=BOTH, settle=60.0)
    scene.tick(30)
    scene.agent.take('webhook', said(Claimed.DOWN))
    show(scene, up=False)
    scene.tick(55)
    assert scene.phase('c1') == 'suspect'
    # The alert goes on firing.
    show(scene, up=True)
    for _ in range(up):
        scene.tick(1)
        scene.agent.take('webhook', said(Claimed.DOWN))
    show(scene, up=False)
    scene.tick(50)
    assert scene.phase('c1') == 'suspect' and scene.world.tried == []


def test_a_suspect_that_goes_on_reporting_is_no_suspect_any_more(begin):  # noqa: F811
    scene = begin(confirm=BOTH, settle=60.0)
    scene.tick(30)
    scene.agent.take('webhook', said(Claimed.DOWN))
    show(scene, up=False)
    scene.tick(3)
    assert scene.phase('c1') == 'suspect'
    show(scene, up=True)
    for _ in range(20):
        scene.tick(1)
        scene.agent.take('webhook', said(Claimed.DOWN))
    assert scene.phase('c1') == 'closed' and scene.world.tried == []


@pytest.mark.parametrize('confirm', [('webhook',), BOTH])
def test_a_report_that_nobody_takes_back_is_acted_on_after_the_agent_was_cut_off(
    begin,  # noqa: F811
    confirm,
):
    scene = begin(confirm=confirm)
    scene.tick(30)
    scene.clock.dead.add('c1')
    scene.tick(14)
    cut_off(scene, True)
    scene.agent.take('webhook', said(Claimed.DOWN, is_event=True))
    scene.tick(400)
    assert scene.phase('c1') == 'suspect'
    cut_off(scene, False)
    scene.tick(60)
    assert scene.phase('c1') == 'done'


def test_an_old_report_is_not_believed_about_a_host_that_lives(begin):  # noqa: F811
    scene = begin(confirm=('webhook',))
    scene.tick(30)
    cut_off(scene, True)
    scene.agent.take('webhook', said(Claimed.DOWN, is_event=True))
    scene.tick(400)
    cut_off(scene, False)
    scene.tick(60)
    assert scene.phase('c1') == 'closed' and scene.world.tried == []


@pytest.mark.parametrize('confirm', [('webhook',), BOTH])
def test_an_agent_that_is_restarted_goes_on_from_the_report_on_record(begin, confirm):  # noqa: F811
    scene = begin(confirm=confirm, settle=20.0)
    scene.tick(30)
    scene.clock.dead.add('c1')
    scene.tick(14)
    scene.agent.take('webhook', said(Claimed.DOWN, is_event=True))
    scene.tick(1)
    assert scene.phase('c1') == 'suspect'
    scene.agent = make(scene.world, scene.store, settle=20.0, confirm=confirm)
    scene.tick(60)
    assert scene.phase('c1') == 'done'


def away(scene, seconds, **how):
    """Let nobody look for a while, and then an agent begin."""
    scene.clock.now += seconds
    for host, mark in scene.world.services.items():
        if host not in scene.clock.dead:
            at = scene.clock.now - 2
            scene.world.services[host] = dataclasses.replace(mark, heartbeat_at=at)
    scene.agent = make(scene.world, scene.store, **how)


@pytest.mark.parametrize('seconds', [400, 7200, 3 * 86400])
@pytest.mark.parametrize('confirm', [('webhook',), BOTH])
def test_a_host_that_lived_while_no_agent_ran_is_not_fenced_for_an_old_report(
    begin,  # noqa: F811
    seconds,
    confirm,
):
    scene = begin(confirm=confirm)
    scene.tick(30)
    if confirm == BOTH:
        show(scene, up=False)
    scene.agent.take('webhook', said(Claimed.DOWN, is_event=True))
    scene.tick(1)
    assert scene.phase('c1') == 'suspect'
    show(scene, up=True)
    away(scene, seconds, confirm=confirm, settle=5.0)
    scene.tick(40)
    assert scene.phase('c1') == 'closed' and scene.world.tried == []


@pytest.mark.parametrize('seconds', [400, 7200, 3 * 86400])
def test_a_host_that_died_before_no_agent_ran_is_rescued_by_the_next_one(
    begin,  # noqa: F811
    seconds,
):
    scene = begin(confirm=('webhook',), settle=20.0)
    scene.tick(30)
    scene.clock.dead.add('c1')
    scene.agent.take('webhook', said(Claimed.DOWN, is_event=True))
    scene.tick(1)
    assert scene.phase('c1') == 'suspect'
    away(scene, seconds, confirm=('webhook',), settle=5.0)
    scene.tick(60)
    assert scene.phase('c1') == 'done'


# S2
def test_a_host_that_lived_while_nova_was_silent_is_not_fenced_for_an_old_report(
    begin,  # noqa: F811
):
    scene = begin(confirm=('webhook',))
    scene.tick(30)
    scene.agent.take('webhook', said(Claimed.DOWN, is_event=True))
    scene.tick(1)
    scene.world.can_ask = False
    scene.tick(400)
    assert scene.phase('c1') == 'suspect'
    scene.world.can_ask = True
    scene.tick(60)
    assert scene.phase('c1') == 'closed' and scene.world.tried == []


@pytest.mark.parametrize('is_hidden', [True, False])
@pytest.mark.parametrize('seconds', [10, 400])
def test_what_is_taken_back_while_nova_does_not_show_the_host_counts(
    begin,  # noqa: F811
    is_hidden,
    seconds,
):
    scene = begin(confirm=('webhook',))
    scene.tick(30)
    # A person looks after the host: it reports no more, and must not be fenced for that.
    scene.clock.dead.add('c1')
    scene.agent.take('webhook', said(Claimed.DOWN))
    scene.tick(1)
    assert scene.phase('c1') == 'suspect'
    shown = scene.world.services['c1']
    scene.world.can_ask = is_hidden
    if is_hidden:
        del scene.world.services['c1']
    scene.tick(5)
    scene.agent.report('webhook', said(Claimed.RESOLVED))
    scene.tick(seconds)
    scene.world.services = {'c1': shown, **scene.world.services}
    scene.world.can_ask = True
    scene.tick(60)
    assert scene.phase('c1') == 'suspect' and scene.world.tried == []


def test_what_one_agent_heard_before_takes_back_nothing_that_another_hears_later(
    begin,  # noqa: F811
):
    scene = begin(confirm=('webhook',), settle=20.0)
    other = make(
        scene.world, scene.store, settle=20.0, confirm=('webhook',),
        locks=scene.agent._worker._locks,
    )  # fmt: skip
    scene.tick(30)
    rounds(other, scene.world, 1)
    other.take('webhook', said(Claimed.RESOLVED))
    scene.tick(2)
    scene.clock.dead.add('c1')
    for _ in range(60):
        scene.agent.take('webhook', said(Claimed.DOWN))
        scene.tick(1)
        rounds(other, scene.world, 1)
    assert scene.phase('c1') == 'done'


def test_a_report_counts_for_an_agent_that_has_not_received_it(begin):  # noqa: F811
    scene = begin(confirm=EITHER)
    other = make(
        scene.world, scene.store, settle=5.0, confirm=EITHER, locks=scene.agent._worker._locks
    )

    def both(seconds):
        for _ in range(seconds):
            scene.tick(1)
            rounds(other, scene.world, 1)

    both(30)
    scene.clock.dead.add('c1')
    scene.agent.take('webhook', said(Claimed.DOWN))
    both(1)
    assert scene.phase('c1') == 'suspect'
    both(60)
    assert scene.phase('c1') == 'done'


def test_what_its_own_source_takes_back_is_a_false_alarm(begin):  # noqa: F811
    scene = begin(confirm=EITHER, settle=20.0)
    scene.tick(30)
    scene.agent.take('webhook', said(Claimed.DOWN))
    scene.tick(1)
    assert scene.phase('c1') == 'suspect'
    scene.agent.take('webhook', said(Claimed.UP))
    scene.tick(1)
    assert scene.phase('c1') == 'closed' and scene.world.tried == []


@pytest.mark.parametrize('at', [0, 20])
def test_a_cell_that_is_hidden_for_one_look_costs_no_report(begin, at):  # noqa: F811
    scene = begin(confirm=BOTH)
    scene.tick(30)
    scene.clock.dead.add('c1')
    scene.agent.take('webhook', said(Claimed.DOWN, is_event=True))
    scene.tick(at)
    hidden = scene.world.services.pop('c1')
    scene.tick(1)
    scene.world.services = {'c1': hidden, **scene.world.services}
    scene.tick(60)
    assert scene.phase('c1') == 'done'


def test_what_is_reported_before_novas_first_answer_counts(begin):  # noqa: F811
    scene = begin(confirm=('nova_notifications',))
    scene.clock.dead.add('c1')
    scene.world.can_ask = False
    scene.agent.report('nova_notifications', said(Claimed.DOWN))
    scene.tick(2)
    scene.world.can_ask = True
    scene.tick(60)
    assert scene.phase('c1') == 'done'


def test_what_nova_does_not_show_for_long_takes_no_room(begin):  # noqa: F811
    scene = begin(confirm=BOTH)
    scene.tick(1)
    scene.agent.take('webhook', said(Claimed.DOWN))
    del scene.world.services['c1']
    scene.tick(2)
    assert len(scene.agent._reports) == 1
    scene.clock.now += service.report_table.HIDDEN_FOR
    scene.tick(1)
    assert len(scene.agent._reports) == 0


def test_a_suspect_of_an_older_version_must_be_down_for_all_of_settle_again(begin):  # noqa: F811
    scene = begin(silent={'c1': 100.0}, confirm=('services_api',), settle=20.0)
    scene.on_record('c1', Phase.SUSPECT, 15.0, agreed=())
    scene.tick(10)
    assert scene.phase('c1') == 'suspect'
    scene.tick(30)
    assert scene.phase('c1') == 'done'


@pytest.mark.parametrize('by', ['', 'ann'])
def test_a_host_that_nova_does_not_show_is_not_switched_off(begin, by):  # noqa: F811
    scene = begin(silent={'c1': 100.0})
    scene.on_record('c1', Phase.CONFIRMED, 90.0, released_by=by)
    removed = scene.world.services.pop('c1')
    scene.tick(30)
    assert scene.phase('c1') == 'confirmed' and scene.world.tried == []
    scene.world.services = {'c1': removed, **scene.world.services}
    scene.tick(30)
    assert scene.phase('c1') == 'done'


NOVAS = [('nova_notifications',), ('services_api', 'nova_notifications')]


def mark(scene, phase):
    """Let somebody mark c1, which is dead, and bring its incident into a phase."""
    scene.tick(30)
    scene.world.fails = True
    scene.clock.dead.add('c1')
    scene.agent.report('nova_notifications', said(Claimed.DOWN))
    scene.tick(20)
    known = scene.store.all('incident')['c1']
    value = {**known.value, 'phase': phase.value, 'changed': scene.clock.now}
    scene.store.put('incident', 'c1', value, known.version)


def live(scene, **more):
    """Let c1 live, in use by Nova."""
    scene.clock.dead.discard('c1')
    scene.world.fails = False
    scene.world.power['c1'] = 'on'
    scene.world.tried.clear()
    scene.world.services['c1'] = dataclasses.replace(
        scene.world.services['c1'], is_up=True, is_forced_down=False, is_disabled=False,
        heartbeat_at=scene.clock.now, **more,
    )  # fmt: skip


@pytest.mark.parametrize('confirm', NOVAS)
@pytest.mark.parametrize('is_restarted', [False, True])
@pytest.mark.parametrize('phase', [Phase.SUSPECT, Phase.CONFIRMED, Phase.DEFERRED, Phase.DROPPED])
def test_a_mark_that_nova_does_not_show_any_more_fences_no_host_that_was_added_again(
    begin,  # noqa: F811
    confirm,
    phase,
    is_restarted,
):
    scene = begin(confirm=confirm)
    mark(scene, phase)
    gone = scene.world.services.pop('c1')
    scene.tick(310)
    scene.world.services = {'c1': gone, **scene.world.services}
    live(scene, service_id='new')
    if is_restarted:
        scene.agent = make(scene.world, scene.store, confirm=confirm, settle=5.0)
    scene.tick(60)
    assert scene.phase('c1') == 'closed' and scene.world.tried == []
    # Its next failure is not the one that the old mark was about.
    scene.agent._observer._rule = service.confirmation.parse(
        ['nova_notifications'], [], ['nova_notifications']
    )
    scene.clock.dead.add('c1')
    scene.tick(60)
    assert scene.phase('c1') == 'closed' and scene.world.tried == []


def test_a_mark_counts_for_as_long_as_nova_shows_no_life_after_it(begin):  # noqa: F811
    scene = begin(confirm=('nova_notifications',))
    mark(scene, Phase.CONFIRMED)
    scene.tick(3600)
    assert scene.phase('c1') == 'confirmed'
    scene.world.fails = False
    scene.tick(30)
    assert scene.phase('c1') == 'done'
