# SPDX-License-Identifier: Apache-2.0
import contextlib
import importlib
import itertools
import os
import pathlib

import pytest

from heat_ha.fencing import ceph
from lab.client import access, agents, hosts, regions, stacks, storage, waiting
from lab.client.cut import Mode
from lab.real.checker import bindings as checker_bindings

FOLDER = pathlib.Path(__file__).parent

_COUNT = itertools.count(1)


def pytest_collection_modifyitems(items):
    # It gets all tests that are collected, also those of other folders.
    for item in items:
        if item.path.is_relative_to(FOLDER):
            item.add_marker(pytest.mark.functional)


@pytest.fixture(scope='session')
def tenant():
    return access.connect('demo')


@pytest.fixture(scope='session')
def admin():
    return access.connect('admin')


@pytest.fixture(scope='session')
def bindings():
    """What a fence in Ceph needs in this process."""
    checker_bindings.add()
    importlib.reload(ceph)


@pytest.fixture
def make_stack(tenant):
    """Make stacks from an example's name or a template's text; they go with the test."""
    made = []

    def make(template, parameters=None, *, create=True, wait=True):
        source = stacks.EXAMPLES / template if template.endswith('.yaml') else template
        stack = stacks.Stack(tenant, f'test-{os.getpid()}-{next(_COUNT)}', source)
        made.append(stack)
        if create:
            stack.create(parameters, wait=wait)
        return stack

    yield make
    for stack in made:
        stack.delete()


@pytest.fixture
def watch(tmp_path):
    """Watch volumes from another process; call the result for the summary."""
    contexts = []

    def start(volumes):
        context = storage.observed(volumes, tmp_path / 'observed.jsonl')
        summary = context.__enter__()
        contexts.append(context)
        return summary

    yield start
    for context in contexts:
        context.__exit__(None, None, None)


@pytest.fixture
def power(tmp_path, admin):
    """The fencing file of emulated BMCs; afterwards every host is as it was."""
    agents.clear()
    with agents.fencing_file(tmp_path, hosts.HOSTS) as path:
        yield path
    for host in hosts.HOSTS:
        service = hosts.service_of(admin, host)
        with contextlib.suppress(AssertionError):
            # A test that failed may have left it dead, and what is dead cannot be thawed.
            hosts.run_lab('thaw', f'nova-compute-{host}')
        hosts.run_lab('start', f'nova-compute-{host}')
        if service['forced_down']:
            hosts.let_in(admin, host)
        if service['status'] == 'disabled':
            admin.compute.put(
                f'/os-services/{service["id"]}', json={'status': 'enabled'}, microversion='2.53'
            )
    for host in hosts.HOSTS:
        waiting.until(lambda h=host: hosts.service_of(admin, h)['state'] == 'up', f'{host} is up')


@pytest.fixture
def make_agent(tmp_path, power):
    made = []

    def make(name='agent-1', **options):
        found = agents.Agent(tmp_path, name, {'fencing_file': power, **options})
        made.append(found)
        return found.start()

    yield make
    for one in made:
        one.stop()


@pytest.fixture(scope='module')
def the_far(admin, tenant):
    # Heat's API keeps a token's catalogue for a while: here it is older than the region.
    assert tenant.orchestration.get('/stacks').ok
    with regions.far(admin) as made:
        yield made


@pytest.fixture
def far(the_far):
    the_far.cut.be(Mode.OPEN)
    the_far.cut.forget()
    return the_far


@pytest.fixture
def parent(far, make_stack):
    made = regions.Parent(make_stack(regions.PARENT, create=False), far)
    yield made
    made.clean()


@pytest.fixture
def dead_host(admin):
    """Freeze the host of a server, as a host does that hangs; it is back after the test."""
    dead = []

    def die(server):
        host = hosts.host_of(admin, server)
        hosts.run_lab('freeze', f'nova-compute-{host}')
        dead.append(host)
        waiting.until(
            lambda: hosts.service_of(admin, host)['state'] == 'down', f'{host} is down', every=0.5
        )
        return host

    yield die
    for host in dead:
        hosts.run_lab('thaw', f'nova-compute-{host}')
        hosts.confirm_down(admin, host, False)
        hosts.until_up(admin, host)
