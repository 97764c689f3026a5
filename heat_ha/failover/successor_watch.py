# SPDX-License-Identifier: Apache-2.0
"""The kept signals about who is to take over, while a plan is carried out.

An alarm about another member than the old active is kept while a plan runs, and decided afterwards.
One about the successor may not wait for that: the plan would hand over to a member that is sick. So
a plan asks for them wherever it asks whether to go on, and makes way where they lead to another
successor. That is decided next, as from any plan that stopped.
"""

import dataclasses
import time
from collections.abc import Callable, Mapping

from heat_ha import exceptions, signals
from heat_ha.failover import events, model, remembered
from heat_ha.failover.rules import arrival, decide, work

# Seconds between two decisions about the same signal: each takes a look at the group.
LOOK_EVERY = 10.0

# Gives what was found, and what is seen by it.
LookAgain = Callable[[model.Plan], tuple[object, model.Observation]]


class SuccessorWatch:
    """The signals that a plan asks for.

    :param look_again: looks once more at the group.
    :param decided: the signal of which the plan has come, None for none of the kept ones.
    """

    def __init__(
        self,
        look_again: LookAgain,
        decided: model.Remembered | None,
        emitter: events.EventEmitter,
    ) -> None:
        self._look_again = look_again
        self._decided = decided
        self._events = emitter
        self._told: set[str] = set()
        self._look_at = float('-inf')

    def check(self, plan: model.Plan, data: Mapping[str, str]) -> None:
        """See whether another successor is to be chosen.

        :param data: the policy's, as it is now.
        :raises Stopped: it is, once this plan has made way.
        """
        about = [one for one in remembered.among(data) if work.is_about_successor(one, plan)]
        left = [one for one in about if not self._is_decided(one)]
        if not left or time.monotonic() < self._look_at:
            return
        # The plan may not be on record yet.
        _found, seen = self._look_again(plan)
        seen = dataclasses.replace(seen, record=dataclasses.replace(seen.record, plan=plan))
        for one in left:
            self._look_at = time.monotonic() + LOOK_EVERY
            signal = signals.Signal[model.Action](member=arrival.name_in(one), reason=one.reason)
            answer = decide.answer(signal, seen)
            # A plan with the same successor is not an answer to what is reported of it.
            if isinstance(answer, decide.Start) and answer.plan.new != plan.new:
                raise exceptions.Stopped(
                    f'{one.member}, the successor, was reported sick meanwhile',
                    'Another successor is chosen next, without another signal',
                )
            if one.came not in self._told:
                self._told.add(one.came)
                self._events.progress(
                    f'{one.member}, the successor, was reported sick, and nobody else can take over'
                )

    def _is_decided(self, one: model.Remembered) -> bool:
        """Whether it is the one that has led to the plan."""
        decided = self._decided
        return decided is not None and (one.member, one.came) == (decided.member, decided.came)
