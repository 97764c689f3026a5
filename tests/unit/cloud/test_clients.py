# SPDX-License-Identifier: Apache-2.0
from unittest import mock

import pytest

from heat_ha.cloud import clients


@pytest.fixture(autouse=True)
def _nothing_kept():
    clients._slot_of.cache_clear()


def resource(trust):
    """A resource as one request sees it: with a context of its own, and what that logs in with."""
    found = mock.Mock()
    found.context.trust_id = trust
    found.context.keystone_session.verify = True
    found.context.keystone_session.cert = None
    return found


def test_the_signals_to_a_stack_log_in_once():
    first, second = resource('t1'), resource('t1')
    session = clients.session_of(first)
    assert clients.session_of(second) is session
    assert session.auth is first.context.keystone_session.auth
    assert session.timeout == clients.CALL_LIMIT


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
