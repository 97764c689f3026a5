# SPDX-License-Identifier: Apache-2.0
"""One failover from its first signal to its end: kill the engine in time, take up what stopped."""

import collections
import concurrent.futures
import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Iterator

from chaos import check, troubles, ways
from chaos.choice import WAITING, Run, TakeUp, Trouble
from chaos.pool import COOLDOWN, Member
from chaos.world import Engines
from heat_ha.failover import model
from lab.client import access, waiting

# Seconds until a failover that does not get to its end counts as wedged, and until the services
# are left in peace for it: a person who takes it up again and again would first mend them.
LIMIT, PEACE_AFTER = 240.0, 100.0

# Seconds that a signal may need until an engine works on it, on a busy machine.
SETTLING = 4.0

# Seconds between two looks: while a step is waited for that may last half a second, and else.
QUICK, SLOW = 0.02, 0.3

# An alarm that comes later than this might meet the end of the cooldown.
LAST_ALARM = COOLDOWN - 20.0

# A server that is in no group.
FOREIGN = 'ffffffff-0000-4000-8000-000000000000'


@dataclasses.dataclass
class Outcome:
    """What came of one run.

    :ivar ended: when it was over, on the monotonic clock.
    :ivar trouble: the one that came to be; ``trouble_ended`` when it was taken back, in seconds
        since the epoch.
    :ivar unwell: servers that were shut off for it, and are not started again.
    :ivar ways: how often each way out was taken.
    :ivar wrong: what must not be, and was seen on the way.
    :ivar foreign: how many signals about servers of others were sent beside the burst.
    """

    run: Run
    is_done: bool = False
    seconds: float = 0.0
    ended: float = 0.0
    killed_in: str | None = None
    take_ups: int = 0
    stops: list[str] = dataclasses.field(default_factory=list)
    trouble: Trouble | None = None
    trouble_ended: float = 0.0
    unwell: frozenset[str] = frozenset()
    ways: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    wrong: list[str] = dataclasses.field(default_factory=list)
    foreign: int = 0

    @property
    def story(self) -> check.Story:
        """What it may come to."""
        return ways.story(self.trouble, self.ways)


def drive(
    run: Run,
    member: Member,
    engines: Engines,
    world: troubles.World,
    is_over: threading.Event,
    say: Callable[[str], None],
) -> Outcome:
    """Signal the stack and see the failover to its end, or until ``is_over``."""
    return Driver(run, member, engines, say).drive(world, is_over)


class Driver:
    """Sees one failover to its end."""

    def __init__(
        self, run: Run, member: Member, engines: Engines, say: Callable[[str], None]
    ) -> None:
        self._run = run
        self._member = member
        self._engines = engines
        self._say = say
        self._outcome = Outcome(run)
        self._before = member.record()
        self._begin = time.monotonic()
        self._quiet_since = self._begin
        self._last_stop = ''
        # Whether a standby was named to have it replaced, and whether that is due once more.
        self._has_mended = self._is_mend_due = False

    def drive(self, world: troubles.World, is_over: threading.Event) -> Outcome:
        """From before the first signal until all that was done to the stack is taken back."""
        run, outcome = self._run, self._outcome
        meddler = troubles.Meddler(run, self._member, self._before, world, self._say)
        with meddler:
            time.sleep(run.signal_after)
            self._begin = time.monotonic()
            _burst(run, self._member)
            self._quiet_since = time.monotonic()
            with _foreign_alarms(run, self._member, outcome):
                while time.monotonic() < self._begin + LIMIT * waiting.PATIENCE:
                    if is_over.is_set() or self._look(meddler):
                        break
        outcome.ended = time.monotonic()
        outcome.seconds = outcome.ended - self._begin
        outcome.ways.update(meddler.ways)
        outcome.unwell = meddler.unwell
        outcome.trouble = meddler.trouble
        if outcome.story.may_stay:
            meddler.mend()
        outcome.trouble_ended = meddler.ended
        outcome.wrong += meddler.problems
        return outcome

    def _look(self, meddler: troubles.Meddler) -> bool:
        """Look once and do what is due; whether the run is at its end."""
        run, outcome = self._run, self._outcome
        seen = self._member.record()
        plan = self._new_plan(seen)
        carrier = self._carrier(seen)
        wants_kill = run.kill_at is not None and outcome.killed_in is None
        if wants_kill and plan is not None and _is_in(run.kill_at, seen, plan):
            self._kill()
        if carrier is not None:
            self._quiet_since = time.monotonic()
        elif _is_over(seen, plan, is_dropped=self._is_dropped(meddler)):
            if self._is_settled(seen, meddler):
                outcome.is_done = True
                return True
        elif not meddler.is_busy and self._is_quiet():
            self._take_up(seen)
        time.sleep(QUICK if wants_kill else SLOW)
        return False

    def _is_settled(self, seen: model.Record, meddler: troubles.Meddler) -> bool:
        """Whether a failover that is over has left nothing to do, and nothing is done to it."""
        outcome = self._outcome
        holders = self._member.holders()
        if meddler.is_busy:
            return False
        if self._is_dropped(meddler):
            wish = ways.to_settle(seen, holders, has_replacer=self._member.shape.order is not None)
            if wish is not None:
                if self._is_quiet():
                    self._send(wish)
                return False
        elif self._run.trouble not in (Trouble.ROLLED, Trouble.VOLUME_DELETED):
            # There Heat's own update hands over, and the record follows.
            outcome.wrong += self._not_ready(seen, holders)
        meddler.finish()
        return meddler.is_through

    def _not_ready(self, seen: model.Record, holders: dict[str, tuple[str, ...]]) -> list[str]:
        """What is not as a policy says that calls itself ready, and goes on saying so."""
        if not check.of_holders(seen, holders, self._member.volumes):
            return []
        # Nova writes its own record down a moment after Cinder.
        time.sleep(check.SLACK)
        wrong = check.of_holders(seen, self._member.holders(), self._member.volumes)
        return [f'ready, but {text}' for text in wrong if self._member.record() == seen]

    def _is_dropped(self, meddler: troubles.Meddler) -> bool:
        return TakeUp.DROP.value in (*self._outcome.ways, *meddler.ways)

    def _is_quiet(self) -> bool:
        return time.monotonic() > self._quiet_since + SETTLING + self._run.take_up_after

    def _new_plan(self, now: model.Record) -> model.Plan | None:
        old = self._before.plan
        if now.plan is None or (old and old.plan_id == now.plan.plan_id):
            return None
        if self._has_mended and now.plan.cause is model.Cause.REPLACE_STANDBY:
            # The failover comes after it.
            return None
        return now.plan

    def _carrier(self, seen: model.Record) -> str | None:
        """The engine that is at work on the failover, or on what it has left to replace."""
        found = self._engines.carrier(self._member.nested)
        for left in seen.follow_ups:
            found = found or self._engines.at_work(left.engine)
        return found

    def _kill(self) -> None:
        time.sleep(self._run.kill_after)
        carrier = self._carrier(self._member.record())
        if carrier is not None and self._engines.kill(carrier):
            self._outcome.killed_in = self._run.kill_at
            self._say(f'run {self._run.number}: killed {carrier} in {self._run.kill_at}')

    def _take_up(self, seen: model.Record) -> None:
        run, outcome = self._run, self._outcome
        if seen.reason and seen.reason != self._last_stop:
            outcome.stops.append(seen.reason)
        self._last_stop = seen.reason
        wish = None
        if self._new_plan(seen) is not None:
            wish = ways.take_up(
                run.take_up,
                seen,
                outcome.ways,
                may_alarm=time.monotonic() - self._begin < LAST_ALARM,
                may_drop=self._member.shape.size > 1,
            )
        elif self._member.shape.order is not None and self._is_mend_due:
            wish = ways.to_mend(seen, self._failed())
            self._has_mended = self._has_mended or wish is not None
        # In turn with the alarm, which may do by then.
        self._is_mend_due = wish is None
        what = dict(wish.body) if wish is not None else 'an alarm'
        self._say(f'run {run.number}: taken up by {what}, {seen.state.value}: {seen.reason}')
        outcome.take_ups += 1
        if wish is None:
            self._member.alarm()
            self._quiet_since = time.monotonic()
        else:
            self._send(wish)

    def _failed(self) -> list[str]:
        try:
            return self._member.failed()
        except (KeyError, ValueError, AssertionError, *access.NO_ANSWER):
            return []

    def _send(self, wish: ways.Wish) -> None:
        with contextlib.suppress(AssertionError, *access.NO_ANSWER):
            self._member.stack.signal(wish.resource, dict(wish.body))
            if wish.way:
                self._outcome.ways[wish.way] += 1
        self._quiet_since = time.monotonic()


def _is_over(seen: model.Record, plan: model.Plan | None, *, is_dropped: bool) -> bool:
    is_ended = plan.is_done if plan is not None else is_dropped and seen.plan is None
    return is_ended and seen.state is model.State.READY and not seen.follow_ups


def _is_in(step: str | None, seen: model.Record, plan: model.Plan) -> bool:
    if step == WAITING:
        return seen.state is model.State.WAITING_FOR_FENCE
    if step == model.StepKind.REPLACE.value:
        return any(left.engine for left in seen.follow_ups)
    return seen.state is model.State.RUNNING and any(
        s.kind.value == step and s.state is model.StepState.RUNNING for s in plan.steps
    )


def _burst(run: Run, member: Member) -> None:
    """Send all signals at once; Heat's APIs spread them over the engines."""
    with concurrent.futures.ThreadPoolExecutor(run.signals + 1) as pool:
        sent = [pool.submit(member.alarm) for _ in range(run.signals)]
        if run.is_foreign_named:
            sent.append(pool.submit(member.alarm, {'current': 'alarm', 'member': FOREIGN}))
        for one in sent:
            one.result()


@contextlib.contextmanager
def _foreign_alarms(run: Run, member: Member, outcome: Outcome) -> Iterator[None]:
    """Signals about servers of others all the time, as alarms of a whole project send them."""
    is_over = threading.Event()

    def send() -> None:
        while not is_over.wait(run.foreign_every):
            member.alarm({'current': 'alarm', 'member': FOREIGN})
            outcome.foreign += 1

    thread = threading.Thread(target=send)
    if run.foreign_every:
        thread.start()
    try:
        yield
    finally:
        is_over.set()
        if run.foreign_every:
            thread.join()
