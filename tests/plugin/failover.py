# SPDX-License-Identifier: Apache-2.0
"""Templates with a group, a FailoverPolicy and a policy in front of it, for the tests of them."""

import textwrap

HANDS_OVER = """
auto_scaling_group_id: {get_resource: group}
resource:
  type: OS::Heat::Value
  properties: {value: '%active%'}
"""
CHAINED = """
adjustment_type: replace_oldest
auto_scaling_policy_id: {get_resource: failover}
scaling_adjustment: 1
"""
GROUP = """
min_size: 1
max_size: 2
desired_capacity: 2
resource: {type: OS::Nova::Server}
"""


def template(failover='', policy='', group='', more='', version='2021-04-16', group_type=''):
    """A pair, a FailoverPolicy over it, a policy that replaces members behind it.

    :param failover: what a test adds to the properties of the FailoverPolicy.
    :param policy: the properties of the ScalingPolicy.
    :param group: the properties of the group.
    :param more: further resources; or other sections, when they begin at the margin.
    """
    return f"""
heat_template_version: {version}
resources:
  group:
    type: {group_type or 'OS::Heat::AutoScalingGroup'}
    properties:
{_indented(group or GROUP, 6)}
  failover:
    type: OS::Heat::FailoverPolicy
    properties:
{_indented(HANDS_OVER, 6)}
{_indented(failover, 6)}
  policy:
    type: OS::Heat::ScalingPolicy
    properties:
{_indented(policy or CHAINED, 6)}
{_indented(more, 2)}
outputs:
  refs: {{value: {{get_attr: [group, refs]}}}}
"""


def _indented(text, by):
    return textwrap.indent(textwrap.dedent(text).strip('\n'), ' ' * by)


def attribute(engine, stack, name, resource='failover'):
    """An attribute as it is now."""
    loaded = engine.stack(stack)
    return loaded[resource].FnGetAtt(name)
