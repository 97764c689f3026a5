# SPDX-License-Identifier: Apache-2.0
"""Fencing a host by several drivers: in order, or all of some together."""

import dataclasses
import functools
import time
from collections.abc import Callable, Sequence

from heat_ha.fencing import driver, model
from heat_ha.fencing.rules import absences

Note = Callable[[str, str], None]


def fence(
    host: str,
    levels: Sequence[Sequence[driver.Driver]],
    *,
    note: Note = lambda _driver, _outcome: None,
    removals: absences.Removals | None = None,
    now: Callable[[], float] = time.time,
    monotonic: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> model.Proof:
    """Try the levels in order, until all drivers of one have switched the host off.

    Invariant: the proof is that of one level, and each driver of that level gave its own.

    :param note: told the name of each driver that was used, and ``done`` or ``failed``.
    :param removals: what fences of the same failure have removed from storages before.
    :raises driver.NotFenced: no level succeeded; the host may still write.
    """
    switch_off = functools.partial(
        driver.fence,
        removals=removals or absences.Removals(),
        now=now,
        monotonic=monotonic,
        pause=pause,
    )
    failures = []
    for number, level in enumerate(levels, start=1):
        try:
            proof = _all_of(level, note, switch_off)
        except driver.NotFenced as exc:
            failures.append(f'level {number}: {exc}' if len(levels) > 1 else str(exc))
            continue
        how = f'{proof.how} (before: {"; ".join(failures)[:150]})' if failures else proof.how
        return dataclasses.replace(proof, how=how, level=_level_on_record(levels, number))
    raise driver.NotFenced(
        f'{"; ".join(failures)}. If it is certainly off: heat-ha-agent confirm {host} --by NAME'
    )


def _level_on_record(levels: Sequence[Sequence[driver.Driver]], number: int) -> int:
    """The level of a proof; 0 where its drivers' names say it, which older versions can read."""
    names = {one.name for one in levels[number - 1]}
    others = {one.name for n, level in enumerate(levels, 1) if n != number for one in level}
    return number if names & others else 0


def _all_of(
    level: Sequence[driver.Driver],
    note: Note,
    switch_off: Callable[..., model.Proof],
) -> model.Proof:
    proofs = []
    for one in level:
        try:
            proofs.append(switch_off(one, timeout=one.timeout))
        except driver.NotFenced:
            note(one.name, 'failed')
            raise
        finally:
            one.close()
        note(one.name, 'done')
    # The host is off since the last of them is, also where the clock was set back meanwhile.
    return model.Proof(
        ' and '.join(proof.who for proof in proofs),
        ' and '.join(proof.how for proof in proofs),
        proofs[-1].at,
        in_storage=tuple(name for proof in proofs for name in proof.in_storage),
    )
