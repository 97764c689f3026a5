# SPDX-License-Identifier: Apache-2.0
"""A stack takes any number of signals, although Heat's engine has room for 1000 threads of it."""

import collections
import threading
import types

import pytest
from heat.engine import resource, service

from heat_ha.cloud import heat_threads, lease
from heat_ha.plugin import (
    failover_policy,
    remote_stack,
    remote_tombstone,
    rescue_policy,
    scaling_policy,
)

# More than the group of a stack's threads takes.
MANY = 1100

POLICIES = (
    failover_policy.FailoverPolicy,
    rescue_policy.RescuePolicy,
    scaling_policy.ScalingPolicy,
    remote_stack.RemoteStack,
    remote_tombstone.RemoteStackTombstone,
)

keeps_threads = pytest.mark.skipif(
    not hasattr(service, 'ThreadWithCallback'), reason='this Heat forgets its threads by itself'
)


@pytest.fixture
def manager(monkeypatch):
    """What an engine starts threads with."""
    made = service.ThreadGroupManager()
    engine = types.SimpleNamespace(thread_group_mgr=made, engine_id='engine')
    monkeypatch.setattr(lease, 'engine_service', lambda: engine)
    return made


def run(manager, func, *args):
    """Let the engine do something for the stack, and wait for it."""
    ended = threading.Event()
    done = []

    def work():
        try:
            done.append(func(*args))
        finally:
            ended.set()

    manager.start('id', work)
    assert ended.wait(10)
    return done


@keeps_threads
@pytest.mark.parametrize('kind', POLICIES, ids=lambda kind: kind.__name__)
def test_a_stack_that_was_signalled_often_can_still_be_updated(manager, monkeypatch, kind):
    policy = object.__new__(kind)
    policy.name, policy.properties = 'policy', collections.defaultdict(str)
    owner = types.SimpleNamespace(id='id', name='stack')
    policy._stackref = lambda: owner
    # The first thing that each does with what it is sent; what follows is no matter here.
    signalled = []

    def refuse(*_args, **_kwargs):
        signalled.append(1)
        raise resource.NoActionRequired(res_name='policy', reason='enough is seen')

    for name in ('signals', 'command', 'record'):
        module = __import__(kind.__module__, fromlist=[''])
        if hasattr(module, name):
            stand_in = types.SimpleNamespace(parse=refuse, Store=refuse)
            monkeypatch.setattr(module, name, stand_in)
    monkeypatch.setattr(kind, '_adjusting', refuse, raising=False)

    for _ in range(MANY):
        run(manager, _without_error, policy.handle_signal)
    assert len(signalled) == MANY
    assert run(manager, lambda: 'updated') == ['updated']


def _without_error(call):
    try:
        call()
    except resource.NoActionRequired:
        return


@keeps_threads
def test_a_thread_that_runs_is_kept_and_one_that_was_forgotten_calls_back(manager):
    may_end, called = threading.Event(), []
    running = manager.start('id', may_end.wait)
    ended = manager.start('id', int)
    ended.join()
    other = manager.start('other', int)
    other.join()
    assert heat_threads.forget_finished('id') == 1
    assert manager.groups['id'].threads == [running]
    assert manager.groups['other'].threads == [other]
    ended.link(lambda thread: called.append(thread))
    assert called == [ended]
    may_end.set()
    running.join()
    assert heat_threads.forget_finished('id') == 1 and manager.groups['id'].threads == []


class Strange:
    """Something that is not as in any Heat that is known."""

    @property
    def thread_group_mgr(self):
        raise RuntimeError('it is not as it was')


@pytest.mark.parametrize(
    'engine',
    [
        None,
        Strange(),
        types.SimpleNamespace(),
        types.SimpleNamespace(thread_group_mgr=types.SimpleNamespace()),
        types.SimpleNamespace(thread_group_mgr=types.SimpleNamespace(groups={'id': None})),
        types.SimpleNamespace(
            # As with eventlet: the group has something else than threads, and no lock.
            thread_group_mgr=types.SimpleNamespace(
                groups={'id': types.SimpleNamespace(threads=['green'])}
            )
        ),
        types.SimpleNamespace(
            thread_group_mgr=types.SimpleNamespace(
                groups={'id': types.SimpleNamespace(threads=[1], _lock=threading.Lock())}
            )
        ),
    ],
)
def test_a_heat_that_keeps_its_threads_otherwise_is_left_alone(monkeypatch, engine):
    monkeypatch.setattr(lease, 'engine_service', lambda: engine)
    assert heat_threads.forget_finished('id') == 0
