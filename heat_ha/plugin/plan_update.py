# SPDX-License-Identifier: Apache-2.0
"""An update of the stack while a failover of a FailoverPolicy is not over."""

from heat_ha.failover import events, record
from heat_ha.failover.adapters import handoff_template
from heat_ha.failover.rules import ways_out
from heat_ha.plugin import failover_options


def apply(policy, held, lock):
    """Put into the plan what the template wants now; nothing is moved, and the plan goes on later.

    Called with the policy's lock held.

    :param held: the record, with a plan that is not at its end.
    """
    found = held.value
    before = record.read_definition(policy) or {}
    wanted = policy._wanted_definition()
    options = failover_options.read(policy)
    update = ways_out.PlanUpdate(
        revision=record.revision(wanted),
        taken_out=_taken_out(found.plan, before, wanted),
        quiesce_hook=options.quiesce_hook,
        activate_hook=options.activate_hook,
        on_dead_host=options.on_dead_host,
        quiesce=options.quiesce,
        keep_seconds=options.keep_seconds,
    )
    plan = ways_out.updated(found.plan, update)
    record.replace_definition(policy, wanted, lock)
    held.put(ways_out.with_plan(found, plan))
    events.EventEmitter(policy).progress(
        'the failover is not over; it goes on by the template of now. Send the signal resume', plan
    )


def _taken_out(plan, before, wanted):
    """The things that the template named before, and does not name any more."""
    targets = {step.target for step in plan.steps if step.target}
    return frozenset(
        target
        for target in targets
        if handoff_template.mentions(before, target)
        and not handoff_template.mentions(wanted, target)
    )
