# SPDX-License-Identifier: Apache-2.0
import itertools
import os

import pytest

from tests import cloud

_COUNT = itertools.count(1)


def pytest_collection_modifyitems(items):
    for item in items:
        item.add_marker(pytest.mark.functional)


@pytest.fixture(scope='session')
def tenant():
    return cloud.connect('demo')


@pytest.fixture(scope='session')
def admin():
    return cloud.connect('admin')


@pytest.fixture
def make_stack(tenant):
    """Make stacks from an example's name or a template's text; they go with the test."""
    made = []

    def make(template, parameters=None, *, create=True, wait=True):
        source = cloud.EXAMPLES / template if template.endswith('.yaml') else template
        stack = cloud.Stack(tenant, f'test-{os.getpid()}-{next(_COUNT)}', source)
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
        context = cloud.observed(volumes, tmp_path / 'observed.jsonl')
        summary = context.__enter__()
        contexts.append(context)
        return summary

    yield start
    for context in contexts:
        context.__exit__(None, None, None)
