# SPDX-License-Identifier: Apache-2.0
"""Stopped plans that meet another alarm, a person who mends something, or a failed new member."""

import contextlib
import time
from unittest import mock

import pytest

from heat_ha.cloud import model as cloud_model
from heat_ha.failover import work_loop
from heat_ha.failover.rules import retry
from tests.plugin import volumes
from tests.plugin.scaling import names
from tests.plugin.test_spared_active import cloud

__all__ = ['cloud']

pytestmark = pytest.mark.engine

CHAINED = """
adjustment_type: replace_oldest
auto_scaling_policy_id: {get_resource: failover}
scaling_adjustment: 1
"""
DELETE_FIRST = f'{CHAINED}replacement_order: delete_first\n'


@pytest.fixture(autouse=True)
def impatient(engine, monkeypatch):
    """Give what Nova refuses up soon, and let a thread that has nothing to do end."""
    own_clock = mock.Mock(wraps=time, sleep=engine.sleep, monotonic=engine.monotonic)
    monkeypatch.setattr(work_loop, 'time', own_clock)
    monkeypatch.setattr(work_loop.work, 'PATIENCE', 3.0)
    monkeypatch.setattr(retry, 'REFUSED_FOR', 0.2)
    monkeypatch.setattr(retry, 'CONFLICT_FOR', 0.2)


@contextlib.contextmanager
def no_valid_host(engine):
    mark = engine.servers / 'no-valid-host'
    mark.touch()
    yield
    mark.unlink()


@contextlib.contextmanager
def nothing_is_detached(cloud):
    really = cloud.detach
    cloud.detach = lambda _server, _volume: (cloud_model.Reply.REFUSED, 'HTTP 500')
    yield
    cloud.detach = really


def test_a_group_that_keeps_a_failed_member_for_a_look_gets_all_others_back(engine, cloud):
    text = volumes.with_failover(DELETE_FIRST, size=2, most=2, properties='keep_failed: 43200')
    stack = engine.create(text)
    cloud.shut_off.add(volumes.active(engine, stack).server)
    engine.signal(stack, 'policy')
    third = names(engine, stack)[-1]
    with no_valid_host(engine):
        engine.signal(stack, 'policy', {'member': third})
    assert volumes.known(engine, stack).follow_ups
    engine.signal(stack, 'failover', {'action': 'resume'})
    assert len(names(engine, stack)) == 3 and third not in names(engine, stack)


def test_a_repeated_alarm_has_no_healthy_active_replaced_by_a_stopped_switchover(engine, cloud):
    stack = engine.create(volumes.with_failover(CHAINED, size=3, properties='cooldown: 3600'))
    cloud.shut_off.add(volumes.active(engine, stack).server)
    engine.signal(stack, 'policy')
    active = volumes.active(engine, stack)
    other = next(name for name in names(engine, stack) if name != active.member)
    with nothing_is_detached(cloud):
        engine.signal(stack, 'failover', {'action': 'switchover', 'member': other})
        engine.signal(stack, 'policy')
    engine.signal(stack, 'failover', {'action': 'resume'})
    assert volumes.active(engine, stack).member == other
    assert active.member in names(engine, stack)


def test_nothing_shuts_the_old_active_off_that_a_person_has_started_for_fail_back(engine, cloud):
    properties = 'quiesce: {server_action: stop}'
    stack = engine.create(volumes.with_failover(CHAINED, size=3, properties=properties))
    old = volumes.active(engine, stack)
    really = cloud.stop
    cloud.stop = lambda server: (cloud.shut_off.add(server), really(server))[1]
    with nothing_is_detached(cloud):
        engine.signal(stack, 'failover')
        cloud.shut_off.discard(old.server)
        engine.signal(stack, 'failover', {'action': 'retry'})
    assert old.server not in cloud.shut_off
    engine.signal(stack, 'failover', {'action': 'fail_back'})
    assert volumes.active(engine, stack) == old and cloud.holder('v1') == old.server


def test_on_the_way_back_nobody_is_replaced_who_never_came(engine, cloud):
    stack = engine.create(volumes.with_failover(CHAINED, size=1, most=1))
    old = volumes.active(engine, stack)
    cloud.shut_off.add(old.server)
    with no_valid_host(engine):
        engine.signal(stack, 'policy')
        cloud.shut_off.clear()
        engine.signal(stack, 'failover', {'action': 'fail_back'})
    assert names(engine, stack) == [old.member]
    assert not any('replaced ha' in text for text in volumes.texts(engine, stack))
