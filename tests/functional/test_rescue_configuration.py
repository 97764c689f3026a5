# SPDX-License-Identifier: Apache-2.0
"""A server that is evacuated is configured again, where its policy says so."""

import contextlib

import pytest

from lab.client import guest, hosts, waiting

HEARD = 'the service is set up'

pytestmark = pytest.mark.thorough


def test_a_server_that_is_evacuated_is_configured_again(make_stack, admin):
    with contextlib.ExitStack() as left:
        stack = make_stack('rescue_configured.yaml', create=False)
        stack.create(wait=False)
        [server] = waiting.until(stack.servers, 'the server is made')
        inside = left.enter_context(guest.Guest(admin, server))
        stack.wait('CREATE')
        assert [said.strip() for _, said in inside.ran] == [HEARD], inside.errors
        home = hosts.host_of(admin, server)
        inside.mute = True
        with hosts.dead_and_confirmed(admin, home):
            stack.signal('rescue')
            # It is back, and has run it; but nobody has said that it has succeeded.
            waiting.until(lambda: len(inside.ran) > 1, 'it is configured again', seconds=90)
            assert hosts.host_of(admin, server) != home
            assert stack.attribute('rescue', 'state') == 'running'
            assert stack.attribute('rescue', 'history') == []
            # An answer is late rather than lost.
            inside.mute = False
            inside.answer_again()
            waiting.until(
                lambda: stack.attribute('rescue', 'state') == 'ready', 'it is rescued', seconds=60
            )
        assert [said.strip() for _, said in inside.ran] == [HEARD] * 2
        [line] = stack.output('history')
        assert line['outcome'] == 'done' and line['reason'].endswith('configured again'), line
        [event] = [e for e in stack.events('rescue') if 'are applied again' in e]
        assert '1 software deployments' in event
