# SPDX-License-Identifier: Apache-2.0
"""The engine that carries a RemoteStack dies at each step: `make regions`.

It is killed while a request of its own is on the way to the region. Its owner then asks for the
same again, and the other engine goes on.
"""

import contextlib
import threading

import pytest

from lab.client import engines, hosts, waiting
from lab.client.cut import Mode, When

pytestmark = pytest.mark.regions

FIRST_LOOK = r'^GET .*tags='
LOOK = r'^GET .*resolve_outputs=False'
OUTPUTS = r'^GET .*resolve_outputs=True'


@pytest.fixture
def kill():
    """Kill the one engine that a function names; it is back after the test."""
    killed = []

    def carrier(find):
        (name,) = find()
        hosts.run_lab('kill', name)
        killed.append(name)

    yield carrier
    for name in killed:
        hosts.run_lab('start', name)


def dies(parent, far, kill, pattern, when):
    """The engine that works on the parent dies at the first request that matches.

    Not in the middle of the part in its own region: it would have to be told that once more, which
    is a matter of its own (``test_remote_stack_stall``) and takes minutes.
    """

    def die():
        waiting.until(lambda: engines.parts_rest(parent.stack.name), 'the part at home is at rest')
        kill(lambda: engines.working_on(parent.stack.id))

    return far.cut.trap(pattern, when, die)


@pytest.mark.parametrize(
    ('pattern', 'when'),
    [
        (FIRST_LOOK, When.BEFORE),
        (r'^POST ', When.BEFORE),
        (r'^POST ', When.AFTER),
        (LOOK, When.AFTER),
        (OUTPUTS, When.AFTER),
    ],
)
def test_killed_in_a_create(parent, far, kill, pattern, when):
    with dies(parent, far, kill, pattern, when) as dead:
        parent.stack.create(parent.wanted, wait=False)
        assert dead.wait(60 * waiting.PATIENCE)
    parent.update()
    assert parent.of_far('state') == 'ready' and far.output(parent.prefix, 'text') == 'one'
    parent.assert_settled()


@pytest.mark.parametrize(
    ('pattern', 'when'), [(r'^PUT ', When.BEFORE), (r'^PUT ', When.AFTER), (OUTPUTS, When.AFTER)]
)
def test_killed_in_an_update(parent, far, kill, pattern, when):
    parent.create()
    before = far.show(parent.prefix)['id']
    with dies(parent, far, kill, pattern, when) as dead:
        parent.wanted['text'] = 'two'
        parent.stack.update(parent.wanted, wait=False)
        assert dead.wait(60 * waiting.PATIENCE)
    parent.update()
    assert far.show(parent.prefix)['id'] == before
    assert far.output(parent.prefix, 'text') == 'two'
    parent.assert_settled()


@pytest.mark.parametrize('when', list(When))
def test_killed_in_a_delete(parent, far, kill, when):
    parent.create()
    with dies(parent, far, kill, r'^DELETE ', when) as dead:
        parent.stack.cloud.orchestration.delete(f'/stacks/{parent.stack.name}/{parent.stack.id}')
        assert dead.wait(60 * waiting.PATIENCE)
    parent.stack.delete()
    far.wait_gone(parent.prefix)
    assert not parent.tombstones()


def signal(parent):
    # Whoever signals gets no answer: the engine dies in the middle of it.
    with contextlib.suppress(AssertionError):
        parent.stack.signal('remote', {'action': 'sync'})


@pytest.mark.parametrize('when', list(When))
def test_killed_while_it_tells_what_was_pending(parent, far, kill, when):
    far.cut.be(Mode.REFUSED)
    parent.create()
    far.cut.be(Mode.OPEN)
    with far.cut.trap(r'^POST ', when, lambda: kill(lambda: {engines.carrying()})) as dead:
        threading.Thread(target=signal, args=(parent,), daemon=True).start()
        assert dead.wait(60 * waiting.PATIENCE)
    parent.sync(seconds=90)
    assert far.output(parent.prefix, 'text') == 'one'
    parent.assert_settled()
