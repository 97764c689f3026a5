# SPDX-License-Identifier: Apache-2.0
"""Which steps a failover has, and which of them wait for which.

``decide`` calls :func:`build` once it knows who takes over. The executor carries the steps
out in the order of the graph, side by side where nothing waits.
"""

import dataclasses
from collections.abc import Sequence

from heat_ha.failover import model
from heat_ha.failover.model import Step, StepKind
from heat_ha.failover.rules import standbys

Names = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class _Task:
    """What a plan is made from: what was seen, and who hands over to whom."""

    seen: model.Observation
    cause: model.Cause
    old: model.MemberServer | None
    new: model.MemberServer | None
    replaces: Names
    has_added: bool

    @property
    def is_move(self) -> bool:
        """Whether the active changes. A standby is replaced without a move."""
        return self.cause is not model.Cause.REPLACE_STANDBY

    @property
    def is_cold(self) -> bool:
        """Whether the successor does not exist yet."""
        return self.is_move and self.new is None

    @property
    def retains_old(self) -> bool:
        """Whether the old active, replaced as sick, is retained for a while, shut off."""
        is_replaced = self.old is not None and self.old.member in self.replaces
        is_sick = self.cause is model.Cause.FAILOVER
        return bool(self.seen.keep_seconds) and is_sick and is_replaced

    @property
    def has_replacer(self) -> bool:
        """Whether something replaces members: the chained policy, or this one, which adds one."""
        return self.seen.chained is not None or self.is_cold or self.has_added


def build(
    seen: model.Observation,
    cause: model.Cause,
    reason: str,
    old: model.MemberServer | None,
    new: model.MemberServer | None,
    replaces: Names,
    tried: tuple[model.MemberServer, ...] = (),
    *,
    has_added: bool = False,
) -> model.Plan:
    """The steps that bring what the template names from ``old`` to ``new``.

    In this order, each where the template or the group asks for it:

    1. ``add_member``: make the successor, under the name in ``target``, where nobody stands by.
    2. ``quiesce``: run the template's config on the old active.
    3. ``stop_server``: shut the old active off.
    4. ``detach:<volume>``: take each volume from the old active. A volume whose attachment
       others depend on is taken after those others.
    5. ``attach:<volume>``: give each volume to the new active once it is taken, in the order of
       the template's dependencies.
    6. ``fence``: see that the old active's host can give up what Heat takes from it, such as a
       port.
    7. ``hand_over``: bring Heat's record, and everything but volumes, to the new active.
    8. ``activate``: run the template's config on the new active.
    9. ``shut_off_kept``: shut off the old active that is retained for a look.
    10. ``replace``: replace the members that are to go.

    1 to 3 run one after the other, and 4 and 6 wait for the last of them. Volumes do not wait for
    each other beyond the template's dependencies. 8 waits for 7 only where more than volumes
    is handed over; otherwise for 5. A plan that replaces a standby has step 10 alone. With 8 the
    failover is over; 9 and 10 are follow-up work.

    Invariant: the attach step of a volume comes after its own detach step, the hand-over after
    every attach and the fence, the replacement last; nothing is taken before the old active is
    quiesced, and nothing is activated before every volume is there.

    :param replaces: names of the members that are to be replaced, if there is a policy for it.
    :param new: None for a successor that step 1 makes.
    :param has_added: whether an earlier plan of the same failover has made a member, or was at it.
    :param tried: further members that may have something of what is handed over, because an
        earlier plan has tried them.
    """
    task = _Task(seen, cause, old, new, replaces, has_added)
    steps = tuple(_move(task) if task.is_move else _replace(task, ()))
    return _plan(task, reason, steps, tried)


def with_replacement(plan: model.Plan, seen: model.Observation, replaces: Names) -> model.Plan:
    """The plan with its steps as they are, and what is to be replaced once it is over.

    :param replaces: names of the members that are to be replaced, if there is a policy for it.
    """
    made = bool(added(plan))
    task = _Task(seen, plan.cause, plan.old, plan.new, replaces, has_added=made)
    steps = tuple(s for s in plan.steps if not s.is_follow_up)
    ends = (StepKind.HAND_OVER, StepKind.ACTIVATE)
    last = tuple(s.name for s in steps if s.kind in ends)
    shutdown = _shut_off_retained(task, last)
    replacement = _replace(task, tuple(s.name for s in shutdown) or last)
    return dataclasses.replace(
        plan,
        steps=(*steps, *shutdown, *replacement),
        chained=seen.chained,
        keep_seconds=seen.keep_seconds if task.retains_old else 0.0,
    )


def added(plan: model.Plan) -> str:
    """The name of the member that was made for the failover, or is to be; '' for none.

    It comes in the place of the old active, whoever becomes the new one.
    """
    found = [s for s in plan.steps if s.kind is StepKind.ADD_MEMBER]
    # A version before did not write it down.
    return found[0].target or added_name(plan.plan_id) if found else ''


def added_name(plan_id: str) -> str:
    """The name of a member that a plan adds."""
    return f'ha{plan_id}'


def _plan(
    task: _Task, reason: str, steps: tuple[Step, ...], tried: tuple[model.MemberServer, ...]
) -> model.Plan:
    seen, cause, old, new = task.seen, task.cause, task.old, task.new
    return model.Plan(
        plan_id=seen.plan_id,
        cause=cause,
        reason=reason,
        requested_by=seen.requested_by,
        created=seen.now.isoformat(timespec='milliseconds'),
        epoch=seen.record.epoch + (1 if task.is_move else 0),
        revision=seen.revision,
        old=old,
        new=new,
        steps=steps,
        chained=seen.chained,
        quiesce=seen.quiesce,
        on_dead_host=seen.on_dead_host,
        quiesce_hook=seen.quiesce_hook,
        activate_hook=seen.activate_hook,
        considered=standbys.considered(
            seen.candidates,
            seen.record.active,
            seen.record.suspects if cause is model.Cause.FAILOVER else (),
            new if task.is_move else None,
            standbys.going(seen.record),
        ),
        keep_seconds=seen.keep_seconds if task.retains_old else 0.0,
        tried=_with_holders(seen, tried, old, new) if task.is_move else (),
    )


def _with_holders(
    seen: model.Observation,
    tried: tuple[model.MemberServer, ...],
    old: model.MemberServer | None,
    new: model.MemberServer | None,
) -> tuple[model.MemberServer, ...]:
    """The members beside the old and the new active that may have what is handed over.

    A person may have moved something to another member of the group by hand, and a plan that was
    dropped may have left it with somebody.
    """
    places = (*seen.held_by.values(), *seen.others_at.values())
    holders = {server for servers in places for server in servers or ()}
    members = (
        model.MemberServer(c.member.name, c.server.server) for c in seen.candidates if c.server
    )
    found = (*tried, *seen.record.left_with, *(o for o in members if o.server in holders))
    return tuple(dict.fromkeys(one for one in found if one not in (old, new)))


def _move(task: _Task) -> list[Step]:
    attachments = task.seen.attachments
    steps = _prepare(task)
    ready = tuple(s.name for s in steps[-1:])
    all_there = tuple(f'attach:{a.target}' for a in attachments) or ready
    steps += _detach(attachments, ready)
    steps += _attach(attachments)
    fence = _fence(task, ready)
    steps += fence
    before = all_there + tuple(s.name for s in fence)
    steps.append(Step('hand_over', StepKind.HAND_OVER, '', before))
    activation = _activate(task, all_there)
    shutdown = _shut_off_retained(task, ('hand_over', *(s.name for s in activation)))
    last = tuple(s.name for s in shutdown or [steps[-1], *activation])
    return [*steps, *activation, *shutdown, *_replace(task, last)]


def _prepare(task: _Task) -> list[Step]:
    """What comes before the first volume is taken, each step after the one before."""
    found: list[Step] = []
    if task.is_cold:
        found.append(Step('add_member', StepKind.ADD_MEMBER, added_name(task.seen.plan_id)))
    if task.old is not None and task.seen.quiesce_hook is not None:
        found.append(Step('quiesce', StepKind.QUIESCE, task.old.server))
    if task.old is not None and task.seen.quiesce is model.Quiesce.STOP:
        found.append(Step('stop_server', StepKind.STOP_SERVER, task.old.server))
    before: Sequence[Names] = [(), *((step.name,) for step in found)]
    return [
        dataclasses.replace(step, after=after) for step, after in zip(found, before, strict=False)
    ]


def _detach(attachments: Sequence[model.Attachment], ready: Names) -> list[Step]:
    return [
        Step(
            f'detach:{one.target}',
            StepKind.DETACH,
            one.target,
            ready + tuple(f'detach:{o.target}' for o in attachments if one.target in o.after),
            thing=one.thing,
        )
        for one in attachments
    ]


def _attach(attachments: Sequence[model.Attachment]) -> list[Step]:
    known = {one.target for one in attachments}
    return [
        Step(
            f'attach:{one.target}',
            StepKind.ATTACH,
            one.target,
            (f'detach:{one.target}', *(f'attach:{v}' for v in one.after if v in known)),
            detail=one.detail or '',
            thing=one.thing,
        )
        for one in attachments
    ]


def _fence(task: _Task, ready: Names) -> list[Step]:
    """The look at the hosts that have to give up something to Heat.

    A plan that was dropped may have left it elsewhere than at the active.
    """
    if not task.seen.asks_old_host:
        return []
    others = _with_holders(task.seen, (), task.old, task.new)
    old = task.old if task.old != task.new else next(iter(others), None)
    return [Step('fence', StepKind.FENCE, old.server, ready)] if old is not None else []


def _activate(task: _Task, all_there: Names) -> list[Step]:
    if task.seen.activate_hook is None:
        return []
    # Heat's record of volumes is of no use to what is activated; a port or an address is.
    after = ('hand_over',) if task.seen.moves_more_than_volumes else all_there
    return [Step('activate', StepKind.ACTIVATE, '', after)]


def _shut_off_retained(task: _Task, after: Names) -> list[Step]:
    if task.old is None or not task.retains_old or not task.has_replacer:
        return []
    return [Step(model.SHUT_OFF_RETAINED, StepKind.STOP_SERVER, task.old.server, after)]


def _replace(task: _Task, after: Names) -> list[Step]:
    if not task.replaces or not task.has_replacer:
        return []
    return [Step('replace', StepKind.REPLACE, ','.join(task.replaces), after)]
