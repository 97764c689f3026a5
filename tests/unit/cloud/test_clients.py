# SPDX-License-Identifier: Apache-2.0
from unittest import mock

import pytest
from keystoneauth1 import discover

from heat_ha.cloud import clients


@pytest.fixture(autouse=True)
def _nothing_kept():
    clients._slot_of.cache_clear()
    clients._VERSIONS.clear()


def resource(trust):
    """A resource as one request sees it: with a context of its own, and what that logs in with."""
    found = mock.Mock()
    found.context.trust_id = trust
    found.context.keystone_session.verify = True
    found.context.keystone_session.cert = None
    found.context.keystone_session.auth._discovery_cache = {}
    return found


def test_the_signals_to_a_stack_log_in_once():
    first, second = resource('t1'), resource('t1')
    session = clients.session_of(first)
    assert clients.session_of(second) is session
    assert session.auth is first.context.keystone_session.auth
    assert session.timeout == clients.CALL_LIMIT


def test_what_heat_asks_for_by_itself_goes_with_the_same_token():
    first, second, third = (resource('t1') for _ in range(3))
    for one in (first, second):
        one.context._auth_plugin = None
    session = clients.session_of(first)
    for one in (second, third):
        clients.session_of(one)
    assert second.context._auth_plugin is session.auth
    assert third.context._auth_plugin is not session.auth, 'it has logged in before'
    other = resource('t2')
    other.context._auth_plugin = None
    assert clients.session_of(other) is not session
    assert other.context._auth_plugin is not session.auth


def test_the_versions_of_a_service_are_asked_for_once_by_all_stacks(monkeypatch):
    asked = []
    monkeypatch.setattr(
        discover.Discover, '__init__', lambda self, session, url, **_kw: asked.append(url)
    )
    for trust in ('t1', 't2'):
        discover.get_discovery(clients.session_of(resource(trust)), 'http://keystone.example/v3')
    assert asked == ['http://keystone.example/v3']


def test_what_is_known_of_versions_does_not_grow_without_end():
    for number in range(3 * clients.KNOWN_ADDRESSES):
        clients._VERSIONS[f'http://{number}.example'] = number
    assert len(clients._VERSIONS) <= clients.KNOWN_ADDRESSES


def test_nobody_gets_the_session_of_another_stack():
    assert clients.session_of(resource('t1')) is not clients.session_of(resource('t2'))


def test_a_stack_without_a_trust_logs_in_for_each_signal():
    # Its credentials are a user's token: another user may have sent the next request.
    assert clients.session_of(resource(None)) is not clients.session_of(resource(None))


def test_sessions_of_stacks_that_are_gone_make_room():
    first = clients.session_of(resource('t0'))
    for number in range(clients.RETAINED_SESSIONS):
        clients.session_of(resource(f'x{number}'))
    assert clients.session_of(resource('t0')) is not first
