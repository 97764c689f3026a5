# SPDX-License-Identifier: Apache-2.0
"""One failover from its first signal to its end: kill the engine in time, take up what stopped."""

import concurrent.futures
import contextlib
import dataclasses
import threading
import time
import urllib.error
from collections.abc import Callable

from chaos.choice import WAITING, Run, TakeUp
from chaos.pool import COOLDOWN, POLICY, Member
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


@dataclasses.dataclass
class Outcome:
    """What came of one run."""

    run: Run
    is_done: bool = False
    seconds: float = 0.0
    killed_in: str | None = None
    take_ups: int = 0
    stops: list[str] = dataclasses.field(default_factory=list)


def drive(
    run: Run,
    member: Member,
    engines: Engines,
    is_over: threading.Event,
    say: Callable[[str], None],
) -> Outcome:
    """Signal the stack and see the failover to its end, or until ``is_over``."""
    outcome = Outcome(run)
    before = member.record()
    time.sleep(run.signal_after)
    begin = time.monotonic()
    _burst(run, member)
    quiet_since = time.monotonic()
    last_stop = ''
    while time.monotonic() < begin + LIMIT * waiting.PATIENCE and not is_over.is_set():
        seen = member.record()
        plan = _new_plan(before, seen)
        carrier = _carrier(engines, member, seen)
        is_carried = carrier is not None
        if plan is not None and _is_over(seen, plan) and not is_carried:
            outcome.is_done = True
            break
        wants_kill = run.kill_at is not None and outcome.killed_in is None
        if wants_kill and plan is not None and _is_in(run.kill_at, seen, plan):
            time.sleep(run.kill_after)
            carrier = _carrier(engines, member, member.record())
            if carrier is not None and engines.kill(carrier):
                outcome.killed_in = run.kill_at
                say(f'run {run.number}: killed {carrier} in {run.kill_at}')
        if is_carried:
            quiet_since = time.monotonic()
        elif time.monotonic() > quiet_since + SETTLING + run.take_up_after:
            if seen.reason and seen.reason != last_stop:
                outcome.stops.append(seen.reason)
            last_stop = seen.reason
            say(f'run {run.number}: taken up, {seen.state.value}: {seen.reason}')
            _take_up(run, member, plan, time.monotonic() - begin)
            outcome.take_ups += 1
            quiet_since = time.monotonic()
        time.sleep(QUICK if wants_kill else SLOW)
    outcome.seconds = time.monotonic() - begin
    return outcome


def _new_plan(before: model.Record, now: model.Record) -> model.Plan | None:
    if now.plan is None or (before.plan and before.plan.plan_id == now.plan.plan_id):
        return None
    return now.plan


def _carrier(engines: Engines, member: Member, seen: model.Record) -> str | None:
    """The engine that is at work on the failover, or on what it has left to replace."""
    found = engines.carrier(member.nested)
    for left in seen.follow_ups:
        found = found or engines.at_work(left.engine)
    return found


def _is_over(seen: model.Record, plan: model.Plan) -> bool:
    return plan.is_done and seen.state is model.State.READY and not seen.follow_ups


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
        sent = [pool.submit(_alarm, member) for _ in range(run.signals)]
        if run.is_foreign_named:
            body = {'current': 'alarm', 'member': 'ffffffff-0000-4000-8000-000000000000'}
            sent.append(pool.submit(_alarm, member, body))
        for one in sent:
            one.result()


def _alarm(member: Member, body: object = None) -> None:
    # An engine that dies with the request in hand leaves the API without an answer.
    with contextlib.suppress(urllib.error.URLError, TimeoutError, ConnectionError):
        member.stack.post_alarm(member.alarm_url, body)


def _take_up(run: Run, member: Member, plan: model.Plan | None, age: float) -> None:
    if plan is None or (run.take_up is TakeUp.ALARM and age < LAST_ALARM):
        _alarm(member)
        return
    with contextlib.suppress(AssertionError, *access.NO_ANSWER):
        member.stack.signal(POLICY, {'action': 'resume'})
