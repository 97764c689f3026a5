# SPDX-License-Identifier: Apache-2.0
"""A host that is marked as down is disabled beside it, by a thread."""

import threading
import types

import pytest
import tenacity
from novaclient import exceptions as nova_exceptions

from heat_ha import exceptions
from heat_ha.agent.adapters import nova_admin
from heat_ha.cloud import model as cloud

MARK = cloud.ComputeService('c1', 'id', False, False, False)


class Nova:
    """Nova's services, of which the disabling fails as often as a test says."""

    def __init__(self, failures):
        self.failures, self.tries = failures, 0
        self.is_forced_down = self.is_disabled = False
        self.may_answer = threading.Event()

    def _shown(self):
        return types.SimpleNamespace(
            host='c1', id='id', state='down', forced_down=self.is_forced_down,
            status='disabled' if self.is_disabled else 'enabled', disabled_reason=None,
            updated_at=None,
        )  # fmt: skip

    def list(self, binary):
        assert binary == 'nova-compute'
        return [self._shown()]

    def force_down(self, service, forced):
        assert service == 'id'
        self.is_forced_down = forced
        return self._shown()

    def disable_log_reason(self, service, reason):
        assert service == 'id' and reason == 'why'
        self.may_answer.wait(10)
        self.tries += 1
        if self.tries <= self.failures:
            raise ConnectionError('the API is being restarted')
        self.is_disabled = True


def marking(nova, monkeypatch):
    """A NovaAdmin that has told Nova of the dead host, and the thread that disables it."""
    admin = nova_admin.NovaAdmin(None)
    monkeypatch.setattr(nova_admin.compute_hosts, 'FAILURES', (ConnectionError,))
    monkeypatch.setattr(
        nova_admin.compute_hosts, 'client_for', lambda *_args: types.SimpleNamespace(services=nova)
    )
    monkeypatch.setattr(
        nova_admin,
        '_retrying',
        lambda: tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(exceptions.CouldNotAsk),
            stop=tenacity.stop_after_attempt(5),
            reraise=True,
        ),
    )
    assert admin.mark_down(MARK, 'why').is_forced_down
    [thread] = [t for t in threading.enumerate() if t.name == 'disable']
    return thread


def test_nobody_waits_until_the_host_is_disabled_too(monkeypatch):
    nova = Nova(0)
    thread = marking(nova, monkeypatch)
    assert thread.is_alive() and not nova.is_disabled
    nova.may_answer.set()
    thread.join(10)
    assert nova.is_disabled


@pytest.mark.parametrize(('failures', 'is_disabled'), [(2, True), (99, False)])
def test_a_nova_that_is_being_restarted_is_asked_again_but_not_for_ever(
    monkeypatch, caplog, failures, is_disabled
):
    nova = Nova(failures)
    thread = marking(nova, monkeypatch)
    nova.may_answer.set()
    thread.join(10)
    assert nova.is_disabled is is_disabled and nova.tries == min(failures + 1, 5)
    assert ('not disabled' in caplog.text) is not is_disabled


def test_a_host_that_was_let_in_again_is_not_disabled_any_more(monkeypatch):
    nova = Nova(1)
    thread = marking(nova, monkeypatch)
    nova.is_forced_down = False
    nova.may_answer.set()
    thread.join(10)
    assert nova.tries == 1 and not nova.is_disabled


@pytest.mark.parametrize(
    ('shown', 'deleted', 'host'),
    [('c1', [], 'c1'), (None, [('s', 'c2')], 'c2'), (None, [('other', 'c3')], ''), (None, [], '')],
)
def test_the_host_of_a_server_is_found_also_when_it_is_deleted(monkeypatch, shown, deleted, host):
    def server(name, on):
        return types.SimpleNamespace(id=name, **{'OS-EXT-SRV-ATTR:host': on})

    def get(name):
        if shown is None:
            raise nova_exceptions.NotFound(404)
        return server(name, shown)

    def find(search_opts):
        assert search_opts == {'all_tenants': True, 'deleted': True, 'uuid': 's'}
        return [server(*one) for one in deleted]

    client = types.SimpleNamespace(servers=types.SimpleNamespace(get=get, list=find))
    monkeypatch.setattr(nova_admin.compute_hosts, 'client_for', lambda *_args: client)
    assert nova_admin.NovaAdmin('one').host_of('s') == host
