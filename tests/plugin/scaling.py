# SPDX-License-Identifier: Apache-2.0
"""Templates with a group and a ScalingPolicy, and what the tests of it look at."""

import textwrap

MEMBER = """
heat_template_version: 2016-10-14
resources:
  server: {type: OS::Nova::Server}
  note: {type: OS::Heat::Value, properties: {value: 1}}
outputs:
  OS::stack_id: {value: {get_resource: server}}
"""


def template(policy='', group='', member='OS::Nova::Server', more='', size=3, most=4):
    """A group, a policy that replaces one member of it, and what a test changes in them."""
    text = f"""
heat_template_version: 2016-10-14
resources:
  group:
    type: OS::Heat::AutoScalingGroup
    properties:
      min_size: 1
      desired_capacity: {size}
      max_size: {most}
      resource: {{type: {member}}}
{textwrap.indent(textwrap.dedent(group), '      ')}
  policy:
    type: OS::Heat::ScalingPolicy
    properties:
{textwrap.indent(textwrap.dedent(policy or REPLACES), '      ')}
{textwrap.indent(textwrap.dedent(more), '  ')}
outputs:
  refs: {{value: {{get_attr: [group, refs]}}}}
"""
    return text


REPLACES = """
adjustment_type: replace_oldest
auto_scaling_group_id: {get_resource: group}
scaling_adjustment: 1
"""
DELETES_FIRST = REPLACES + 'replacement_order: delete_first\n'
ADDS = """
adjustment_type: change_in_capacity
auto_scaling_group_id: {get_resource: group}
scaling_adjustment: 1
"""
NESTED = {'member.yaml': MEMBER}


def names(engine, stack):
    """The members, oldest first."""
    return [m.name for m in engine.members(stack).members]


def servers(engine, stack):
    """The servers of each member."""
    return {m.name: m.servers for m in engine.members(stack).members}


def last_event(engine, stack, resource='policy'):
    """Status and reason."""
    return engine.events(stack, resource)[-1]


def in_order(engine, stack, size=3):
    """Check what holds whenever no replacement is at work."""
    seen = engine.members(stack)
    assert len(seen.members) == size, seen
    assert not seen.being_deleted and not seen.is_in_progress, seen
    held = {s for m in seen.members for s in m.servers}
    assert engine.servers_there() == held, 'a server is left over'
    loaded = engine.stack(stack)
    group = loaded['group']
    assert not (group.metadata_get() or {}).get('scaling_in_progress')
    assert 'ha_replacement' not in group.data()
    assert engine.state(stack)[0].endswith('_COMPLETE')
    return seen


def unchanged(engine, stack, before):
    """Check that the members are those of before, and what ``in_order`` does."""
    assert servers(engine, stack) == before
    in_order(engine, stack, len(before))
