# SPDX-License-Identifier: Apache-2.0
"""How an update of the stack changes the steps of a plan that is not at its end.

Pure, like ``ways_out``, which asks it. What was done stays done; nothing is moved by a change.
"""

import dataclasses

from heat_ha.failover import model
from heat_ha.failover.model import Step, StepKind

STOP, ACTIVATE, HAND_OVER, REPLACE = 'stop_server', 'activate', 'hand_over', 'replace'


def with_quiesce(plan: model.Plan, wanted: model.Quiesce) -> model.Plan:
    """The plan without the shutdown of the old active that the template does not want any more.

    One that it wants in addition comes with the next failover: this one may have begun to take what
    the shutdown has to come before, and one that goes back has none on purpose.
    """
    if wanted is model.Quiesce.STOP:
        return plan
    return dataclasses.replace(_without(plan, STOP), quiesce=wanted)


def with_hooks(
    plan: model.Plan, quiesce: model.Hook | None, activate: model.Hook | None
) -> model.Plan:
    """The plan with the configs of now; ``activate`` also where there was none.

    One for the old active comes in addition with the next failover, as its shutdown does.
    """
    kinds = {s.kind for s in plan.steps}
    steps = plan.steps
    if activate is not None and StepKind.ACTIVATE not in kinds:
        place = 1 + next(n for n, s in enumerate(steps) if s.kind is StepKind.HAND_OVER)
        added = Step(ACTIVATE, StepKind.ACTIVATE, '', (HAND_OVER,))
        follow_ups = (
            dataclasses.replace(s, after=(*s.after, ACTIVATE)) if HAND_OVER in s.after else s
            for s in steps[place:]
        )
        steps = (*steps[:place], added, *follow_ups)
    return dataclasses.replace(
        plan,
        steps=steps,
        quiesce_hook=quiesce if StepKind.QUIESCE in kinds else None,
        activate_hook=activate,
    )


def with_retention(plan: model.Plan, seconds: float) -> model.Plan:
    """The plan that retains the old active for so long, if it is one that may."""
    is_sick = plan.cause is model.Cause.FAILOVER
    if not seconds or not is_sick or plan.old is None or plan.old.member not in plan.replaces:
        return dataclasses.replace(_without(plan, model.SHUT_OFF_RETAINED), keep_seconds=0.0)
    steps = plan.steps
    if not any(s.name == model.SHUT_OFF_RETAINED for s in steps):
        last = plan.step(REPLACE)
        shut_off = Step(model.SHUT_OFF_RETAINED, StepKind.STOP_SERVER, plan.old.server, last.after)
        rest = tuple(s for s in steps if s.name != REPLACE)
        last = dataclasses.replace(last, after=(model.SHUT_OFF_RETAINED,))
        steps = (*rest, shut_off, last)
    return dataclasses.replace(plan, steps=steps, keep_seconds=seconds)


def _without(plan: model.Plan, name: str) -> model.Plan:
    """The plan without a step: who waits for it waits for what that has waited for."""
    left_out = [s for s in plan.steps if s.name == name]
    if not left_out:
        return plan
    steps = tuple(
        dataclasses.replace(
            s,
            after=tuple(
                dict.fromkeys(
                    before
                    for one in s.after
                    for before in (left_out[0].after if one == name else (one,))
                )
            ),
        )
        for s in plan.steps
        if s.name != name
    )
    return dataclasses.replace(plan, steps=steps)
