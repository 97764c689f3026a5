# SPDX-License-Identifier: Apache-2.0
import threading
import time

import pytest

from heat_ha.failover import attachment_poller

# Seconds after which a wait that nobody ends would end by itself.
LONG = 20.0


@pytest.fixture
def watched():
    """A watch at work, and the list in which its next answers stand; the last one stays."""
    answers = [frozenset({('v1', 'a'), ('v2', 'a')})]

    def look():
        return answers.pop(0) if len(answers) > 1 else answers[0]

    found = attachment_poller.AttachmentPoller(look, 0.001)
    thread = threading.Thread(target=found.run, daemon=True)
    thread.start()
    time.sleep(0.05)
    yield found, answers
    found.end()
    thread.join(LONG)
    assert not thread.is_alive()


def waited(found, volume, known, seconds):
    begin = time.monotonic()
    found.wait(volume, known, seconds)
    return time.monotonic() - begin


def test_a_step_is_woken_when_its_volume_moved_and_no_other_is(watched):
    found, answers = watched
    answers.append(frozenset({('v2', 'a')}))
    assert waited(found, 'v1', 0, LONG) < LONG / 2
    assert found.changes('v1') == 1 and found.changes('v2') == 0


def test_a_change_between_a_look_and_the_wait_is_not_missed(watched):
    found, answers = watched
    answers.append(frozenset({('v1', 'b'), ('v2', 'a')}))
    while not found.changes('v1'):
        time.sleep(0.001)
    assert waited(found, 'v1', 0, LONG) < LONG / 2


def test_cinder_that_could_not_be_asked_is_no_change(watched):
    found, answers = watched
    answers.extend([None, answers[0], None, answers[0]])
    assert waited(found, 'v1', 0, 0.05) >= 0.05
    assert found.changes('v1') == found.changes('v2') == 0


def test_whoever_waits_is_woken_at_the_end(watched):
    found, _ = watched
    threading.Timer(0.05, found.end).start()
    assert waited(found, 'v1', 0, LONG) < LONG / 2
