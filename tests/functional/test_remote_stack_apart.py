# SPDX-License-Identifier: Apache-2.0
"""RemoteStack in a region with a Keystone of its own, by a credential: `make regions`."""

import contextlib
import json
import urllib.parse
import uuid

import openstack
import pytest

from lab.client import access, database, hosts, regions, stacks, waiting
from lab.client.cut import Cut, Mode

pytestmark = pytest.mark.regions

PARENT = """
heat_template_version: 2016-10-14
parameters:
  text: {type: string, default: one}
  secret: {type: string}
resources:
  remote:
    type: TYPE
    properties:
      context: {region_name: RegionTwo, credential_secret_id: {get_param: secret}}
      parameters: {text: {get_param: text}}
      template: |
        TEMPLATE
outputs:
  outputs: {value: {get_attr: [remote, outputs]}}
""".replace('TEMPLATE', regions.TEMPLATE.strip().replace('\n', '\n        '))


class Apart:
    """The other cloud, and a way to its Keystone that can be cut."""

    def __init__(self):
        service = access.environment()['services']['keystone-two']
        self.cut = Cut(('127.0.0.1', service['port']))
        self.auth_url = f'http://127.0.0.1:{service["port"]}/v3'
        self._domain = {'user_domain_name': 'Default', 'project_domain_name': 'Default'}
        self.tenant = openstack.connect(
            auth={'auth_url': self.auth_url, **self._login()}, region_name='RegionTwo'
        )
        self.secrets = access.connect('demo')

    def _login(self, user='demo', project='demo'):
        return {'username': user, 'password': 'lab', 'project_name': project, **self._domain}

    def secret(self, user='demo'):
        """Put a credential into Barbican; its logins come by the way that can be cut."""
        auth = {'auth_url': f'http://127.0.0.1:{self.cut.port}/v3', **self._login(user)}
        body = {
            'name': f'test-{uuid.uuid4().hex[:6]}',
            'payload': json.dumps({'auth_type': 'v3password', 'auth': auth}),
            'payload_content_type': 'text/plain',
        }
        answer = self.secrets.session.post(
            '/v1/secrets',
            json=body,
            endpoint_filter={'service_type': 'key-manager', 'region_name': 'RegionOne'},
        )
        return urllib.parse.urlsplit(answer.json()['secret_ref']).path.rsplit('/', 1)[1]

    @contextlib.contextmanager
    def another_user(self):
        """A user there who can be shut out; yields the name, and a function for that."""
        admin = openstack.connect(
            auth={'auth_url': self.auth_url, **self._login('admin', 'admin')},
            region_name='RegionTwo',
        ).identity
        made = admin.create_user(
            name=f'test-{uuid.uuid4().hex[:6]}', password='lab', domain_id='default'
        )
        project = admin.find_project('demo', domain_id='default')
        for role in ('member', 'heat_stack_owner'):
            admin.assign_project_role_to_user(project, made, admin.find_role(role))
        try:
            yield made.name, lambda is_in: admin.update_user(made, enabled=is_in)
        finally:
            admin.update_user(made, enabled=True)

    def stacks(self, prefix):
        """The stacks there, as their owner is shown them."""
        found = self.tenant.orchestration.get('/stacks').json()['stacks']
        return [s for s in found if s['stack_name'].startswith(prefix)]

    def logins(self):
        """How often somebody has logged in by the way that can be cut."""
        return sum(r.startswith('POST') and '/auth/tokens' in r for r in self.cut.requests)


@pytest.fixture(scope='module')
def the_apart():
    hosts.run_lab('apart')
    try:
        made = Apart()
        yield made
        made.cut.close()
    finally:
        hosts.run_lab('together')


@pytest.fixture
def apart(the_apart):
    the_apart.cut.be(Mode.OPEN)
    the_apart.cut.forget()
    return the_apart


@pytest.fixture
def make(apart, tenant):
    made = []

    def start(kind='OS::Heat::RemoteStack', wait=True, **parameters):
        stack = stacks.Stack(tenant, f'apart-{uuid.uuid4().hex[:6]}', PARENT.replace('TYPE', kind))
        # The catalogue of a login from before the lab was changed has no Barbican.
        stack.cloud = access.connect('demo')
        made.append(stack)
        return stack.create(parameters, wait=wait)

    yield start
    apart.cut.be(Mode.OPEN)
    for stack in made:
        stack.delete()


def of_two(stack, name):
    return stack.attribute('remote', name)['RegionTwo']


def in_database(region, prefix):
    return database.query(
        f'SELECT name, tenant FROM heat_{region}.stack'
        ' WHERE name LIKE %s AND deleted_at IS NULL AND name <> %s',
        f'{prefix}%',
        prefix,
    )


def test_the_stack_is_in_the_other_clouds_database_and_goes_from_there(apart, make):
    stack = make(secret=apart.secret())
    prefix = f'{stack.name}-remote-'
    assert [s['stack_name'].startswith(prefix) for s in apart.stacks(stack.name)] == [True]
    ((_, project),) = in_database('two', stack.name)
    assert project == apart.tenant.current_project_id
    assert project != stack.cloud.current_project_id
    assert not in_database('one', stack.name), 'nothing of it is here'
    stack.update({'text': 'two', 'secret': apart.secret()})
    assert stack.output('outputs')['text'] == 'two'
    stack.delete()
    waiting.until(lambda: not apart.stacks(stack.name), 'it is gone there')


def test_the_secret_and_the_token_are_read_once(apart, make):
    secret = apart.secret()
    log = access.LAB / 'log' / 'barbican-api.log'
    begin = log.stat().st_size
    stack = make(secret=secret)
    for text in ('two', 'three', 'four'):
        stack.update({'text': text, 'secret': secret})
    stack.action('check')
    read = log.read_text()[begin:].count(f'GET /v1/secrets/{secret}/payload')
    # Once in each engine that had to do with it.
    count = len(access.environment()['regions']['RegionOne']['engines'])
    assert 1 <= read <= count and 1 <= apart.logins() <= count, (read, apart.logins())


def test_a_credential_that_is_revoked_is_told_from_a_cut(apart, make):
    with apart.another_user() as (name, let_in):
        secret = apart.secret(name)
        stack = make(secret=secret)
        assert of_two(stack, 'state') == 'ready'
        let_in(False)
        stack.update({'text': 'two', 'secret': secret}, wait=False)
        stack.wait_failed('UPDATE')
        assert of_two(stack, 'error_class') == 'auth', of_two(stack, 'reason')
        let_in(True)
        stack.update({'text': 'three', 'secret': secret})
    assert of_two(stack, 'state') == 'ready' and stack.output('outputs')['text'] == 'three'
    assert len(apart.stacks(stack.name)) == 1


def test_a_keystone_that_cannot_be_reached_is_a_cut(apart, make):
    apart.cut.be(Mode.REFUSED)
    stack = make(secret=apart.secret())
    assert of_two(stack, 'error_class') == 'unreachable' and of_two(stack, 'state') == 'pending'
    apart.cut.be(Mode.OPEN)
    stack.signal('remote', {'action': 'sync'})
    waiting.until(lambda: of_two(stack, 'state') == 'ready', 'it is sent', seconds=30)
    assert len(apart.stacks(stack.name)) == 1


def test_a_secret_that_is_not_there_is_called_invalid(apart, make):
    stack = make(secret=str(uuid.uuid4()), wait=False)
    stack.wait_failed('CREATE')
    assert of_two(stack, 'error_class') == 'invalid', of_two(stack, 'reason')
