# SPDX-License-Identifier: Apache-2.0
"""Choose which parts of a RemoteStack may be at work at once."""

from collections.abc import Collection

from heat_ha.regions import model
from heat_ha.regions.model import State
from heat_ha.regions.rules import spec


def may_work(
    record: model.Record,
    rollout: spec.Rollout,
    settled: Collection[str],
    begun: Collection[str],
) -> tuple[str, ...]:
    """The regions that may be at work now, in the order of the rollout.

    Invariant: no part is begun before all of the waves before its own are settled, nor while
    more parts have failed than are tolerated; and one that is begun is seen to its end.

    :param settled: regions in which this action has ended its work.
    :param begun: regions that this action was at work in.
    """
    failed = sum(1 for p in record.parts if p.region in settled and p.state is State.FAILED)
    may_begin = failed <= rollout.failure_tolerance
    chosen: list[str] = []
    for wave in rollout.waves:
        open_ones = [r for r in wave if r not in settled]
        in_flight = [r for r in open_ones if r in begun]
        chosen.extend(in_flight)
        if may_begin:
            fresh = [r for r in open_ones if r not in begun]
            limit = rollout.max_in_flight
            room = len(fresh) if limit == 0 else max(0, limit - len(in_flight))
            chosen.extend(fresh[:room])
        if open_ones:
            break
    return tuple(chosen)


def not_begun(
    record: model.Record, rollout: spec.Rollout, settled: Collection[str], begun: Collection[str]
) -> str:
    """Why the other regions are not begun any more; empty while they may be."""
    failed = [p.region for p in record.parts if p.region in settled and p.state is State.FAILED]
    if len(failed) <= rollout.failure_tolerance:
        return ''
    if any(r not in settled for r in begun):
        return ''
    return f'not begun, because {", ".join(failed)} failed (failure_tolerance)'
