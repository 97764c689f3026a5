# SPDX-License-Identifier: Apache-2.0
"""One connection for all guests, beside a Ceph that refuses, hangs, or shuts the agent out."""

import errno
import threading
import time

import pytest

from heat_ha import exceptions
from heat_ha.fencing import ceph, ceph_guests, ceph_images, deadline
from tests.unit.fencing.test_ceph import Monitors


class Cluster(Monitors):
    """``answers`` are what looks at images do, one after the other; then they find nothing.

    :ivar at_shutdown: how many looks were at work when a connection was shut down, once each.
    """

    def __init__(self):
        super().__init__()
        self.answers, self.at_work, self.at_shutdown = [], 0, []
        self._guard = threading.Lock()

    def shutdown(self):
        self.at_shutdown.append(self.at_work)
        super().shutdown()

    def opened(self, _made, _pool, _volumes):
        with self._guard:
            self.at_work += 1
            answer = self.answers.pop(0) if self.answers else None
        try:
            if isinstance(answer, threading.Event):
                answer.wait()
            elif answer is not None:
                raise answer
            return {}
        finally:
            with self._guard:
                self.at_work -= 1


@pytest.fixture
def cluster(monkeypatch):
    made = Cluster()
    monkeypatch.setattr(ceph, 'rados', made)
    monkeypatch.setattr(ceph_images, 'rbd', made)
    monkeypatch.setattr(ceph_images, '_opened', made.opened)
    yield made
    made.hangs.set()


@pytest.fixture
def connection(cluster):
    return ceph_guests.Connection(ceph.Cluster(), 0.3)


def look(connection, whom='s1'):
    return connection.opened(['v1'], whom)


def fails(connection, whom='s1'):
    with pytest.raises(exceptions.CouldNotAsk) as failed:
        look(connection, whom)
    return str(failed.value)


def until(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


class ImageError(OSError):
    """As rbd's: with an errno."""


@pytest.mark.parametrize(
    'answer',
    [
        ImageError(errno.ENOENT, 'the pool is not there'),
        ImageError(errno.ETIMEDOUT, 'RBD timed out'),
        ValueError('anything else'),
    ],
)
def test_what_is_wrong_with_an_image_costs_no_connection(cluster, connection, answer):
    cluster.answers = [answer] * 20
    for _ in range(20):
        assert str(answer) in fails(connection)
    assert look(connection) == {}
    assert (cluster.made, cluster.open) == (1, 1)
    connection.close()
    assert cluster.open == 0


def test_a_connection_that_is_of_no_use_is_shut_down_and_made_anew(cluster, connection):
    for number in range(20):
        cluster.answers = [ImageError(errno.ESHUTDOWN, 'the client is refused')]
        assert 'is refused' in fails(connection)
        assert (cluster.made, cluster.open) == (number + 1, 0)
    assert look(connection) == {} and cluster.open == 1


def test_a_connection_that_cannot_be_made_leaves_nothing_and_is_not_tried_at_once(
    cluster, connection, monkeypatch
):
    cluster.refuses = True
    for _ in range(20):
        assert 'error connecting' in fails(connection)
    assert (cluster.made, cluster.open) == (1, 0)
    cluster.refuses = False
    monkeypatch.setattr(ceph_guests, 'AGAIN_AFTER', 0.0)
    assert look(connection) == {}
    assert (cluster.made, cluster.open) == (2, 1)


def test_guests_that_come_at_once_have_one_connection(cluster, connection):
    cluster.hangs.clear()
    found = []
    threads = [
        threading.Thread(target=lambda n=n: found.append(look(connection, f's{n}')))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    cluster.hangs.set()
    for thread in threads:
        thread.join()
    assert found == [{}] * 8 and (cluster.made, cluster.open) == (1, 1)


def test_no_call_is_at_work_when_its_connection_is_shut_down(cluster, connection):
    ends, others = threading.Event(), threading.Event()
    cluster.answers = [ends, others]
    assert 'no answer within' in fails(connection, 's1')
    # Its connection is dropped, and used by nobody new.
    assert 'no answer within' in fails(connection, 's2')
    assert look(connection, 's3') == {}
    assert cluster.made == 3 and not cluster.at_shutdown
    ends.set()
    others.set()
    until(lambda: cluster.open == 1)
    assert cluster.at_shutdown[-1] == 0 and len(cluster.at_shutdown) == 2


def test_an_agent_that_leaves_a_cluster_cuts_no_call_off(cluster):
    ends = threading.Event()
    cluster.answers = [ends]
    slow = ceph_guests.Connection(ceph.Cluster(), 30.0)
    asking = threading.Thread(target=look, args=(slow,))
    asking.start()
    until(lambda: cluster.at_work == 1)
    slow.close()
    assert not cluster.at_shutdown
    ends.set()
    asking.join()
    until(lambda: cluster.at_shutdown == [0])


def test_calls_that_never_end_have_few_connections_and_say_what_helps(cluster, connection):
    ends = threading.Event()
    cluster.answers = [ends] * deadline.MOST_LEFT
    for number in range(deadline.MOST_LEFT):
        assert 'no answer within' in fails(connection, f's{number}')
    for number in range(10, 20):
        assert 'restart heat-ha-agent' in fails(connection, f's{number}')
    assert cluster.made == deadline.MOST_LEFT
    ends.set()
    until(lambda: cluster.open == 0)
    assert look(connection) == {}


def test_without_its_bindings_nothing_is_connected_to(cluster, connection, monkeypatch):
    monkeypatch.setattr(ceph_images, 'rbd', None)
    assert 'python3-rbd' in fails(connection)
    assert cluster.made == 0


def test_what_the_user_may_do_by_now_is_seen_by_a_new_connection(cluster, connection, monkeypatch):
    cluster.answers = [ImageError(errno.EPERM, 'RBD permission error')] * 3
    fails(connection)
    fails(connection)
    assert cluster.made == 1, 'not with each look'
    monkeypatch.setattr(ceph_guests, 'AGAIN_AFTER', 0.0)
    fails(connection)
    assert look(connection) == {} and (cluster.made, cluster.open) == (2, 1)


def test_an_entry_that_was_given_up_is_not_made_later(cluster, connection):
    look(connection)
    cluster.answers = [ImageError(errno.ESHUTDOWN, 'the client is refused')]
    fails(connection, 's2')
    # Another connection has to be made, and the monitors do not answer.
    cluster.hangs.clear()
    with pytest.raises(exceptions.CouldNotAsk):
        connection.shut_out(['192.0.2.11:0/1'], 3600.0, 's1')
    cluster.hangs.set()
    until(lambda: not [t for t in threading.enumerate() if t.name == 'deadline'])
    assert not cluster.added()


def test_of_many_clients_none_is_refused_after_the_time_is_over(cluster, monkeypatch):
    monkeypatch.setattr(ceph_guests, 'AT_ONCE', 1)
    slow, real = ceph_guests.Connection(ceph.Cluster(), 0.6), cluster.mon_command

    def command(*args):
        time.sleep(0.2)
        return real(*args)

    monkeypatch.setattr(cluster, 'mon_command', command)
    with pytest.raises(exceptions.CouldNotAsk):
        slow.shut_out([f'192.0.2.11:0/{number}' for number in range(9)], 3600.0, 's1')
    until(lambda: not [t for t in threading.enumerate() if t.name == 'deadline'])
    assert 1 <= len(cluster.added()) <= 3


def test_a_connection_that_is_made_after_its_cluster_was_left_is_shut_down(cluster, connection):
    cluster.hangs.clear()
    assert 'no answer within' in fails(connection)
    connection.close()
    cluster.hangs.set()
    until(lambda: cluster.at_shutdown and cluster.open == 0)
    assert 'was left' in fails(connection)


def test_shutdowns_that_take_long_and_end_are_over(cluster, connection, monkeypatch):
    real = cluster.shutdown

    def slow():
        time.sleep(0.4)
        real()

    monkeypatch.setattr(cluster, 'shutdown', slow)
    for _ in range(deadline.MOST_LEFT):
        cluster.answers = [ImageError(errno.ESHUTDOWN, 'the client is refused')]
        fails(connection)
    until(lambda: cluster.open == 0)
    until(lambda: not connection._dropped)
    assert look(connection) == {}


def test_shutdowns_for_which_there_was_no_room_are_made_up_for(cluster, connection, monkeypatch):
    def full(*_args, **_more):
        raise deadline.NotBegun('4 calls of before have not ended')

    real = deadline.call
    for _ in range(deadline.MOST_LEFT):
        cluster.answers = [ImageError(errno.ESHUTDOWN, 'the client is refused')]
        monkeypatch.setattr(
            deadline,
            'call',
            lambda work, *more: (full if 'is left' in more[1] else real)(work, *more),
        )
        fails(connection)
    assert cluster.open == deadline.MOST_LEFT
    monkeypatch.setattr(deadline, 'call', real)
    assert look(connection) == {} and cluster.open == 1


def test_what_the_user_may_ask_the_monitors_by_now_is_seen_by_a_new_connection(
    cluster, connection, monkeypatch
):
    cluster.code = -errno.EACCES
    with pytest.raises(exceptions.CouldNotAsk, match='access denied'):
        connection.listed('s1')
    assert cluster.open == 1
    monkeypatch.setattr(ceph_guests, 'AGAIN_AFTER', 0.0)
    with pytest.raises(exceptions.CouldNotAsk, match='access denied'):
        connection.listed('s1')
    assert cluster.open == 0
