# SPDX-License-Identifier: Apache-2.0
"""A revision changes with what a region is sent, and with nothing else."""

import pytest

from heat_ha import exceptions
from heat_ha.regions.rules import command, revision

TEMPLATE = {
    'parameters': {'size': {'type': 'number'}, 'name': {'default': 'x'}},
    'resources': {'a': {'type': 'My::Type'}, 'b': {'type': 'file:///part.yaml'}},
}
FILES = {
    'file:///part.yaml': 'resources: {c: {type: file:///inner.yaml}}',
    'file:///inner.yaml': 'resources: {}',
    'file:///mine.yaml': 'type: My::Type',
    'file:///local.yaml': 'of the parent alone',
}
ENVIRONMENT = {
    'resource_registry': {
        'My::Type': 'file:///mine.yaml',
        'Other::Type': 'file:///local.yaml',
        'resources': {'a': {'hooks': 'pre-create'}},
    },
    'parameter_defaults': {'size': 3, 'password': 'secret'},
}


def made(template=TEMPLATE, files=FILES, parameters=None, environment=ENVIRONMENT):
    return revision.content(template, files, parameters or {'name': 'y'}, environment)


def test_a_region_gets_what_its_template_uses_and_no_more():
    body = made().body
    assert set(body['files']) == set(FILES) - {'file:///local.yaml'}
    assert body['environment'] == {
        'resource_registry': {'My::Type': 'file:///mine.yaml'},
        'parameter_defaults': {'size': 3},
    }


def test_order_and_what_is_not_used_make_no_new_revision():
    backwards = dict(reversed(TEMPLATE.items()))
    local = {**FILES, 'file:///local.yaml': 'changed'}
    assert made().revision == made(backwards).revision == made(files=local).revision


@pytest.mark.parametrize(
    'change',
    [
        {'template': {**TEMPLATE, 'description': 'other'}},
        {'files': {**FILES, 'file:///inner.yaml': 'resources: {d: {type: OS::Heat::None}}'}},
        {'parameters': {'name': 'z'}},
        {'environment': {}},
    ],
)
def test_what_is_used_makes_a_new_revision(change):
    assert made(**change).revision != made().revision


def test_a_parameter_that_is_missing_or_unknown_is_named():
    assert 'parameter size' in revision.problem(TEMPLATE, {}, {}, {})
    assert not revision.problem(TEMPLATE, {}, {}, ENVIRONMENT)
    assert not revision.problem(TEMPLATE, {}, {'size': ['A', 'x']}, {})
    assert 'no parameter sise' in revision.problem(TEMPLATE, {'sise': 1}, {}, {})
    assert 'not a map' in revision.problem('text', {}, {}, {})


def test_an_empty_signal_asks_for_sync_and_one_with_errors_for_nothing():
    assert command.parse(None, ()) == command.parse({}, ()) == command.Command(command.Action.SYNC)
    assert command.parse({'action': 'pause', 'region': 'A'}, {'A'}).region == 'A'
    for wrong in ('text', [], {'action': 1}, {'region': None}, {'x': 'y'}, {'region': 'B'}):
        with pytest.raises(exceptions.Refused):
            command.parse(wrong, {'A'})


def test_parameters_are_compared_with_what_heat_shows_of_them():
    template = {
        'parameters': {
            'a': {'type': 'string', 'default': 'x'},
            'n': {'type': 'number'},
            'm': {'type': 'json', 'default': {}},
            'b': {'type': 'boolean', 'default': False},
            'c': {'type': 'comma_delimited_list', 'default': []},
        }
    }
    body = {'template': template, 'environment': {}, 'parameters': {'n': 3, 'c': ['p', 'q']}}
    there = {'a': 'x', 'n': '3', 'm': '{}', 'b': 'False', 'c': 'p,q', 'OS::stack_name': 's'}
    assert revision.are_parameters(there, body)
    for name, other in {'a': '******', 'n': '4', 'm': '{"k": 1}', 'b': 'True', 'c': 'p'}.items():
        assert not revision.are_parameters({**there, name: other}, body), name
    given = {**body, 'environment': {'parameter_defaults': {'a': 'y'}}}
    assert not revision.are_parameters(there, given)
