# SPDX-License-Identifier: Apache-2.0
"""Bring the parts of a RemoteStack to what is wanted: look, decide, write down, send.

``Work`` is one action or signal at work. Each call of ``step`` looks at every region that is
due once, all side by side, sends at most one request to each, and returns; Heat, or the timer
of a signal, calls it again a second later. What is known is in the record after each call, so
that any engine can go on at any point.
"""

import dataclasses
import datetime
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from oslo_log import log as logging

from heat_ha import exceptions
from heat_ha.regions import interfaces, model, record, stall_monitor
from heat_ha.regions.rules import (
    decide,
    planning,
    restores,
    revision,
    rollouts,
    spec,
    tags,
    tombstones,
)

LOG = logging.getLogger(__name__)

# How often one action tells one part: its inputs come from parts that may depend on it in turn.
MAX_TELLINGS = 6


class Reconciler:
    """One action or signal that tells regions what is wanted of them.

    :param port: makes the port to a region's Heat, from its name and its place.
    :param say: takes an event's text, and whether it is of a failure.
    :param only: the regions that are looked at; None for all.
    """

    def __init__(
        self,
        store: interfaces.Store,
        wishes: interfaces.DesiredState,
        port: Callable[[str, str], interfaces.RegionHeat],
        say: Callable[[str, bool], None],
        only: frozenset[str] | None = None,
    ) -> None:
        self._store = store
        self._wishes = wishes
        self._port = port
        self._say = say
        self._only = only
        self._attempt = uuid.uuid4().hex[:12]
        self._settled: dict[str, str] = {}
        self._begun: set[str] = set()
        self._tellings: dict[str, int] = {}
        self._record = store.read() or model.Record(owner=wishes.owner)
        self._bodies: dict[str, Mapping[str, Any]] = {}
        self._waited: dict[str, float] = {}
        # Why the last request of a part was not answered as Heat does.
        self._no_answer: dict[str, str] = {}
        self._buried: set[model.Tombstone] = set()
        self._watch = stall_monitor.StallMonitor()
        # Whether a stack was left in a region because the template wants that.
        self.has_left_stacks = False

    @property
    def record(self) -> model.Record:
        """The record after the last step."""
        return self._record

    def plan(self) -> None:
        """Put on record what is wanted now; no region is asked, and nothing is sent."""
        self._plan()
        self._store.write(self._record)

    def _plan(self) -> None:
        contents = self._wishes.contents()
        planned = planning.plan(
            self._record,
            contents,
            self._wishes.base_name,
            self._wishes.is_single,
            interfaces.now_text(),
            lambda: uuid.uuid4().hex,
        )
        parts = tuple(self._with_way(p) for p in planned.parts)
        self._bodies = {r: c.body for r, c in contents.items() if isinstance(c, spec.Content)}
        manifest = revision.of({p.region: p.desired for p in parts})
        self._record = dataclasses.replace(planned, parts=parts, manifest=manifest)
        if self._wishes.restore is not None:
            self._record = restores.ordered(self._record, self._wishes.restore)

    def _with_way(self, part: model.Part) -> model.Part:
        adopts = part.adopts if part.may_exist else self._wishes.adopts.get(part.region, '')
        place = self._wishes.places.get(part.region, '')
        sleep = part.sleep if self._wishes.sleep is None else self._wishes.sleep
        return dataclasses.replace(part, adopts=adopts, place=place, sleep=sleep)

    def step(self) -> bool:
        """Do the next step in each region that is due. :returns: whether all is done."""
        self._plan()
        self._settle_what_needs_no_look()
        # Who waits for another part's output neither works nor keeps others from it.
        lacking = {p.region for p in self._record.parts if p.region not in self._bodies}
        due = rollouts.may_work(
            self._record, self._wishes.rollout, {*self._settled, *lacking}, self._begun
        )
        graves = self._open_graves()
        if due or graves:
            self._pass([p for p in self._record.parts if p.region in due], graves)
        self._store.write(self._record)
        # What the looks brought may be another part's input.
        self._plan()
        return not self._open_graves() and all(
            self._settled.get(p.region) == p.desired
            for p in self._record.parts
            if p.region in self._bodies
        )

    def _open_graves(self) -> list[model.Tombstone]:
        return [
            t for t in self._record.tombstones if t not in self._buried and self._is_meant(t.region)
        ]

    def failures(self) -> list[str]:
        """What has failed, one sentence for each part or tombstone."""
        told = [
            f'{p.region}: {p.error_class.value}: {p.reason}'
            for p in self._record.parts
            if p.state is model.State.FAILED
            and p.error_class
            and self._is_meant(p.region)
            and not self._wishes.only_deletes
        ]
        return told + [
            f'{t.region}: {t.error_class.value}: {t.reason}'
            for t in self._record.tombstones
            if t.error_class not in (None, model.ErrorClass.UNREACHABLE)
            or (t.error_class and self._wishes.rules.on_delete is spec.OnDelete.FAIL)
        ]  # fmt: skip

    def force(self, region: str) -> bool:
        """Tell a part once more if it is in progress. :returns: whether it is looked at here."""
        if self._is_meant(region):
            self._watch.force(region)
        return self._is_meant(region)

    def cancel(self) -> None:
        """Tell the regions that are at work for us to stop; none is waited for."""
        calls = {
            part: lambda part=part: self._port(part.region, part.place).send(
                model.Request.CANCEL, part, {}
            )
            for part in self._record.parts
            if part.state is model.State.WORKING and part.stack_id and self._is_meant(part.region)
        }
        for part, answer in interfaces.side_by_side(calls).items():
            word = 'is told to cancel' if answer.answer is model.Answer.ACCEPTED else 'goes on'
            self._say(f'{part.region} {word} {answer.reason}'.rstrip(), False)

    # --- which parts ------------------------------------------------------------------------

    def _is_meant(self, region: str) -> bool:
        return self._only is None or region in self._only

    def _settle_what_needs_no_look(self) -> None:
        for part in self._record.parts:
            earlier = self._settled.get(part.region)
            if earlier is not None and earlier != part.desired:
                # Another part's outputs have changed what this one is to hold.
                del self._settled[part.region]
            is_refused = part.state is model.State.FAILED and part.attempt == self._attempt
            if part.state is model.State.ABANDONED or part.paused or is_refused:
                self._settled[part.region] = part.desired
            if not self._is_meant(part.region) or self._wishes.only_deletes:
                self._settled[part.region] = part.desired
        reason = rollouts.not_begun(self._record, self._wishes.rollout, self._settled, self._begun)
        for part in self._record.parts:
            if reason and part.region not in self._settled:
                self._settled[part.region] = part.desired
                self._record = self._record.with_part(dataclasses.replace(part, reason=reason))

    # --- one pass ---------------------------------------------------------------------------

    def _pass(self, parts: list[model.Part], graves: list[model.Tombstone]) -> None:
        begin = time.monotonic()
        calls: dict[Any, Callable[[], model.Seen]] = {p: self._looker(p) for p in parts}
        calls |= {t: self._looker(t) for t in graves}
        looks = interfaces.side_by_side(calls)
        took = time.monotonic() - begin
        requests: dict[Any, Callable[[], Any]] = {}
        for part in parts:
            self._decide_part(part, looks[part], requests)
        for grave in graves:
            self._decide_grave(grave, looks[grave], took, requests)
        # One write for all intents, durable before the first of the requests.
        self._store.write(self._record)
        answers = interfaces.side_by_side(requests)
        for key, answer in answers.items():
            self._take_answer(key, answer)

    def _looker(self, one: model.Part | model.Tombstone) -> Callable[[], model.Seen]:
        with_outputs = isinstance(one, model.Part) and one.is_current
        port = self._port(one.region, one.place)
        if isinstance(one, model.Part) and one.adopts and not one.may_exist:
            return lambda: self._look_at_strange(port, one)
        return lambda: port.look(one, with_outputs)

    def _look_at_strange(self, port: interfaces.RegionHeat, part: model.Part) -> model.Seen:
        """Look at a stack that somebody else has made and that is to be adopted."""
        seen = port.look(part, False)
        if not isinstance(seen, model.Present) or self._wishes.rules.adopt_overwrites:
            return seen
        found = dataclasses.replace(part, stack_id=seen.stack_id, name=seen.name)
        is_equal = port.is_equal(found, self._bodies[part.region])
        return dataclasses.replace(seen, is_equal=is_equal)

    def _decide_part(
        self, part: model.Part, seen: model.Seen, requests: dict[Any, Callable[[], Any]]
    ) -> None:
        now = datetime.datetime.now(datetime.timezone.utc)
        self._begun.add(part.region)
        found = decide.after_look(part, seen, interfaces.now_text())
        step = decide.next_step(found, seen, self._wishes.rules, self._attempt, now)
        watched = self._watch.step(found, seen, self._wishes.rules, now)
        if isinstance(step, model.Wait) and watched is not None:
            step = watched
        is_repeat = isinstance(step, model.Send) and step.request is model.Request.REPEAT
        has_told_enough = self._tellings.get(part.region, 0) >= MAX_TELLINGS
        if isinstance(step, model.Send) and not is_repeat and has_told_enough:
            step = self._told_enough(part)
        # Not what was seen: outputs may be secrets.
        LOG.debug('%s: %s, so %s', part.region, type(seen).__name__, step)
        if isinstance(step, model.Send):
            sent = decide.intended(found, step.request, seen, self._attempt, interfaces.now_text())
            self._record = self._record.with_part(sent)
            self._tellings[part.region] = self._tellings.get(part.region, 0) + (not is_repeat)
            body, send = self._body(sent, step.request), step
            requests[('part', found, sent, step)] = lambda: self._sent(send, sent, body)
            return
        done = decide.after_step(found, step, seen)
        self._record = self._record.with_part(done)
        if isinstance(step, model.Wait):
            self._watch_on(done, step, watched is not None, requests)
            return
        if isinstance(step, model.Done) and isinstance(seen, model.Present):
            if seen.outputs is None:
                requests[('outputs', done)] = lambda: self._port(part.region, part.place).look(
                    done, True
                )
            else:
                self._keep_outputs(done, seen)
        is_remote = getattr(step, 'error_class', None) is model.ErrorClass.REMOTE_FAILED
        if is_remote:
            requests[('cause', done)] = lambda: self._port(part.region, part.place).cause(done)
        if self._tellings.get(part.region) and (is_remote or isinstance(step, model.Done)):
            requests[('doings', done)] = lambda: self._port(part.region, part.place).doings(done)
        self._settle(part, done, step)

    def _sent(self, step: model.Send, part: model.Part, body: Mapping[str, Any]) -> model.Reply:
        port = self._port(part.region, part.place)
        if step.as_long_as:
            signs = port.signs(part)
            if signs is None or signs.digest != step.as_long_as:
                return model.Reply(model.Answer.BUSY, 'something moves there after all')
        return port.send(step.request, part, body)

    def _watch_on(
        self,
        part: model.Part,
        step: model.Wait,
        is_at_work: bool,
        requests: dict[Any, Callable[[], Any]],
    ) -> None:
        if is_at_work and self._watch.is_due(part.region):
            requests[('signs', part)] = lambda: self._port(part.region, part.place).signs(part)
        if isinstance(step, model.Stalled) and self._watch.is_news(part.region, step):
            self._say(f'{part.region}: {step.reason}', False)

    def _told_enough(self, part: model.Part) -> model.Fail:
        no_answer = self._no_answer.get(part.region)
        if no_answer:
            return model.Fail(
                model.ErrorClass.REFUSED,
                f'it was told {MAX_TELLINGS} times, and each time there was no stack after '
                f'({no_answer}); the log of its Heat says why',
            )
        return model.Fail(
            model.ErrorClass.CONFLICT,
            f'it was told {MAX_TELLINGS} times and its inputs still change: peer_inputs that '
            'depend on one another must come to rest',
        )

    def _settle(self, before: model.Part, after: model.Part, step: model.Step) -> None:
        self._settled[after.region] = after.desired
        if isinstance(step, model.Fail):
            self._say(f'{after.region}: {step.error_class.value}: {step.reason}', True)
        elif isinstance(step, model.Defer):
            self._say(f'{after.region} is told later (pending): {step.reason}', False)
        elif before.state is not after.state or before.applied != after.applied:
            self._say(f'{after.region} has revision {after.applied[:12]}', False)
        elif after.drifted and not before.drifted:
            self._say(f'{after.region}: {after.reason}', True)

    def _body(self, part: model.Part, request: model.Request) -> Mapping[str, Any]:
        if request is model.Request.RESTORE:
            return {}
        if request is model.Request.TAG:
            return {'tags': tags.of(part.mark, part.restore_revision, self._record)}
        return {
            **self._wishes.options,
            **self._bodies[part.region],
            'tags': tags.of(part.mark, part.desired, self._record),
        }

    def _decide_grave(
        self,
        grave: model.Tombstone,
        seen: model.Seen,
        took: float,
        requests: dict[Any, Callable[[], Any]],
    ) -> None:
        since = self._waited.setdefault(grave.mark, time.monotonic() - took)
        waited = time.monotonic() - since
        step = tombstones.next_step(grave, seen, self._wishes.rules, self._attempt, waited)
        what = f'snapshot {grave.snapshot} of {grave.name}' if grave.snapshot else grave.name
        LOG.debug('%s, delete of %s: %s', grave.region, what, step)
        if isinstance(step, model.Send):
            sent = dataclasses.replace(
                grave, attempt=self._attempt, error_class=None, reason=step.reason
            )
            if isinstance(seen, model.Present):
                sent = dataclasses.replace(
                    sent,
                    stack_id=seen.stack_id,
                    name=seen.name,
                    snapshot_id=seen.snapshot_id or sent.snapshot_id,
                )
            self._record = self._record.with_tombstone(grave, sent)
            requests[('grave', sent)] = lambda: self._port(grave.region, grave.place).send(
                model.Request.DELETE, sent, {}
            )
        elif isinstance(step, model.Forget):
            self.has_left_stacks |= isinstance(seen, model.Silent)
            self._record = self._record.with_tombstone(grave, None)
            self._say(f'{grave.region}, delete of {what}: {step.reason}', False)
        elif isinstance(step, model.Defer | model.Fail):
            is_failure = isinstance(step, model.Fail)
            error = getattr(step, 'error_class', model.ErrorClass.UNREACHABLE)
            kept = dataclasses.replace(grave, error_class=error, reason=step.reason)
            self._record = self._record.with_tombstone(grave, kept)
            self._buried.add(kept)
            word = 'failed' if is_failure else 'is told later (tombstone)'
            self._say(f'{grave.region}, delete of {what} {word}: {step.reason}', is_failure)

    def _take_answer(self, key: tuple[Any, ...], answer: Any) -> None:
        kind = key[0]
        if kind == 'part':
            part, end = decide.after_reply(key[1], key[2], answer, interfaces.now_text())
            if part.repeats > key[1].repeats:
                told = f'{part.region} is told the same once more: {key[3].reason}'
                self._say(f'{told}; {answer.answer.value} {answer.reason}'.rstrip(), False)
            LOG.debug('%s answers: %s', part.region, answer)
            is_unknown = answer.answer is model.Answer.UNKNOWN
            self._no_answer[part.region] = answer.reason if is_unknown else ''
            if end is not None:
                part = decide.after_step(part, end, model.Absent())
                self._settle(key[1], part, end)
            self._record = self._record.with_part(part)
        elif kind == 'outputs':
            if isinstance(answer, model.Present):
                self._keep_outputs(key[1], answer)
        elif kind == 'signs':
            self._record = self._record.with_part(
                self._watch.take(key[1], answer, interfaces.now_text())
            )
        elif kind == 'doings':
            if answer:
                self._say(f'{key[1].region}: {answer}', key[1].state is model.State.FAILED)
        elif kind == 'cause':
            if answer:
                told = dataclasses.replace(key[1], reason=f'{key[1].reason} ({answer})'[:1000])
                self._record = self._record.with_part(told)
        elif answer.answer is model.Answer.REFUSED:
            kept = dataclasses.replace(
                key[1],
                error_class=answer.error_class or model.ErrorClass.REFUSED,
                reason=answer.reason,
            )
            self._record = self._record.with_tombstone(key[1], kept)
            self._buried.add(kept)
        elif answer.answer is not model.Answer.ACCEPTED:
            again = dataclasses.replace(key[1], attempt='', reason=answer.reason)
            self._record = self._record.with_tombstone(key[1], again)

    # --- keeping ----------------------------------------------------------------------------

    def _keep_outputs(self, part: model.Part, seen: model.Present) -> None:
        outputs = dict(seen.outputs or {})
        try:
            self._store.write_outputs(
                part.region, record.Outputs(outputs, interfaces.now_text(), part.applied)
            )
        except exceptions.Refused as exc:
            self._say(f'{part.region}: {exc}', True)
