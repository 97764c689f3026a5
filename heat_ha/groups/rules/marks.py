# SPDX-License-Identifier: Apache-2.0
"""Whether somebody stands behind the mark of a group that is being scaled. No clock, no client."""

import dataclasses

from heat_ha.groups import model

# Between setting the mark and changing the nested stack Heat needs a second or two, and as long
# again between the end of the change and the removal of the mark. This is thirty times that, so
# that a busy engine does not count as a dead one.
UNTRACED_MARK_SECONDS = 60.0


@dataclasses.dataclass(frozen=True)
class MarkEvidence:
    """What can be seen around a mark: times in seconds before now.

    ``is_holder_alive`` is None where the mark has no trace of who set it. ``changed_ago`` is
    the age of the last change of the nested stack's members, negative where its clock was ahead,
    ``seen_for`` how long the very same mark has been seen.
    """

    mark: model.Mark | None
    is_holder_alive: bool | None
    is_nested_in_progress: bool
    changed_ago: float
    seen_for: float
    timeout: float


@dataclasses.dataclass(frozen=True)
class Free:
    """Nobody scales the group. ``reason`` says why a mark that is there does not count."""

    reason: str = ''


@dataclasses.dataclass(frozen=True)
class Held:
    """Somebody scales the group."""

    reason: str


@dataclasses.dataclass(frozen=True)
class Unclear:
    """Look again in ``seconds``: by then it is known whether somebody scales the group."""

    reason: str
    seconds: float


def who_holds(seen: MarkEvidence) -> Free | Held | Unclear:
    """Distinguish a mark that a living engine holds from one that a dead engine left.

    A mark without a trace counts as left over when the nested stack has been at rest, and the
    same mark in place, for ``UNTRACED_MARK_SECONDS``; a nested stack that is in progress for
    longer than its timeout is at rest, for then Heat has stopped working on it. A change that is
    still to come tells nothing; what is seen from here does.

    Invariant: who looks on for ``UNTRACED_MARK_SECONDS`` knows it.
    """
    if seen.mark is None:
        return Free()
    if seen.is_holder_alive is False:
        return Free(f'engine {seen.mark.engine}, which held it since {seen.mark.since}, is gone')
    if seen.is_holder_alive:
        return Held(
            f'{seen.mark.holder or "another policy"} changes it since {seen.mark.since} '
            f'in engine {seen.mark.engine}'
        )
    if seen.is_nested_in_progress and seen.changed_ago <= seen.timeout:
        return Held('it is being scaled')
    changed_ago = seen.changed_ago if seen.changed_ago >= 0 else seen.seen_for
    rest = UNTRACED_MARK_SECONDS - min(changed_ago, seen.seen_for)
    if rest > 0:
        return Unclear('it is marked as being scaled, but nothing happens', rest)
    return Free(
        f'it has been marked as being scaled for {UNTRACED_MARK_SECONDS:.0f} s and nothing happened'
    )
