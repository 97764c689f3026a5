# SPDX-License-Identifier: Apache-2.0
"""The inputs of a hook as they are when it runs.

Heat resolves the properties of a resource in actions on its stack, and a signal is none: the
members' addresses among them are those of the last create or update, and members are replaced
meanwhile. So what refers to a group, or to another nested stack, is resolved again.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from heat.engine import function, stk_defn, template
from heat.engine.resources import stack_resource
from oslo_log import log as logging

from heat_ha import exceptions
from heat_ha.failover import model
from heat_ha.failover.adapters import handoff_template
from heat_ha.groups.adapters import members as group_members

LOG = logging.getLogger(__name__)

INPUT_VALUES = 'input_values'


def for_run(
    policy: Any, group: Any, hook: model.Hook, prop: str, target: model.MemberServer
) -> model.Hook:
    """The hook with its inputs as they are now.

    :param prop: the property that has the hook.
    :param target: the member that the hook runs on: the active of that moment. In the inputs
        ``%active%`` is its server's id, and ``%active.PATH%`` an attribute of it.
    :raises Stopped: the member has no such attribute, and the template wants to stop then.
    """

    def attribute(path: str) -> Any:
        try:
            return group_members.member_attribute(group, target.member, path)
        except exceptions.Refused as exc:
            if hook.on_failure is model.OnFailure.STOP:
                raise exceptions.Stopped(exc.reason, exc.remedy) from exc
            LOG.warning('%s: %s; the input is left empty', policy.name, exc)
            return ''

    recorded_and_now = {**hook.input_values, **_values_now(policy, prop)}
    values = handoff_template.put_active(recorded_and_now, target.server, attribute)
    return dataclasses.replace(hook, input_values=values)


def _values_now(policy: Any, prop: str) -> Mapping[str, Any]:
    """What is different now, or may be; nothing while that cannot be seen."""
    stack = policy.stack
    if getattr(stack, 'in_convergence_check', False):
        # Heat is at work on the policy itself, and has resolved its properties just now.
        return {}
    try:
        definitions = _definitions(policy)
        own = definitions.resource_definition(policy.name)
        written = own.properties(policy.properties_schema, policy.context).data.get(prop)
        for name in sorted({found.name for found in function.dependencies(written)}):
            if isinstance(stack[name], stack_resource.StackResource):
                _look_again(definitions, stack[name])
        values = (function.resolve(written) or {}).get(INPUT_VALUES) or {}
        return {name: value for name, value in values.items() if value is not None}
    except Exception as exc:
        # A hook with the values of the last action is worth more than none.
        LOG.warning('%s: the inputs of %s could not be resolved: %s', policy.name, prop, exc)
        return {}


def _definitions(policy: Any) -> Any:
    """The stack as the template has it that the policy was last updated to.

    An update that has begun, or that failed before it came to the policy, has another one.
    """
    stack = policy.stack
    if policy.current_template_id in (None, stack.t.id):
        return stack.defn
    before = template.Template.load(policy.context, policy.current_template_id)
    return stack.defn.clone_with_new_template(before, stack.identifier())


def _look_again(definitions: Any, nested: Any) -> None:
    """Let Heat forget what it has kept of a nested stack, its attributes too."""
    nested._nested = nested._outputs = None
    nested.attributes.cached_attrs = None
    stk_defn.update_resource_data(definitions, nested.name, nested.node_data(definitions))
