# SPDX-License-Identifier: Apache-2.0
"""The calls that one step makes to the Heats of the regions.

A call is a value: it says which part or tombstone it is for, makes the request, and says what the
answer leaves of that part or tombstone. Looks come first. The other calls follow from what was
decided upon the looks, and their intent is on record before the first of them is made (S4).
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeAlias

from heat_ha.regions import interfaces, model
from heat_ha.regions.rules import answers, steps, transitions

# Characters of a reason that are kept with the cause of a failure.
MAX_REASON = 1000


@dataclasses.dataclass(frozen=True, eq=False)
class Look:
    """Look at a part's stack, or at what a tombstone names."""

    target: model.Part | model.Tombstone
    with_outputs: bool = False

    def make(self, heat: interfaces.RegionHeat) -> answers.Observation:
        """Ask the region."""
        return heat.look(self.target, self.with_outputs)


@dataclasses.dataclass(frozen=True, eq=False)
class LookForAdoption:
    """Look at a stack that somebody else has made; ``body`` is what it is to hold.

    With ``overwrites``, what it holds now is of no interest.
    """

    target: model.Part
    body: Mapping[str, Any]
    overwrites: bool

    def make(self, heat: interfaces.RegionHeat) -> answers.Observation:
        """Ask the region for the stack, and then for what it holds."""
        observed = heat.look(self.target, False)
        if not isinstance(observed, answers.Present) or self.overwrites:
            return observed
        found = dataclasses.replace(self.target, stack_id=observed.stack_id, name=observed.name)
        return dataclasses.replace(observed, is_equal=heat.is_equal(found, self.body))


@dataclasses.dataclass(frozen=True, eq=False)
class _PartCall:
    """A call about a part as it is on record when the call is made."""

    part: model.Part

    @property
    def target(self) -> model.Part:
        """What the call is for."""
        return self.part


@dataclasses.dataclass(frozen=True, eq=False)
class Write(_PartCall):
    """Send a request that changes the stack; ``before`` is the part before that was decided."""

    before: model.Part
    step: steps.Send
    body: Mapping[str, Any]

    @property
    def is_repeat(self) -> bool:
        """Whether the same is sent again to a stack that has stalled."""
        return self.step.request is steps.Request.REPEAT

    def make(self, heat: interfaces.RegionHeat) -> answers.Reply:
        """Send the request, unless the stack moves after all."""
        if self.step.if_digest:
            newest = heat.fingerprint(self.part)
            if newest is None or newest.digest != self.step.if_digest:
                return answers.Reply(answers.Answer.BUSY, 'something moves there after all')
        return heat.send(self.step.request, self.part, self.body)

    def after(self, reply: answers.Reply, now: str) -> tuple[model.Part, steps.Fail | None]:
        """The part as the reply leaves it; with it the end, if the request was refused."""
        return transitions.after_reply(self.before, self.part, reply, now)


@dataclasses.dataclass(frozen=True, eq=False)
class ReadOutputs(_PartCall):
    """Read the outputs of a stack that was just seen to hold what is wanted."""

    def make(self, heat: interfaces.RegionHeat) -> answers.Observation:
        """Ask the region."""
        return heat.look(self.part, True)


@dataclasses.dataclass(frozen=True, eq=False)
class ReadCause(_PartCall):
    """Ask which resource in the stack has failed, and why."""

    def make(self, heat: interfaces.RegionHeat) -> str:
        """Ask the region."""
        return heat.cause(self.part)

    def after(self, cause: str) -> model.Part:
        """The part with the cause in its reason."""
        reason = f'{self.part.reason} ({cause})'[:MAX_REASON]
        return dataclasses.replace(self.part, reason=reason)


@dataclasses.dataclass(frozen=True, eq=False)
class ReadRecentEvents(_PartCall):
    """Ask what the resources of the stack did in the action that has just ended."""

    def make(self, heat: interfaces.RegionHeat) -> str:
        """Ask the region."""
        return heat.recent_events(self.part)


@dataclasses.dataclass(frozen=True, eq=False)
class ReadFingerprint(_PartCall):
    """Ask whether anything moves in a stack that is in progress."""

    def make(self, heat: interfaces.RegionHeat) -> answers.Fingerprint | None:
        """Ask the region."""
        return heat.fingerprint(self.part)


@dataclasses.dataclass(frozen=True, eq=False)
class Cancel(_PartCall):
    """Ask the region to stop its work on the stack."""

    def make(self, heat: interfaces.RegionHeat) -> answers.Reply:
        """Send the request."""
        return heat.send(steps.Request.CANCEL, self.part, {})


@dataclasses.dataclass(frozen=True, eq=False)
class Delete:
    """Delete what a tombstone names."""

    target: model.Tombstone

    def make(self, heat: interfaces.RegionHeat) -> answers.Reply:
        """Send the request."""
        return heat.send(steps.Request.DELETE, self.target, {})

    def after(self, reply: answers.Reply) -> model.Tombstone:
        """The tombstone as the reply leaves it; only a look shows that the delete has ended."""
        match reply.answer:
            case answers.Answer.ACCEPTED:
                return self.target
            case answers.Answer.REFUSED:
                error = reply.error_class or model.ErrorClass.REFUSED
                return dataclasses.replace(self.target, error_class=error, reason=reply.reason)
            case _:
                # It may not have arrived: the next look decides whether it is sent again.
                return dataclasses.replace(self.target, attempt='', reason=reply.reason)


AnyLook: TypeAlias = Look | LookForAdoption
PartCall: TypeAlias = Write | ReadOutputs | ReadCause | ReadRecentEvents | ReadFingerprint
Call: TypeAlias = AnyLook | PartCall | Cancel | Delete
