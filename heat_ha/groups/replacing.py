# SPDX-License-Identifier: Apache-2.0
"""Replacing members of a scaling group, from the request to the last look.

The ScalingPolicy calls ``replace`` and ``adjusting``; the FailoverPolicy calls ``replace`` for
the members that it has moved everything off, and ``add_member``. What to do is decided in
``rules.decide``; ``adapters.members`` and ``adapters.store`` do it.
"""

import collections.abc
import contextlib
import dataclasses
import time
from typing import Any

from oslo_log import log as logging

from heat_ha import exceptions
from heat_ha.cloud import clock, lease
from heat_ha.groups import lease as group_lease
from heat_ha.groups import model, run_series
from heat_ha.groups.adapters import changes
from heat_ha.groups.adapters import members as group_members
from heat_ha.groups.adapters import store as group_store
from heat_ha.groups.intent import Intent, TakenOver
from heat_ha.groups.replacement_run import (
    REMOVAL_SECONDS,
    AtWork,
    Emit,
    IsNeeded,
    Keep,
    ReplacementRun,
    always,
    never,
    nothing,
)
from heat_ha.groups.rules import cooldowns, decide, pairs
from heat_ha.groups.rules.result import names_of

LOG = logging.getLogger(__name__)

# Seconds for which a request waits for a group whose holder has nothing left to do but to wait
# for deletions, and between two looks. The holder looks every three seconds at the least.
TURN_SECONDS = 20.0
TURN_LOOK_SECONDS = 1.0


def replace(
    group_resource: Any,
    *,
    requested_by: str,
    order: model.Order,
    count: int = 1,
    named: tuple[str, ...] = (),
    keep: run_series.KeepArgument = (),
    new_names: tuple[str, ...] = (),
    respect_cooldown: bool = True,
    cooldown: float | None = None,
    emit: Emit = LOG.info,
    is_needed: IsNeeded = never,
    at_work: AtWork = nothing,
) -> model.Outcome:
    """Replace members of the group and wait until it is done.

    An intent that an earlier run left is carried to its end first. If it was for the same
    request, nothing else is done. Where only the deletion of its former members is left of it,
    which fails or does not end, the request overtakes it: one intent then holds both, what is
    asked for is done, and the deletion is tried again at the end. A named member that is not in
    the group any more counts as replaced.

    :param named: names of members to replace before others.
    :param keep: names of members that stay in any case, or a function that is asked for them
        before each step.
    :param new_names: names for the new members, when the caller has them on its own record;
        a member that has such a name already counts as the new one.
    :param cooldown: in seconds; None means the group's own.
    :param emit: called with a sentence about each step.
    :param is_needed: asked while nothing but deletions is under way: whether somebody else needs
        the group. Then they are left to Heat, and ``StillRemoving`` says so.
    :param at_work: called at each look for as long as it takes.
    :raises exceptions.Refused: nothing was changed.
    :raises exceptions.TryAgain: nothing was changed, for somebody else changes the group.
    :raises StillRemoving: the group is needed, here or by another request for it.
    :raises exceptions.Stopped: not everything was replaced; the group is in order all the same.
    """
    started = time.monotonic()
    request = _Request(requested_by, order, count, named, run_series.as_asked(keep), new_names)
    with group_resource.frozen_properties():
        _refuse_if_unready(group_resource)
        seen = group_members.look(group_resource)
        chosen = None
        if group_store.read_replacement(group_resource) is None:
            if request.is_done(seen):
                return request.outcome(seen, started)
            chosen = _choose(group_resource, seen, request)
        allowed = _cooldown(group_resource, cooldown)
        wanted = group_lease.Lease(
            group_resource,
            requested_by,
            cooldown=allowed if respect_cooldown and chosen is not None else None,
            next_cooldown=allowed,
            reason=f'replace_oldest : {count}',
        )
        with _acquired(group_resource, wanted, request.keep) as held:
            series = run_series.RunSeries(group_resource, held, emit, is_needed, at_work)
            return _replace_under_lease(series, request, seen, chosen)


@contextlib.contextmanager
def _acquired(
    group: Any, wanted: group_lease.Lease, keep: Keep
) -> collections.abc.Iterator[group_lease.Lease]:
    """Hold the lease in the body; whoever has it and only waits for deletions is asked for it.

    :raises exceptions.TryAgain: somebody else has it.
    """
    try:
        wanted.acquire()
    except exceptions.TryAgain:
        left = group_store.read_replacement(group)
        if left is None or not run_series.is_only_removing(group, left, keep):
            raise
        _acquire_soon(group, wanted)
    try:
        yield wanted
    finally:
        wanted.release()


def _acquire_soon(group: Any, wanted: group_lease.Lease) -> None:
    end = time.monotonic() + TURN_SECONDS
    while True:
        group_store.ask_for(group)
        time.sleep(TURN_LOOK_SECONDS)
        try:
            wanted.acquire()
        except exceptions.TryAgain:
            if time.monotonic() > end:
                # It is still asked for: the holder may only be slow, and who asks may come again.
                raise
            continue
        group_store.drop_asking(group)
        return


@dataclasses.dataclass(frozen=True)
class _Request:
    """What a caller of ``replace`` asks for."""

    requested_by: str
    order: model.Order
    count: int
    named: tuple[str, ...]
    keep: Keep
    new_names: tuple[str, ...]

    def gone(self, seen: model.Group) -> tuple[str, ...]:
        """The named members that are not in the group any more."""
        return tuple(n for n in self.named if seen.member(n) is None)

    def has_all_gone(self, seen: model.Group) -> bool:
        """Whether members are named, and none of them is in the group any more."""
        return bool(self.named) and len(self.gone(seen)) == len(self.named)

    def is_covered_by(self, left: model.Replacement) -> bool:
        """Whether an earlier run was for the same request."""
        if left.requested_by != self.requested_by:
            return False
        own = {pair.victim for pair in left.pairs if not pair.is_overtaken}
        return set(self.named) <= set(left.victims) if self.named else bool(own)

    def is_done(self, seen: model.Group) -> bool:
        """Whether the named members are gone, and nothing is left to be put in order."""
        return self.has_all_gone(seen) and not (
            seen.being_deleted or seen.is_in_progress or any(m.update_failed for m in seen.members)
        )

    def outcome(self, seen: model.Group, started: float) -> model.Outcome:
        """That all named members are gone."""
        present = tuple(n for n in self.new_names if seen.member(n))
        return model.Outcome(self.named, present, time.monotonic() - started)


def _replace_under_lease(
    series: run_series.RunSeries,
    request: _Request,
    seen: model.Group,
    chosen: tuple[model.Member, ...] | None,
) -> model.Outcome:
    """Carry out what an earlier run left, then the request, as far as that was not the same.

    :param chosen: the members to replace; None where an earlier run is to be ended first.
    """
    started = time.monotonic()
    left = group_store.read_replacement(series.group)
    if left is not None:
        outcome = _take_up(series, request, left)
        if outcome is not None:
            return outcome
        left = group_store.read_replacement(series.group)
        seen = group_members.look(series.group)
        if left is None and request.has_all_gone(seen):
            return request.outcome(seen, started)
        chosen = None
    elif series.held.over is None:
        _refuse_if_in_progress(series.group)
    if chosen is None:
        chosen = _choose(series.group, seen, request)
    wanted = _intent(series.held, request, seen, chosen)
    if left is not None:
        wanted = pairs.joined(left, wanted, seen)
        former = names_of([m.name for m in pairs.former(seen, wanted)])
        series.emit(f'going on beside what {left.requested_by} has left to delete: {former}')
    if chosen:
        why = ', '.join(f'{m.name} ({decide.why_chosen(m, request.named)})' for m in chosen)
        series.emit(f'replacing member {why} by {names_of(_new_names(wanted))}')
    outcome = series.in_runs(wanted, request.keep)
    if chosen:
        return outcome
    return dataclasses.replace(request.outcome(seen, started), left_over=outcome.left_over)


def _new_names(wanted: model.Replacement) -> tuple[str, ...]:
    """The names of the members that come for this request."""
    return tuple(p.new for p in wanted.pairs if not p.is_overtaken)


def _take_up(
    series: run_series.RunSeries, request: _Request, left: model.Replacement
) -> model.Outcome | None:
    """Carry out what an earlier run left; None where the request is not done by that.

    :raises exceptions.HaError: it could not be completed. Either it was for the same request, or
        it may not be forgotten.
    """
    if not request.is_covered_by(left):
        if run_series.is_only_removing(series.group, left, request.keep):
            return None
        outcome = series.settle(left, request.keep)
        has_gone = request.has_all_gone(group_members.look(series.group))
        return outcome if has_gone else None
    left = pairs.for_request(left, request.named)
    late = time.monotonic() + REMOVAL_SECONDS

    def is_needed() -> bool:
        # Who names nobody asks for the next member, too, where a deletion does not end.
        return series.is_needed() or (not request.named and time.monotonic() > late)

    try:
        outcome = series.take_up(left, request.keep, is_needed)
    except TakenOver:
        raise
    except exceptions.HaError as exc:
        now = group_store.read_replacement(series.group)
        if request.named or now is None:
            raise
        if not run_series.is_only_removing(series.group, now, request.keep):
            raise
        # All but the deletion is done, and that was tried again: the next member may go.
        series.emit(str(exc))
        return None
    return outcome if request.named or outcome.new else None


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
    keep: run_series.KeepArgument = (),
    emit: Emit = LOG.info,
    at_work: AtWork = nothing,
) -> str:
    """Bring one more member into the group, under a name that the caller has on its record.

    :param keep: as for ``replace``; these members stay also where an earlier intent would have
        them go.
    :param at_work: as for ``replace``.
    :returns: the name.
    :raises exceptions.TryAgain: somebody else changes the group.
    :raises exceptions.Stopped: the member failed and was removed again; or the group is to have
        no member at all.
    """
    asked = run_series.as_asked(keep)
    with group_resource.frozen_properties():
        is_waiting = group_store.is_waiting_for_failover(group_resource)
        _refuse_if_unready(group_resource, is_waiting)
        if group_resource.properties[group_resource.MAX_SIZE] < 1:
            raise exceptions.Stopped(
                f'group {group_resource.name} gets no new member, because its max_size is 0',
                'Raise its max_size',
            )
        kind = group_lease.WithinUpdate if is_waiting else group_lease.Lease
        lease_wanted = kind(group_resource, requested_by, reason='add_member : 1')
        with _acquired(group_resource, lease_wanted, asked) as held:
            series = run_series.RunSeries(group_resource, held, emit, at_work=at_work)
            left = group_store.read_replacement(group_resource)
            if left is not None and not run_series.is_only_removing(group_resource, left, asked):
                series.settle(left, asked)
                left = group_store.read_replacement(group_resource)
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
            if left is not None:
                wanted = pairs.joined(left, wanted, seen)
            emit(f'adding member {name}')
            series.in_runs(wanted, asked)
    return name


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
        try:
            group_store.clear_stale(group_resource, stale)
        except exceptions.TryAgain as exc:
            LOG.info('Group %s: %s', group_resource.name, exc)
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
                    keep = run_series.as_asked(())
                    left = run_series.within_max_size(group, left)
                    ReplacementRun(group, held, left, keep, emit, always).carry_out()
        except exceptions.HaError as exc:
            emit(f'the replacement that was interrupted could not be ended: {exc}')


def _refuse_if_unready(group: Any, is_waiting: bool = False) -> None:
    if group.resource_id is None:
        raise exceptions.Refused(f'group {group.name} is not created yet', 'Signal again later')
    if group.action in (group.DELETE, group.SUSPEND):
        raise exceptions.Refused(f'group {group.name} is in {group.action}', 'Resume its stack')
    under_way = group_store.update_under_way(group)
    if under_way is not None and not is_waiting:
        raise exceptions.TryAgain(f'group {group.name} is in {under_way}')


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
    chosen = decide.victims(seen, count, there, (*request.keep(), *request.new_names))
    decide.check_pauses(count, group_members.rolling(group), group.stack.timeout_secs())
    return chosen


def _cooldown(group: Any, given: float | None) -> float:
    return cooldowns.bounded(group.properties[group.COOLDOWN] if given is None else given)
