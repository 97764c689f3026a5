# SPDX-License-Identifier: Apache-2.0
import types

import pytest
from keystoneauth1 import exceptions as keystone_exceptions
from novaclient import exceptions as nova_exceptions

from heat_ha.agent.adapters import credential


class Nova:
    """Answers each call in the same way, and notes what it was asked to change."""

    def __init__(self, failure=None, roles=('admin', 'member')):
        self.failure = failure
        self.changed = []
        access = types.SimpleNamespace(role_names=list(roles))
        auth = types.SimpleNamespace(get_access=lambda _session: access)
        self.client = types.SimpleNamespace(session=types.SimpleNamespace(auth=auth))
        self.services = types.SimpleNamespace(
            list=self.read, force_down=self.write, disable_log_reason=self.write, enable=self.write
        )
        self.servers = self.migrations = types.SimpleNamespace(list=self.read)

    def read(self, **_search):
        if self.failure:
            raise self.failure
        return []

    def write(self, service, *_rest):
        self.changed.append(service)
        raise self.failure or nova_exceptions.NotFound(404)


@pytest.fixture
def nova(monkeypatch):
    def use(made):
        monkeypatch.setattr(credential.compute_hosts, 'client_for', lambda *_: made)
        return made

    return use


def test_a_credential_that_may_do_everything_changes_nothing(nova):
    made = nova(Nova())
    assert [right for right in credential.rights(None) if right.problem] == []
    assert set(made.changed) == {credential.NOBODY}


@pytest.mark.parametrize(
    'failure',
    [nova_exceptions.Forbidden(403), nova_exceptions.Unauthorized(401), OSError(), None],
    ids=['forbidden', 'unauthorized', 'no answer', 'no credential'],
)
def test_each_call_that_the_credential_cannot_make_is_named(nova, failure):
    if isinstance(failure, OSError):
        import requests

        failure = requests.ConnectionError('refused')
    nova(Nova(failure) if failure else None)
    found = [right.call for right in credential.rights(None) if right.problem]
    assert found == [call for call, _try in credential.CALLS]


def test_a_credential_that_lacks_an_option_is_named(monkeypatch):
    def client_for(*_):
        raise keystone_exceptions.MissingRequiredOptions([types.SimpleNamespace(dest='auth_url')])

    monkeypatch.setattr(credential.compute_hosts, 'client_for', client_for)
    found = credential.rights(None)
    assert len(found) == len(credential.CALLS) and all('auth_url' in one.problem for one in found)


def test_a_credential_without_the_role_admin_is_named(nova):
    nova(Nova(roles=['reader', 'member']))
    [found] = [right for right in credential.rights(None) if right.problem]
    assert found == (credential.EVACUATE, 'its roles are member, reader')
