# SPDX-License-Identifier: Apache-2.0
"""What must not be after a failover of guests that write, in words: pure, from what was seen.

An empty list means that all is right.
"""

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence

from chaos.real.choice import Run, Way
from lab.real.checker import report


@dataclasses.dataclass(frozen=True)
class Owned:
    """What belongs to a stack, by ids; its ports name their servers. See ``chaos.check.Owner``."""

    servers: tuple[str, ...]
    volumes: tuple[str, ...]
    ports: tuple[str, ...] = ()


def of_volume(found: report.Report, writers: Sequence[str]) -> list[str]:
    """What is wrong with a volume that these servers have written to, one after the other.

    Each has one run of records, so each failover adds one.
    """
    wrong = list(found.faults)
    wrote = [run.writer.by for run in found.runs]
    if wrote != list(writers):
        wrong.append(f'{wrote} wrote, one after the other, and not {list(writers)}')
    silent = sorted({writer.by for writer in found.without_console})
    if silent:
        wrong.append(f'of {silent} no console says what was acknowledged')
    if found.interruptions and found.interruptions[-1].until_acknowledged is None:
        wrong.append(f'the console of {wrote[-1]} does not show its first write')
    return wrong


def of_fence(run: Run, address: str, *, is_forced_down: bool, entries: Iterable[str]) -> list[str]:
    """What was done to whole hosts, and was not to be done.

    :param address: of the host on which the active was, in the network of the storage.
    :param entries: what Ceph refuses of whole hosts, as ``IP:0/0``.
    """
    fences_host = run.way is Way.AGENT and run.failure.is_of_host
    wrong = [
        f'the storage refuses all of the host at {entry}'
        for entry in sorted(entries)
        if not (fences_host and entry.partition(':')[0] == address)
    ]
    if is_forced_down and not fences_host:
        wrong.append('the host is forced_down, and nobody has confirmed that it is down')
    return wrong


def of_watchers(found: Collection[str], hosts: Mapping[str, str], active: str) -> list[str]:
    """Who has the volume open beside the host of the active.

    :param hosts: by address in the network of the storage, the name of the host.
    :param active: the address of the active's host.
    """
    return [
        f'the volume is open at {address} ({hosts.get(address, "no host")})'
        for address in sorted(set(found) - {active})
    ]
