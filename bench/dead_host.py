# SPDX-License-Identifier: Apache-2.0
"""How long a volume takes to the standby when the active's host is dead and confirmed.

By bare API calls (delete the dead server, which frees the volume, then attach it), by us, and by
stock Heat, which asks Nova for a detach that Nova refuses for as long as the host is down. Each
has two servers on two hosts and a volume; the host of the one that has the volume hangs and is
confirmed down before the clock starts. Stock Heat is given up after a time; its stack gets to its
end once the host is back.
"""

import argparse
import concurrent.futures
import contextlib
import os
import pathlib
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any

import rich.console
import rich.table

from bench import handoff
from lab.client import access, hosts, waiting

# At most this many times as long as the bare calls.
GOAL = 1.2

# What replaces the old active; with it the template allows its server to be deleted.
_REPLACE = """
  replace:
    type: OS::Heat::ScalingPolicy
    properties:
      adjustment_type: replace_oldest
      auto_scaling_policy_id: {get_resource: policy}
      scaling_adjustment: 1
"""


class Tenant(handoff.Tenant):
    """The tenant's requests, with one more."""

    def delete(self, server: str) -> None:
        """Ask Nova to delete a server."""
        self._ask('DELETE', f'{self._compute}/servers/{server}', 204, headers=handoff.VERSION)


class Bare(handoff.Bare):
    """Delete the dead server, look until the volume is free, attach it."""

    def __init__(self, cloud: Any, folder: pathlib.Path, count: int) -> None:
        super().__init__(cloud, folder, count)
        self._deleting = Tenant(cloud)

    def round(self) -> handoff.Figures:
        old, new = self.ends()
        asked = []

        def attach_once_free(seen: dict[str, handoff.Volume]) -> None:
            (found,) = seen.values()
            if not asked and found == handoff.Volume('available', None):
                asked.append(time.monotonic())
                self.tenant.attach(new, *self.volumes)

        begin = time.monotonic()
        self._deleting.delete(old)
        return {'bare_s': self.follow(self.tenant, new, attach_once_free) - begin}


class Ours(handoff.Ours):
    """A FailoverPolicy behind a policy that replaces the old active."""

    def template(self, count: int) -> str:
        return super().template(count) + _REPLACE

    def round(self) -> handoff.Figures:
        old, new = self.ends()
        self.stack.signal('replace')
        accepted = time.monotonic()
        moved = self.arrival(new)
        waiting.until(self._is_ready, f'{self.stack.name} is ready', seconds=handoff.LIMIT)
        done = time.monotonic()
        self.servers = self.stack.servers()
        assert old not in self.servers and len(self.servers) == 2, self.servers
        return {
            'ours_s': moved - accepted,
            'ours_done_s': done - accepted,
            'ours_last_failover_s': float(self.stack.attribute('policy', 'last_failover_seconds')),
        }


class Peer(handoff.Peer):
    """Stock Heat: a stack update that changes the attachment's ``instance_uuid``."""

    def wait_in_vain(self, seconds: float) -> dict[str, Any]:
        """Update, and look at what has come of it after so many seconds."""
        old, new = self.ends()
        begin = time.monotonic()
        self.stack.update({'holder': self._letter[new]}, wait=False)
        (volume,) = self.volumes
        while time.monotonic() < begin + seconds:
            if self.look()[volume] == handoff.Volume('in-use', new):
                return {'peer_s': time.monotonic() - begin}
            time.sleep(1.0)
        found = self.look()[volume]
        return {
            'peer_waited_s': time.monotonic() - begin,
            'peer_status': self.stack.show()['stack_status'],
            'peer_is_on_the_dead': found.server == old,
        }


@contextlib.contextmanager
def _made(cloud: Any, kinds: Sequence[type[handoff.Contender]]) -> Iterator[list[Any]]:
    with tempfile.TemporaryDirectory() as folder:
        made = [kind(cloud, pathlib.Path(folder), 1) for kind in kinds]
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            try:
                list(pool.map(lambda c: c.create(), made))
                yield made
            finally:
                for gone in [pool.submit(c.stack.delete) for c in made]:
                    with contextlib.suppress(AssertionError):
                        gone.result()


def measure(cloud: Any, admin: Any, rounds: int, patience: float, say: Any) -> list[dict[str, Any]]:
    """Let bare calls and us move a volume in turns, and stock Heat try it beside them, once."""
    found: list[dict[str, Any]] = []
    say('making servers and volumes')
    # A bare round uses its stack up: nothing makes the deleted server again.
    with _made(cloud, [Ours, Peer, *[Bare] * rounds]) as (ours, peer, *bare):
        for number in range(rounds):
            figures: dict[str, Any] = {'load': os.getloadavg()[0]}
            turn = [bare[number], ours] if number % 2 else [ours, bare[number]]
            for contender in turn:
                host = hosts.host_of(admin, contender.ends()[0])
                with hosts.confirmed_dead(admin, host):
                    figures |= contender.round()
            say(
                f'round {number + 1} of {rounds}: bare {figures["bare_s"]:.2f} s, '
                f'heat-ha {figures["ours_s"]:.2f} s'
            )
            found.append(figures)
        if patience > 0:
            say(f'stock Heat, for {patience:.0f} s')
            with hosts.confirmed_dead(admin, hosts.host_of(admin, peer.ends()[0])):
                found[0] |= peer.wait_in_vain(patience)
            # With its host back the detach may still be carried out, which lets it be deleted.
            with contextlib.suppress(AssertionError):
                peer.stack.wait('UPDATE', seconds=60)
        say('deleting them')
    return found


def summary(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The medians of all rounds, the ratio and the goal, and what became of stock Heat."""
    keys = ('bare_s', 'ours_s', 'ours_last_failover_s', 'ours_done_s', 'load')
    middle = {k: round(statistics.median(one[k] for one in found), 3) for k in keys}
    ratio = middle['ours_s'] / middle['bare_s']
    peers = {k: v for k, v in found[0].items() if k.startswith('peer')}
    # Stock Heat that is not through counts with the time it was given, which is the least.
    peer = peers.get('peer_s', peers.get('peer_waited_s'))
    if peer is not None:
        peers |= {
            'peer_s': round(peer, 3),
            'peer_is_through': 'peer_s' in peers,
            'ours_over_peer': round(middle['ours_s'] / peer, 3),
        }
    return {
        'ours_over_bare': round(ratio, 3),
        **middle,
        **peers,
        'rounds': len(found),
        'goals': {'ours_over_bare': {'at_most': GOAL, 'holds': ratio <= GOAL}},
    }


def table(found: Sequence[dict[str, Any]]) -> rich.table.Table:
    """The rounds as a person reads them."""
    shown = rich.table.Table(title='1 volume off a dead host that is confirmed down, seconds')
    for heading in ('round', 'bare', 'heat-ha', 'heat-ha\nby its clock', 'heat-ha\ndone', 'load'):
        shown.add_column(heading, justify='right')
    keys = ('bare_s', 'ours_s', 'ours_last_failover_s', 'ours_done_s', 'load')
    for number, one in enumerate(found, 1):
        shown.add_row(
            str(number), *(f'{one[k]:.2f}' for k in keys), end_section=number == len(found)
        )
    middle = summary(found)
    shown.add_row('median', *(f'{middle[k]:.2f}' for k in keys))
    return shown


def verdicts(figures: dict[str, Any]) -> list[str]:
    """What the figures say, in sentences."""
    goal = figures['goals']['ours_over_bare']
    word = 'holds' if goal['holds'] else 'is missed'
    sentences = [
        f'heat-ha takes {figures["ours_over_bare"]:.2f} times as long as the bare calls; the goal, '
        f'at most {goal["at_most"]}, {word}.'
    ]
    if 'peer_waited_s' in figures:
        place = 'still' if figures['peer_is_on_the_dead'] else 'no longer'
        sentences.append(
            f'Stock Heat after {figures["peer_waited_s"]:.0f} s: {figures["peer_status"]}, the '
            f'volume is {place} on the dead server.'
        )
    elif 'peer_s' in figures:
        sentences.append(f'Stock Heat takes {figures["peer_s"]:.1f} s.')
    return sentences


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be chosen on the command line, or by environment variables with make."""
    parser.add_argument(
        '--rounds-dead',
        type=int,
        default=int(os.environ.get('ROUNDS', '3')),
        help='dead-host: how often the volume is moved (ROUNDS, default 3)',
    )
    parser.add_argument(
        '--peer-seconds',
        type=float,
        default=float(os.environ.get('PEER_SECONDS', '120')),
        help='dead-host: seconds that stock Heat is given, 0 for none (PEER_SECONDS, default 120)',
    )


def run(options: argparse.Namespace, console: rich.console.Console) -> dict[str, Any]:
    """Measure, show the table, and return the figures."""
    progress = rich.console.Console(stderr=True, highlight=False)
    found = measure(
        access.connect('demo'),
        access.connect('admin'),
        max(options.rounds_dead, 1),
        options.peer_seconds,
        progress.print,
    )
    console.print(table(found))
    figures = summary(found)
    for sentence in verdicts(figures):
        console.print(sentence, highlight=False)
    return figures
