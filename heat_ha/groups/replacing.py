# SPDX-License-Identifier: Apache-2.0
"""Replacing members of a scaling group, from the request to the last look.

The ScalingPolicy calls ``replace`` and ``adjusting``; the FailoverPolicy calls ``replace`` for
the members that it has moved everything off, and ``add_member``. What to do is decided in
``rules.decide``; ``adapters.members`` and ``adapters.store`` do it.
"""

import collections.abc
import contextlib
import dataclasses
import itertools
import random
import time
from typing import Any

from oslo_log import log as logging

from heat_ha import exceptions
from heat_ha.cloud import clock, lease
from heat_ha.groups import lease as group_lease
from heat_ha.groups import model
from heat_ha.groups.adapters import changes
from heat_ha.groups.adapters import members as group_members
from heat_ha.groups.adapters import store as group_store
from heat_ha.groups.intent import Intent, TakenOver
from heat_ha.groups.replacement_run import Emit, ReplacementRun
from heat_ha.groups.rules import decide
from heat_ha.groups.rules.result import names_of

LOG = logging.getLogger(__name__)

# The longest waits, in seconds, before what may pass is tried again: time for a service to be
# restarted, and not so long that nobody sees why nothing happens.
PAUSES = (2.0, 8.0, 20.0)


def replace(
    group_resource: Any,
    *,
    requested_by: str,
    order: model.Order,
    count: int = 1,
    named: tuple[str, ...] = (),
    keep: tuple[str, ...] = (),
    new_names: tuple[str, ...] = (),
    respect_cooldown: bool = True,
    cooldown: float | None = None,
    emit: Emit = LOG.info,
) -> model.Outcome:
    """Replace members of the group and wait until it is done.

    An intent that an earlier run left is carried to its end first. If it was for the same
    request, nothing else is done. A named member that is not in the group any more counts as
    replaced.

    :param named: names of members to replace before others.
    :param keep: names of members that stay in any case.
    :param new_names: names for the new members, when the caller has them on its own record;
        a member that has such a name already counts as the new one.
    :param cooldown: in seconds; None means the group's own.
    :param emit: called with a sentence about each step.
    :raises exceptions.Refused: nothing was changed.
    :raises exceptions.TryAgain: nothing was changed, for somebody else changes the group.
    :raises exceptions.Stopped: not everything was replaced; the group is in order all the same.
    """
    started = time.monotonic()
    request = _Request(requested_by, order, count, named, keep, new_names)
    with group_resource.frozen_properties():
        _refuse_if_unready(group_resource)
        seen = group_members.look(group_resource)
        chosen = None
        if group_store.read_replacement(group_resource) is None:
            if request.is_done(seen):
                present = tuple(n for n in new_names if seen.member(n))
                return model.Outcome(named, present, time.monotonic() - started)
            chosen = _choose(group_resource, seen, request)
        allowed = _cooldown(group_resource, cooldown)
        with group_lease.Lease(
            group_resource,
            requested_by,
            cooldown=allowed if respect_cooldown and chosen is not None else None,
            next_cooldown=allowed,
            reason=f'replace_oldest : {count}',
        ) as held:
            return _replace_under_lease(group_resource, held, request, seen, chosen, emit)


@dataclasses.dataclass(frozen=True)
class _Request:
    """What a caller of ``replace`` asks for."""

    requested_by: str
    order: model.Order
    count: int
    named: tuple[str, ...]
    keep: tuple[str, ...]
    new_names: tuple[str, ...]

    def gone(self, seen: model.Group) -> tuple[str, ...]:
        """The named members that are not in the group any more."""
        return tuple(n for n in self.named if seen.member(n) is None)

    def has_all_gone(self, seen: model.Group) -> bool:
        """Whether members are named, and none of them is in the group any more."""
        return bool(self.named) and len(self.gone(seen)) == len(self.named)

    def is_covered_by(self, left: model.Replacement) -> bool:
        """Whether an earlier run was for the same request."""
        is_same_sender = left.requested_by == self.requested_by
        return is_same_sender and set(self.named) <= set(left.victims)

    def is_done(self, seen: model.Group) -> bool:
        """Whether the named members are gone, and nothing is left to be put in order."""
        return self.has_all_gone(seen) and not (
            seen.being_deleted or seen.is_in_progress or any(m.update_failed for m in seen.members)
        )


def _replace_under_lease(
    group: Any,
    held: group_lease.Lease,
    request: _Request,
    seen: model.Group,
    chosen: tuple[model.Member, ...] | None,
    emit: Emit,
) -> model.Outcome:
    """Carry out what an earlier run left, then the request, as far as that was not the same.

    :param chosen: the members to replace; None where an earlier run is to be ended first.
    """
    left = group_store.read_replacement(group)
    if left is not None:
        emit(
            f'resuming the replacement of {names_of(left.victims)} that {left.requested_by} began '
            f'at {left.since}'
        )
        left = decide.resumed(left, request.keep)
        outcome = _in_several_runs(group, held, left, request.keep, emit)
        if request.is_covered_by(left) and (request.named or outcome.new):
            return outcome
        seen = group_members.look(group)
        if request.has_all_gone(seen):
            return outcome
        chosen = None
    elif held.over is None:
        _refuse_if_in_progress(group)
    if chosen is None:
        chosen = _choose(group, seen, request)
    wanted = _intent(held, request, seen, chosen)
    if chosen:
        why = ', '.join(f'{m.name} ({decide.why_chosen(m, request.named)})' for m in chosen)
        emit(f'replacing member {why} by {names_of(wanted.new_names)}')
    return _in_several_runs(group, held, wanted, request.keep, emit)


def _intent(
    held: group_lease.Lease,
    request: _Request,
    seen: model.Group,
    chosen: tuple[model.Member, ...],
) -> model.Replacement:
    new = request.new_names
    if not (chosen and new):
        new = tuple(changes.new_name() for _ in chosen)
    return model.Replacement(
        id=held.mark.id,
        requested_by=request.requested_by,
        order=request.order,
        size=len([m for m in seen.members if m.name not in new]),
        named=request.named,
        pairs=tuple(model.Pair(m.name, n) for m, n in zip(chosen, new, strict=True)),
        engine=lease.own_engine_id(),
        since=clock.now_text(),
    )


def add_member(
    group_resource: Any,
    *,
    requested_by: str,
    name: str,
    keep: tuple[str, ...] = (),
    emit: Emit = LOG.info,
) -> str:
    """Bring one more member into the group, under a name that the caller has on its record.

    :param keep: names of members that stay, also where an earlier intent would have them go.
    :returns: the name.
    :raises exceptions.TryAgain: somebody else changes the group.
    :raises exceptions.Stopped: the member failed and was removed again; or the group is to have
        no member at all.
    """
    with group_resource.frozen_properties():
        _refuse_if_unready(group_resource)
        if group_resource.properties[group_resource.MAX_SIZE] < 1:
            raise exceptions.Stopped(
                f'group {group_resource.name} gets no new member, because its max_size is 0',
                'Raise its max_size',
            )
        with group_lease.Lease(group_resource, requested_by, reason='add_member : 1') as held:
            left = group_store.read_replacement(group_resource)
            if left is not None:
                _settle(group_resource, held, left, keep, emit)
            seen = group_members.look(group_resource)
            there = seen.member(name)
            if there is not None and there.is_in_service and not seen.is_in_progress:
                return name
            wanted = model.Replacement(
                id=held.mark.id,
                requested_by=requested_by,
                order=model.Order.DELETE_FIRST,
                size=len([m for m in seen.members if m.name != name]) + 1,
                named=(),
                pairs=(model.Pair('', name),),
                engine=lease.own_engine_id(),
                since=clock.now_text(),
            )
            emit(f'adding member {name}')
            _in_several_runs(group_resource, held, wanted, keep, emit)
    return name


def _settle(
    group: Any,
    held: group_lease.Lease,
    left: model.Replacement,
    keep: tuple[str, ...],
    emit: Emit,
) -> None:
    """Carry out what an earlier run left, so that another replacement can go on record.

    :raises exceptions.HaError: it could not be completed, and may not be forgotten.
    """
    try:
        _in_several_runs(group, held, decide.resumed(left, keep), keep, emit)
    except TakenOver:
        # The group is not ours any more, even if the other engine has ended its work already.
        raise
    except exceptions.HaError as exc:
        if group_store.read_replacement(group) is not None:
            raise
        emit(f'what {left.requested_by} began at {left.since} was not completed: {exc}')


def _in_several_runs(
    group: Any,
    held: group_lease.Lease,
    wanted: model.Replacement,
    keep: tuple[str, ...],
    emit: Emit,
) -> model.Outcome:
    """Carry a replacement out, and what is left of it again where it may succeed later.

    :raises exceptions.Refused: nothing could be done.
    :raises exceptions.Stopped: not all of it could be done.
    """
    begin = time.monotonic()
    added: list[str] = []
    pauses: collections.abc.Iterator[float] = iter(PAUSES)
    if wanted.given_up:
        # What an earlier run gave up is tried again at once: this request asks for that.
        pauses = itertools.chain([0.0], pauses)
    asked_for = wanted.victims
    while True:
        run = ReplacementRun(group, held, wanted, keep, emit)
        try:
            outcome = run.carry_out()
        except exceptions.MayPass as exc:
            pause = next(pauses, None)
            if pause is None:
                raise
            added += run.added
            pause *= random.uniform(0.5, 1.0)
            emit(f'{exc.reason}; trying again in {pause:.1f} s')
            time.sleep(pause)
            try:
                wanted = run.what_is_left()
            except exceptions.CouldNotAsk:
                raise exc from None
            continue
        gone = tuple(victim for victim in asked_for if victim)
        return model.Outcome(gone, (*added, *outcome.new), time.monotonic() - begin)


def forget(group_resource: Any, *, requested_by: str) -> None:
    """Take a replacement that an earlier run left off the record; the members stay as they are.

    :raises exceptions.TryAgain: somebody else changes the group.
    """
    with (
        group_resource.frozen_properties(),
        group_lease.Lease(group_resource, requested_by, reason='replace_oldest : 0') as held,
    ):
        left = group_store.read_replacement(group_resource)
        if left is not None:
            Intent(group_resource, held, left).forget()


@contextlib.contextmanager
def adjusting(
    group_resource: Any, requested_by: str, emit: Emit = LOG.info
) -> collections.abc.Iterator[None]:
    """Let Heat's own scaling of the group run in the body, and be found if its engine dies.

    A mark that a dead engine left, and a replacement that it did not end, are dealt with first.
    A mark that a living engine holds stays: Heat's own code refuses then.
    """
    if group_resource.id is None or group_resource.resource_id is None:
        yield
        return
    try:
        stale = group_lease.wait_until_free(group_resource)
    except exceptions.TryAgain as exc:
        LOG.info('Group %s: %s', group_resource.name, exc)
        yield
        return
    if group_store.read_replacement(group_resource) is not None:
        _finish_what_was_left(group_resource, requested_by, emit)
    elif stale is not None:
        group_store.clear_stale(group_resource, stale)
    mark = group_lease.begin(requested_by)
    try:
        group_store.write_adjustment(group_resource, mark)
        yield
    finally:
        group_lease.end(mark)
        group_store.drop_adjustment(group_resource)


def _finish_what_was_left(group: Any, requested_by: str, emit: Emit) -> None:
    with group.frozen_properties():
        try:
            with group_lease.Lease(group, requested_by, reason='replace_oldest : 0') as held:
                left = group_store.read_replacement(group)
                if left is not None:
                    # Once only, and without new pairs: which member is the active, and has to
                    # stay, is not known here.
                    ReplacementRun(group, held, left, (), emit).carry_out()
        except exceptions.HaError as exc:
            emit(f'the replacement that was interrupted could not be ended: {exc}')


def _refuse_if_unready(group: Any) -> None:
    if group.resource_id is None:
        raise exceptions.Refused(f'group {group.name} is not created yet', 'Signal again later')
    if group.action in (group.DELETE, group.SUSPEND):
        raise exceptions.Refused(f'group {group.name} is in {group.action}', 'Resume its stack')
    if group.status == group.IN_PROGRESS:
        raise exceptions.TryAgain(f'group {group.name} is in {group.action}_{group.status}')


def _refuse_if_in_progress(group: Any) -> None:
    """Leave a nested stack alone that is being changed by someone who has not marked the group."""
    is_in_progress, seconds = group_store.nested_state(group)
    if is_in_progress and seconds <= group.stack.timeout_secs():
        raise exceptions.TryAgain(f'the nested stack of group {group.name} is being changed')


def _choose(group: Any, seen: model.Group, request: _Request) -> tuple[model.Member, ...]:
    gone, count = request.gone(seen), request.count
    there = tuple(n for n in request.named if n not in gone)
    if gone:
        # The first run chose the others; which they were is not known any more.
        count = len(there)
    if request.new_names and count and len(request.new_names) != count:
        raise exceptions.Refused(f'{len(request.new_names)} new names for {count} members')
    chosen = decide.victims(seen, count, there, (*request.keep, *request.new_names))
    decide.check_pauses(count, group_members.rolling(group), group.stack.timeout_secs())
    return chosen


def _cooldown(group: Any, given: float | None) -> float:
    wanted = group.properties[group.COOLDOWN] if given is None else given
    return float(wanted or 0)
