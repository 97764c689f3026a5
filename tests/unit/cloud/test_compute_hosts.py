# SPDX-License-Identifier: Apache-2.0
"""What is known of all hosts together."""

import types

import pytest
import requests

from heat_ha.cloud import compute_hosts
from heat_ha.cloud.model import HostState, Server, ServerStatus, Sight


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
