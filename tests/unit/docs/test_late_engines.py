# SPDX-License-Identifier: Apache-2.0
"""The documented writes and requests are those in the code, each with what keeps a late one off."""

import ast
import re

import pytest

from tests.unit.docs import tables

CODE = tables.SOURCE.parents[1] / 'heat_ha'
PAGE = 'contributor/late_engines.rst'
LOOKED_THROUGH = (
    'failover/*.py',
    'failover/adapters/*.py',
    'groups/*.py',
    'groups/adapters/*.py',
    'plugin/failover_*.py',
    'plugin/plan_update.py',
    'plugin/first_active.py',
    'plugin/watched_group.py',
)
WRITES = {'data_set', 'data_delete', 'metadata_set', 'change_metadata', 'swap', 'write_definition'}
REQUESTS = {
    'failover/handoff_steps.py': {'send', 'delete'},
    'failover/hook_runner.py': {'hook_stack.start', 'hook_stack.end'},
    'failover/failover_run.py': {'hook_stack.end'},
    'failover/retention.py': {'mark_unhealthy'},
    'groups/intent.py': {'mask'},
    'groups/adapters/changes.py': {'update_with_template'},
    'cloud/nested_stack.py': {'update_with_template'},
}


def name_called(function):
    """The name of what is called; of the runs of hooks with the module, for others end as well."""
    if ast.unparse(function).startswith('hook_stack.'):
        return ast.unparse(function)
    return getattr(function, 'attr', getattr(function, 'id', ''))


def calls(path):
    """Of each function in a module, the names of what it calls, in the order of the lines."""
    for found in ast.walk(ast.parse(path.read_text())):
        if isinstance(found, ast.FunctionDef):
            made = [one for one in ast.walk(found) if isinstance(one, ast.Call)]
            yield (
                found.name,
                [
                    name_called(one.func)
                    for one in sorted(made, key=lambda one: (one.lineno, one.col_offset))
                ],
            )


def name_of(path, function):
    return '.'.join((*path.relative_to(CODE).with_suffix('').parts, function))


def of_record(path, function, names):
    """Whether it writes; ``record.write`` and ``write`` of a file look alike."""
    is_first = name_of(path, function) == 'plugin.failover_lifecycle.handle_create'
    return WRITES.intersection(names) or (is_first and 'write' in names)


def where(table):
    return {
        name: row[2]
        for row in tables.documented(PAGE, table)
        for name in re.findall('``([a-z_.]+)``', row[1])
    }


def test_every_function_that_writes_is_in_the_table():
    found = {
        name_of(path, function)
        for pattern in LOOKED_THROUGH
        for path in CODE.glob(pattern)
        for function, names in calls(path)
        if of_record(path, function, names)
    }
    assert found == set(where('late-writes'))


def test_only_the_first_record_is_written_without_a_look_at_the_one_before():
    for path in CODE.rglob('*.py'):
        if 'failover' not in path.name and 'failover' not in path.parts:
            continue
        text = path.read_text()
        if path.name != 'record.py':
            assert text.count('record.write(') == (path.name == 'failover_lifecycle.py'), path


def test_every_function_that_sends_a_request_is_in_the_table():
    found = {
        name_of(CODE / module, function)
        for module, requests in REQUESTS.items()
        for function, names in calls(CODE / module)
        if requests.intersection(names) and not (module.startswith('cloud') and function[0] == '_')
    }
    assert found == set(where('late-requests'))


@pytest.mark.parametrize(('name', 'check'), sorted(where('late-requests').items()))
def test_what_is_asked_before_a_request_is_asked_there(name, check):
    *module, function = name.split('.')
    path = CODE.joinpath(*module).with_suffix('.py')
    names = dict(calls(path))[function]
    requests = REQUESTS[str(path.relative_to(CODE))]
    first = next(place for place, one in enumerate(names) if one in requests)
    marks = re.findall('``([a-z_]+)``', check) or ['_record', 'put', 'make']
    asked = [one.removeprefix('_') for one in names[:first]]
    assert any(mark.removeprefix('_') in asked for mark in marks), names[: first + 1]
