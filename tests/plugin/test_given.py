# SPDX-License-Identifier: Apache-2.0
"""A property that is null or empty is one that the template does not give: each of each type."""

import contextlib
import copy
from unittest import mock

import pytest
from heat.common import exception
from heat.engine import constraints, properties, resources, stack
from heat.engine import template as heat_template

from heat_ha.rescue import record
from tests.plugin import failover, scaling

# The types that are written into templates, each with what it cannot do without.
TYPES = {
    'OS::Heat::ScalingPolicy': {
        'adjustment_type': 'percent_change_in_capacity',
        'scaling_adjustment': 1,
    },
    'OS::Heat::FailoverPolicy': {'auto_scaling_group_id': 'group', 'resource': {'type': 'T'}},
    'OS::Heat::RescuePolicy': {},
    'OS::Heat::RemoteStack': {'template': '{"heat_template_version": "2016-10-14"}'},
    'OS::Heat::RemoteStackTombstone': {'owner': 'here', 'tombstones': []},
    'OS::Heat::PortAttachment': {'server': 's', 'port': 'p'},
}
# These are what Heat has under another name, and only our own templates name them.
STAND_INS = {'OS::Heat::HandoffVolumeAttachment', 'OS::Heat::HandoffFloatingIPAssociation'}
# This has no other properties than Heat's own.
HEATS_OWN = {'OS::Heat::AutoScalingGroup'}

NULLS = {
    'a null': ('2016-10-14', None),
    'a null on a condition': ('2016-10-14', {'if': ['never', 'something', None]}),
    'an if without an else': ('2021-04-16', {'if': ['never', 'something']}),
    'a null of a parameter': ('2016-10-14', {'get_param': ['figures', 'none']}),
    'a null of a function': ('2018-08-31', {'yaql': {'expression': '$.data', 'data': None}}),
}
EMPTIES = {
    'an empty text': '',
    'an empty text on a condition': {'if': ['never', 'something', '']},
    'an empty text of a parameter': {'get_param': ['figures', 'empty']},
    'an empty map': {},
    'an empty map on a condition': {'if': ['never', 'something', {}]},
    'a map of nothing': None,
}
SAMPLES = {
    properties.Schema.STRING: 'text',
    properties.Schema.INTEGER: 1,
    properties.Schema.NUMBER: 1,
    properties.Schema.BOOLEAN: True,
    properties.Schema.ANY: 'text',
}


def schema_of(kind):
    return resources.global_env().registry.get_class(kind).properties_schema


def paths(schemata):
    """Every property, every key in it that has a schema, and 0 for the first item of a list.

    With each whether nothing can do without it.
    """
    for name, schema in properties.schemata(schemata).items():
        yield (name,), schema.required
        inner, at = schema, (name,)
        if schema.type == schema.LIST:
            yield (name, 0), False
            inner, at = (schema.schema[0], (name, 0)) if schema.schema else (None, at)
        if inner is not None and inner.type == inner.MAP and inner.schema:
            for path, is_required in paths(inner.schema):
                yield (*at, *path), is_required


def sample(schema):
    """A value that fits, with all that it cannot do without."""
    if schema.type == schema.LIST:
        return [sample(schema.schema[0])] if schema.schema else ['text']
    if schema.type == schema.MAP:
        inner = properties.schemata(schema.schema or {})
        return {name: sample(found) for name, found in inner.items() if found.required}
    return next(
        (sorted(c.allowed)[0] for c in schema.constraints if hasattr(c, 'allowed')),
        SAMPLES[schema.type],
    )


def written(kind, path, null):
    """The properties with a null at a path."""
    found = copy.deepcopy(TYPES[kind])
    inner, schemata = found, properties.schemata(schema_of(kind))
    for step in path[:-1]:
        if step != 0:
            schema = schemata[step]
            inner = inner.setdefault(step, sample(schema))
            if schema.type == schema.LIST:
                schema = schema.schema[0] if schema.schema else None
            schemata = properties.schemata(schema.schema or {}) if schema else {}
        elif inner:
            inner = inner[0]
    if path[-1] == 0:
        # An item more.
        inner.insert(0, null)
    else:
        inner[path[-1]] = null
    return found


def without(kind, path):
    """The same properties without what stands at the path."""
    found = written(kind, path, None)
    inner = found
    for step in path[:-1]:
        inner = inner[step]
    del inner[path[-1]]
    return found


@contextlib.contextmanager
def skipped_where_heat_fails():
    """For an if without an else, which the oldest Heat does not bear in any template."""
    try:
        yield
    except TypeError as exc:
        if 'EllipsisType' not in str(exc):
            raise
        pytest.skip('this Heat itself fails at an if without an else')


def made(kind, props, version='2016-10-14'):
    """The resource as Heat parses it, in a stack that is not stored."""
    parsed = heat_template.Template(
        {
            'heat_template_version': version,
            'parameters': {'figures': {'type': 'json', 'default': {'none': None, 'empty': ''}}},
            'conditions': {'never': {'equals': [1, 2]}},
            'resources': {'one': {'type': kind, 'properties': props}},
        }
    )
    found = stack.Stack(NoCloud(), 'stack', parsed)
    with skipped_where_heat_fails():
        one = found['one']
    one.keep = found
    return one


class NoCloud:
    """A context as far as parsing needs one."""

    tenant_id = project_id = 'project'
    tenant = username = user_id = 'user'
    region_name = None
    roles = ()
    trust_id = auth_token = password = None

    def __getattr__(self, name):
        return None


def values(found):
    """The values of all properties."""
    return {name: found[name] for name in found}


def problem(one):
    """What Heat's own validation of the properties says, None when they are right."""
    try:
        # Whether there are such a server and such a port is not asked.
        with mock.patch.object(constraints.CustomConstraint, 'validate', return_value=None):
            one.properties.validate()
    except exception.StackValidationFailed as exc:
        return str(exc)
    return None


def test_every_type_of_ours_is_walked(heat):
    registry = resources.global_env().registry
    ours = {
        name
        for name in registry.get_types()
        if name.startswith('OS::')
        and registry.get_class(name).__module__.startswith('heat_ha.plugin')
    }
    assert ours == set(TYPES) | STAND_INS | HEATS_OWN
    for name in HEATS_OWN:
        own = registry.get_class(name)
        assert own.properties_schema == own.__bases__[0].properties_schema, name


@pytest.mark.parametrize('null', NULLS)
@pytest.mark.parametrize('kind', TYPES)
def test_null_is_as_if_the_property_were_left_out(heat, kind, null):
    version, value = NULLS[null]
    walked = 0
    for path, is_required in paths(schema_of(kind)):
        walked += 1
        plain = made(kind, without(kind, path), version)
        with_null = made(kind, written(kind, path, value), version)
        if is_required and not is_all_of_a_map(path):
            # Whoever reads it without looking at the template's problem gets no value.
            # An empty map, such as an if without an else leaves, is no item of a list.
            why = f'Property {path[-1]} not assigned'
            empty = 'methods: length (0)' if len(path) > 1 else why
            assert why in problem(with_null) or empty in problem(with_null), path
            assert empty in problem(plain), path
            continue
        assert problem(with_null) is None and problem(plain) is None, path
        assert values(with_null.properties) == values(plain.properties), path
        # Those of an update are made elsewhere.
        after = with_null.t.properties(with_null.properties_schema, with_null.context)
        with_null.translate_properties(after)
        assert values(after) == values(plain.properties), path
    assert walked >= len(schema_of(kind))


def is_all_of_a_map(path):
    """Whether what stands there is all that its map has, so that the map is as left out too."""
    return len(path) > 1 and path[-2] != 0


def schema_at(kind, path):
    schema, schemata = None, schema_of(kind)
    for step in path:
        if step != 0:
            schema = properties.schemata(schemata)[step]
        elif schema.schema:
            schema = schema.schema[0]
        else:
            return properties.Schema(properties.Schema.ANY)
        schemata = schema.schema if schema.type == schema.MAP else {}
    return schema


def map_of_nothing(schema):
    inner = properties.schemata(schema.schema)
    return {
        name: map_of_nothing(found) if found.type == found.MAP and found.schema else ''
        for name, found in inner.items()
        if found.type != found.LIST
    }


def means_nothing(value, schema):
    if 'map' in value:
        return schema.type == schema.MAP and bool(schema.schema)
    return schema.type != schema.LIST


@pytest.mark.parametrize('empty', EMPTIES)
@pytest.mark.parametrize('kind', TYPES)
def test_what_is_empty_and_can_mean_nothing_is_as_if_it_were_left_out(heat, kind, empty):
    walked = set()
    for path, is_required in paths(schema_of(kind)):
        schema = schema_at(kind, path)
        is_item = path[-1] == 0
        if not means_nothing(empty, schema) or (is_item and 'text' not in empty):
            continue
        walked.add(path)
        value = EMPTIES[empty] if EMPTIES[empty] is not None else map_of_nothing(schema)
        plain = made(kind, without(kind, path))
        found = made(kind, written(kind, path, value))
        if is_required and not is_all_of_a_map(path):
            assert problem(found).endswith(f'Property {path[-1]} is empty: give it a value'), path
            continue
        assert problem(found) is None and problem(plain) is None, path
        assert values(found.properties) == values(plain.properties), path
        after = found.t.properties(found.properties_schema, found.context)
        found.translate_properties(after)
        assert values(after) == values(plain.properties), path
    if 'text' in empty:
        assert {path[0] for path in walked} == {
            name
            for name, found in properties.schemata(schema_of(kind)).items()
            if found.type != found.LIST or (kind, name) in WITH_ITEMS
        }


# The lists whose items have a schema.
WITH_ITEMS = {
    ('OS::Heat::RescuePolicy', 'servers'),
    ('OS::Heat::RescuePolicy', 'methods'),
    ('OS::Heat::RemoteStack', 'regions'),
    ('OS::Heat::RemoteStackTombstone', 'tombstones'),
}


@pytest.mark.parametrize(('kind', 'name'), sorted(WITH_ITEMS))
def test_an_empty_text_is_no_list(heat, kind, name):
    """Without them a policy protects every server, and a RemoteStack leaves its regions."""
    text = problem(made(kind, {**TYPES[kind], name: ''}))
    assert f'Property {name} is an empty text, no list' in text and 'a null to leave' in text


@pytest.mark.parametrize(
    'empty', [{}, {'http': {}}, {'http': '', 'tcp': {}}, {'tcp': {'port': ''}}]
)
def test_a_health_check_that_asks_nothing_is_none(heat, empty):
    kind = 'OS::Heat::FailoverPolicy'
    one = made(kind, {**TYPES[kind], 'health': empty})
    assert problem(one) is None and one.properties['health'] is None


@pytest.mark.parametrize('item', ['', {}, {'if': ['never', {'method': 'evacuate'}, {}]}])
def test_a_method_that_is_empty_is_no_item(heat, item):
    one = made('OS::Heat::RescuePolicy', {'methods': [item, {'method': 'rebuild'}]})
    assert problem(one) is None
    assert [m['method'] for m in one.properties['methods']] == ['rebuild']
    assert 'methods' in problem(made('OS::Heat::RescuePolicy', {'methods': [item]}))
    half = made('OS::Heat::RescuePolicy', {'methods': [{'method': '', 'timeout': 5}]})
    assert 'Property method is empty' in problem(half)


def test_an_unknown_key_is_found_in_a_map_of_nothing_too(heat):
    kind = 'OS::Heat::FailoverPolicy'
    one = made(kind, {**TYPES[kind], 'health': {'ping': ''}})
    assert 'Unknown Property ping' in problem(one)


def test_no_null_stands_for_another_value(heat):
    """A zero, a list, and a map of the user's own keys are what somebody has written."""
    one = made('OS::Heat::ScalingPolicy', {**TYPES['OS::Heat::ScalingPolicy'], 'cooldown': 0})
    assert one.properties['cooldown'] == 0
    remote = made('OS::Heat::RemoteStack', {'template': 't', 'regions': [], 'environment': {}})
    assert remote.properties['regions'] == [] and remote.properties['environment'] == {}


# --- in an engine ------------------------------------------------------------------------------

ON_CONDITION = """
conditions:
  never: {equals: [1, 2]}
"""
IF = '{if: [never, something]}'
IF_NULL = '{if: [never, something, null]}'
EMPTY, IF_EMPTY = "''", "{if: [never, something, '']}"
CHAINED_ONLY = failover.CHAINED + 'auto_scaling_group_id: NULL\ncooldown: NULL\n'
GROUP_ONLY = scaling.REPLACES + 'auto_scaling_policy_id: NULL\nmin_adjustment_step: NULL\n'
HEALTHY = """
health: NULL
quiesce: {signal_transport: NULL, config: NULL, timeout: NULL}
activate: NULL
cooldown: NULL
keep_failed: NULL
fencing: NULL
"""
ASKED = 'health: {http: NULL, tcp: {port: 22, timeout: NULL}}'


@pytest.mark.engine
@pytest.mark.parametrize('null', ['null', IF, IF_NULL, EMPTY, IF_EMPTY])
@pytest.mark.parametrize('policy', [CHAINED_ONLY, GROUP_ONLY], ids=['chained', 'group'])
@pytest.mark.parametrize('more', [HEALTHY, ASKED], ids=['none', 'some'])
def test_properties_that_are_null_are_not_given(engine, null, policy, more):
    text = failover.template(more.replace('NULL', null), policy.replace('NULL', null))
    with skipped_where_heat_fails():
        stack = engine.create(text + ON_CONDITION)
    assert engine.state(stack) == ('CREATE_COMPLETE', 'Stack CREATE completed successfully')

    before = scaling.names(engine, stack)
    engine.signal(stack, 'policy', {'member': before[-1]})
    assert len(set(scaling.in_order(engine, stack, 2).members) & set(before)) == 0
    assert before[-1] not in scaling.names(engine, stack)

    # An update that changes nothing else keeps both policies.
    ids = {name: engine.stack(stack)[name].resource_id for name in ('failover', 'policy')}
    engine.update(stack, (text + ON_CONDITION).replace('1, 2', '1, 3'))
    assert engine.state(stack)[0] == 'UPDATE_COMPLETE'
    assert ids == {name: engine.stack(stack)[name].resource_id for name in ids}


@pytest.mark.engine
@pytest.mark.parametrize(
    ('group', 'policy', 'what'),
    [
        ('null', 'null', 'auto_scaling_group_id'),
        ("''", "''", 'auto_scaling_group_id'),
        ("''", "{if: [never, something, '']}", 'auto_scaling_group_id'),
        ('{get_resource: group}', '{get_resource: failover}', 'same time'),
    ],
)
def test_exactly_one_of_the_two_is_needed_still(engine, group, policy, what):
    both = failover.CHAINED.replace('{get_resource: failover}', policy)
    both += f'auto_scaling_group_id: {group}\n'
    assert what in engine.refusal(failover.template(policy=both) + ON_CONDITION)


GIVEN = """
health: {tcp: {port: 22}}
quiesce: {server_action: stop}
cooldown: 5
keep_failed: 3
fencing: none
"""
NO_LONGER = """
health: {}
quiesce: ''
cooldown: ''
keep_failed: ''
fencing: ''
"""


@pytest.mark.engine
def test_an_update_takes_back_what_is_empty_by_now(engine):
    by_policy = failover.CHAINED + "auto_scaling_group_id: ''\ncooldown: 7\n"
    stack = engine.create(failover.template(GIVEN, by_policy))
    assert engine.state(stack)[0] == 'CREATE_COMPLETE'
    by_group = scaling.REPLACES + "auto_scaling_policy_id: ''\ncooldown: ''\n"
    engine.update(stack, failover.template(NO_LONGER, by_group))
    assert engine.state(stack)[0] == 'UPDATE_COMPLETE'
    loaded = engine.stack(stack)
    found = {
        name: loaded['failover'].properties[name]
        for name in ('health', 'cooldown', 'keep_failed', 'fencing')
    }
    assert found == {
        'health': None, 'cooldown': None, 'keep_failed': 0, 'fencing': 'confirmed_by_nova',
    }  # fmt: skip
    assert loaded['failover'].properties['quiesce']['server_action'] == 'none'
    assert loaded['policy'].properties['auto_scaling_policy_id'] is None
    assert loaded['policy'].properties['cooldown'] is None
    before = scaling.servers(engine, stack)
    engine.signal(stack, 'policy')
    assert scaling.servers(engine, stack) != before


@pytest.mark.engine
@pytest.mark.parametrize('servers', ["''", '[nobody]'])
def test_a_list_that_is_no_list_is_refused_by_name(engine, servers):
    more = f"""
    rescue:
      type: OS::Heat::RescuePolicy
      properties: {{servers: {servers}}}
    """
    assert 'servers' in engine.refusal(failover.template(more=more))


@pytest.mark.engine
def test_what_is_not_known_yet_is_no_null(engine):
    more = 'figure: {type: OS::Heat::Value, properties: {value: {get_resource: group}}}'
    policy = scaling.REPLACES.replace('{get_resource: group}', '{get_attr: [figure, value]}')
    stack = engine.create(failover.template(policy=policy, more=more))
    assert engine.state(stack)[0] == 'CREATE_COMPLETE'
    before = scaling.servers(engine, stack)
    engine.signal(stack, 'policy')
    assert scaling.servers(engine, stack) != before


@pytest.mark.engine
@pytest.mark.parametrize('none', ['null', "''"])
def test_a_rescue_policy_protects_those_of_its_list_that_are_there(engine, none):
    more = """
    rescue:
      type: OS::Heat::RescuePolicy
      properties:
        servers: [{if: [never, nobody, NONE]}, {get_resource: group}, {if: [never, nobody]}]
        failover_policy: {if: [never, nobody, NONE]}
        methods: [{method: evacuate, timeout: {if: [never, 1, null]}}]
    """
    more = more.replace('NONE', none)
    with skipped_where_heat_fails():
        stack = engine.create(failover.template(more=more) + ON_CONDITION)
    assert engine.state(stack)[0] == 'CREATE_COMPLETE'
    loaded = engine.stack(stack)
    assert record.protection_of(loaded['rescue'].data()[record.PROTECTION]).tops == ('group',)
