# SPDX-License-Identifier: Apache-2.0
"""What is known of all hosts together."""

import datetime
import types

import pytest
import requests
from oslo_config import cfg

from heat_ha.cloud import compute_hosts
from heat_ha.cloud import model as cloud
from heat_ha.cloud.model import HostState, Server, ServerStatus, Sight
from heat_ha.conf import nova_hosts


def service(host, state='up', is_forced_down=False):
    return types.SimpleNamespace(host=host, state=state, forced_down=is_forced_down)


def table(monkeypatch, client):
    monkeypatch.setattr(compute_hosts, 'client_for', lambda _region, group: client)
    return compute_hosts.Hosts('one', 'p').all()


@pytest.mark.parametrize(
    ('services', 'sight'),
    [
        ([service('c1'), service('c2')], Sight.NONE_SILENT),
        ([service('c1'), service('c2', 'down')], Sight.SOME_SILENT),
        # Somebody has confirmed it, so it keeps nobody waiting.
        ([service('c1'), service('c2', 'down', True)], Sight.NONE_SILENT),
        ([], Sight.NONE_SILENT),
    ],
)
def test_a_host_is_silent_while_nobody_has_confirmed_that_it_is_down(monkeypatch, services, sight):
    client = types.SimpleNamespace(services=types.SimpleNamespace(list=lambda binary: services))
    assert table(monkeypatch, client).sight is sight


# S2
def test_no_answer_and_no_right_to_ask_are_told_from_each_other_and_from_any_answer(monkeypatch):
    def fail(binary):
        raise requests.ConnectionError('no route')

    client = types.SimpleNamespace(services=types.SimpleNamespace(list=fail))
    found = table(monkeypatch, client)
    server = Server('s', ServerStatus.ACTIVE, 'h')
    assert found.sight is Sight.COULD_NOT_ASK and found(server).state is HostState.UNKNOWN
    found = table(monkeypatch, None)
    assert found.sight is Sight.NO_CREDENTIAL and found(server).state is HostState.UNKNOWN


NOW = 1764280800.0
SERVER = Server('s', ServerStatus.ACTIVE, compute_hosts.host_id('p', 'c1'))


def time_text(at):
    found = datetime.datetime.fromtimestamp(at, datetime.timezone.utc)
    return found.replace(tzinfo=None).isoformat()


def look(monkeypatch, *, written, reason='', forced=True, state='down', settle=15.0, others=()):
    one = types.SimpleNamespace(
        host='c1', state=state, forced_down=forced, disabled_reason=reason or None,
        updated_at=written and time_text(written),
    )  # fmt: skip
    shown = [one, *others]
    client = types.SimpleNamespace(services=types.SimpleNamespace(list=lambda binary: shown))
    monkeypatch.setattr(compute_hosts.clock, 'epoch', lambda: NOW)
    monkeypatch.setattr(compute_hosts.nova_hosts, 'mark_settle', lambda *_args: settle)
    return table(monkeypatch, client)(SERVER)


# S1
@pytest.mark.parametrize(
    ('marked', 'written', 'state'),
    [
        # The mark itself, moments ago and long ago; clocks differ a little.
        (NOW, NOW, HostState.CONFIRMED_DOWN),
        (NOW - 5, NOW, HostState.CONFIRMED_DOWN),
        (NOW - 86400, NOW - 86400 + 25, HostState.CONFIRMED_DOWN),
        (NOW, NOW - 60, HostState.CONFIRMED_DOWN),
        # nova-compute wrote it after that: just now, and an hour ago, whatever it does since.
        (NOW - 86400, NOW - 3, HostState.UNKNOWN),
        (NOW - 86400, NOW - 3600, HostState.UNKNOWN),
        (NOW - 40, NOW, HostState.UNKNOWN),
        # The clock of the agent that marked it was ahead, a little or by hours.
        (NOW + 25, NOW, HostState.CONFIRMED_DOWN),
        (NOW + 7200, NOW - 3600, HostState.UNKNOWN),
        (NOW + 7200, NOW, HostState.UNKNOWN),
    ],
)
def test_a_host_that_was_heard_of_after_our_mark_is_not_confirmed_down(
    monkeypatch, marked, written, state
):
    seen = look(monkeypatch, written=written, reason=cloud.reason_of_mark('redfish', marked))
    assert seen.state is state
    if state is HostState.UNKNOWN:
        assert 'Fence it' in seen.detail and '--disable-reason' in seen.detail


# S1
@pytest.mark.parametrize('reason', ['', 'fenced by hand', 'AUTO: no libvirt'])
@pytest.mark.parametrize(
    ('age', 'settle', 'state'),
    [
        (0, 15, HostState.UNKNOWN),
        (14, 15, HostState.UNKNOWN),
        # The clock of this machine is behind.
        (-60, 15, HostState.UNKNOWN),
        (15, 15, HostState.CONFIRMED_DOWN),
        (86400, 15, HostState.CONFIRMED_DOWN),
        (0, 0, HostState.CONFIRMED_DOWN),
    ],
)
def test_a_mark_of_others_is_believed_once_the_host_is_silent(
    monkeypatch, reason, age, settle, state
):
    assert look(monkeypatch, written=NOW - age, reason=reason, settle=settle).state is state


# S1
@pytest.mark.parametrize(
    ('reported', 'state'),
    [
        # All that are up have reported since the marked one was last written.
        ((29, 5), HostState.CONFIRMED_DOWN),
        ((), HostState.CONFIRMED_DOWN),
        ((None, 5), HostState.CONFIRMED_DOWN),
        # Nova has written no reports for a while, or begins again just now.
        ((31, 32), HostState.UNKNOWN),
        ((31, 2), HostState.UNKNOWN),
        ((30,), HostState.UNKNOWN),
    ],
)
def test_a_mark_of_others_is_believed_only_where_the_others_were_heard(
    monkeypatch, reported, state
):
    def others(is_up=True, forced=False):
        return [
            types.SimpleNamespace(
                host=f'o{number}', state='up' if is_up else 'down', forced_down=forced,
                disabled_reason=None, updated_at=age and time_text(NOW - age),
            )
            for number, age in enumerate(reported)
        ]  # fmt: skip

    seen = look(monkeypatch, written=NOW - 30, others=others())
    assert seen.state is state, seen
    # Of those that are down themselves nobody expects reports. Our own mark has its time.
    for rest in (others(is_up=False), others(forced=True)):
        assert look(monkeypatch, written=NOW - 30, others=rest).state is HostState.CONFIRMED_DOWN
    ours = cloud.reason_of_mark('redfish', NOW - 30)
    found = look(monkeypatch, written=NOW - 30, reason=ours, others=others())
    assert found.state is HostState.CONFIRMED_DOWN
    assert look(monkeypatch, written=NOW - 30, others=others(), settle=0).state is found.state


@pytest.mark.parametrize('forced', [True, False])
def test_a_record_without_a_time_says_nothing_against_the_mark(monkeypatch, forced):
    wanted = HostState.CONFIRMED_DOWN if forced else HostState.DOWN
    assert look(monkeypatch, written=None, forced=forced).state is wanted


def test_how_long_a_mark_must_settle_is_an_option_of_both_credentials():
    for group in (nova_hosts.GROUP, nova_hosts.RESCUE):
        assert nova_hosts.mark_settle(cfg.CONF, group) == 15.0


# S1
@pytest.mark.parametrize(
    ('text', 'seconds'), [('', 15.0), ('nan', 15.0), ('inf', float('inf')), ('0', 0.0), ('7', 7.0)]
)
def test_a_mark_settles_as_by_default_where_the_option_is_no_number(tmp_path, text, seconds):
    (tmp_path / 'heat.conf').write_text(f'[heat_ha_nova]\nmark_settle = {text}\n')
    conf = cfg.ConfigOpts()
    conf(['--config-file', str(tmp_path / 'heat.conf')])
    assert nova_hosts.mark_settle(conf, nova_hosts.GROUP) == seconds


# S1
@pytest.mark.parametrize('order', [1, -1], ids=['live first', 'live last'])
@pytest.mark.parametrize(
    ('state', 'forced', 'found'),
    [('up', False, HostState.UP), ('down', False, HostState.DOWN)],
)
def test_a_record_of_yesterday_does_not_hide_that_of_a_host_that_may_live(
    monkeypatch, order, state, forced, found
):
    """A host that was moved to another cell may have left its record, and its mark, in the old."""
    record = {'host': 'c1', 'disabled_reason': None, 'updated_at': time_text(NOW - 9999)}
    records = [
        types.SimpleNamespace(**record, state=s, forced_down=f)
        for s, f in ((state, forced), ('down', True))
    ][::order]
    client = types.SimpleNamespace(services=types.SimpleNamespace(list=lambda binary: records))
    monkeypatch.setattr(compute_hosts.clock, 'epoch', lambda: NOW)
    monkeypatch.setattr(compute_hosts.nova_hosts, 'mark_settle', lambda *_args: 15.0)
    assert table(monkeypatch, client)(SERVER).state is found


# S1
@pytest.mark.parametrize('order', [1, -1], ids=['stale first', 'stale last'])
@pytest.mark.parametrize(
    ('after', 'state', 'found'),
    [
        (-9999, 'down', HostState.CONFIRMED_DOWN),
        (cloud.CLOCKS_APART + 1, 'down', HostState.DOWN),
        (-9999, 'up', HostState.UP),
    ],
)
def test_a_record_that_our_mark_on_another_one_has_overtaken_says_nothing(
    monkeypatch, order, after, state, found
):
    marked = NOW - 600
    mark = {'forced_down': True, 'disabled_reason': cloud.reason_of_mark('off', marked)}
    stale = {'forced_down': False, 'disabled_reason': None}
    records = [
        types.SimpleNamespace(host='c1', state=s, updated_at=time_text(at), **record)
        for s, at, record in ((state, marked + after, stale), ('down', marked, mark))
    ][::order]
    client = types.SimpleNamespace(services=types.SimpleNamespace(list=lambda binary: records))
    monkeypatch.setattr(compute_hosts.clock, 'epoch', lambda: NOW)
    monkeypatch.setattr(compute_hosts.nova_hosts, 'mark_settle', lambda *_args: 15.0)
    assert table(monkeypatch, client)(SERVER).state is found
