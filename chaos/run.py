# SPDX-License-Identifier: Apache-2.0
"""Run a campaign: ``python -m chaos.run --runs 20 --seed 1``.

Progress goes to stderr; the last line on stdout is JSON. The exit code is 0 when nothing was
violated and nothing leaked.
"""

import argparse
import collections
import concurrent.futures
import contextlib
import json
import os
import pathlib
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

from chaos import check, choice, drive, guests, pool, troubles, watch, world
from chaos.database import Database
from lab.client import access, faults

# Seconds until what is being deleted has to be gone.
UNTIL_GONE = 60.0

# Seconds after a signal in which the failover has begun, on a slow machine.
SLACK = 10.0


def say(text: str) -> None:
    """Tell a person how far the campaign is."""
    print(f'{time.strftime("%H:%M:%S")} {text}', file=sys.stderr, flush=True)


class Campaign:
    """What the rounds share, and what was found so far."""

    def __init__(
        self, options: argparse.Namespace, database: Database, admin: Any, cloud: Any
    ) -> None:
        self._options = options
        self._database = database
        self._cloud = cloud
        self._engines = world.Engines(database)
        self._hosts = world.Hosts(admin)
        self._world = troubles.World(admin, cloud, database, self._hosts)
        self._before = database.inventory()
        self._last_round = 0
        # When the services stopped failing in this round, in seconds since the epoch.
        self._peace_at = 0.0
        # When a failover of each stack began last, or may have begun.
        self._signalled: dict[int, float] = {}
        self._members: list[pool.Member] = []
        self.outcomes: list[drive.Outcome] = []
        self.violations: list[str] = []
        self.leaks: list[str] = []
        self.hosts: collections.Counter[str] = collections.Counter()

    @contextlib.contextmanager
    def stacks(self, count: int) -> Iterator[list[pool.Member]]:
        """The pool of stacks; they go with the body."""
        self._members = [
            pool.Member(self._cloud, self._database, n, pool.SHAPES[n % len(pool.SHAPES)])
            for n in range(count)
        ]
        with concurrent.futures.ThreadPoolExecutor(4) as threads:
            try:
                list(threads.map(lambda m: m.create(), self._members))
                yield self._members
            finally:
                gone = [threads.submit(m.stack.delete) for m in self._members]
                for one in gone:
                    try:
                        one.result()
                    except Exception as exc:
                        self.violations.append(f'a stack could not be deleted: {exc}'[:300])

    def play(self, one: choice.Round, proxy: faults.Proxy, seen: watch.Watch) -> None:
        """Let the runs of a round run, wait until all is quiet, and check."""
        self._last_round = one.number
        members = {m.number: m for m in self._members}
        mine = [members[run.stack] for run in one.runs]
        self._let_rest(mine)
        before = {m.number: m.look() for m in mine}
        self.hosts[one.host.value] += 1
        for run, member in zip(one.runs, mine, strict=True):
            # The cooldown counts from the start of a failover.
            self._signalled[member.number] = time.monotonic() + run.signal_after
        with contextlib.ExitStack() as around:
            if one.host is not choice.HostFault.NONE:
                active = before[mine[0].number].record.active
                assert active is not None
                host = self._database.hosts_of([active.server])[active.server]
                around.enter_context(
                    self._hosts.dying(host, one.host, one.fence_after, one.back_after)
                )
            proxy.rate = self._options.faults
            outcomes = self._drive(one, mine, proxy)
        proxy.rate = 0.0
        self._engines.wait()
        self.outcomes += outcomes
        gone_at = max(
            self._peace_at,
            self._engines.up_since,
            *(d.end for d in self._hosts.deaths if d.end is not None),
            *(outcome.trouble_ended for outcome in outcomes),
            0.0,
        )
        lines = seen.lines()
        for outcome, member in zip(outcomes, mine, strict=True):
            seen.observe(member.volumes)
            wrong = self._wrong(outcome, before[member.number], member, lines, gone_at)
            name = f'run {outcome.run.number} ({member.shape.name})'
            self._report(member, [f'{name}: {text}' for text in wrong])
            if outcome.story != check.PLAIN:
                # More than one failover may have begun, and the cooldown counts from the last.
                self._signalled[member.number] = outcome.ended
        self._check_all(one, seen)

    def _wrong(
        self,
        outcome: drive.Outcome,
        before: check.Picture,
        member: pool.Member,
        lines: Sequence[dict[str, Any]],
        gone_at: float,
    ) -> list[str]:
        """What must not be after a run, or was seen on the way."""
        story = outcome.story
        wrong = list(dict.fromkeys(outcome.wrong))
        observed = {volume for line in lines for volume in line['holders']}
        # What somebody has dropped stays where it was until somebody wants it elsewhere.
        if not story.is_dropped and time.time() > gone_at + check.WITHIN:
            volumes = [v for v in member.volumes if v in observed]
            wrong += check.of_arrivals(lines, volumes, outcome.unwell, gone_at)
        if not outcome.is_done:
            return [*wrong, 'not done in time']
        return wrong + self._until_right(before, member, story)

    def _drive(
        self, one: choice.Round, mine: Sequence[pool.Member], proxy: faults.Proxy
    ) -> list[drive.Outcome]:
        begin, self._peace_at = time.monotonic(), 0.0
        is_over = threading.Event()
        with concurrent.futures.ThreadPoolExecutor(len(mine)) as threads:
            running = [
                threads.submit(drive.drive, run, member, self._engines, self._world, is_over, say)
                for run, member in zip(one.runs, mine, strict=True)
            ]
            left = set(running)
            try:
                while left:
                    _done, left = concurrent.futures.wait(left, timeout=1.0)
                    if time.monotonic() > begin + drive.PEACE_AFTER and proxy.rate:
                        say(f'round {one.number}: no more faults, so that it gets to its end')
                        proxy.rate, self._peace_at = 0.0, time.time()
            finally:
                is_over.set()
        found = [r.result() for r in running]
        # Where they are over before, nothing hinders them any more.
        self._peace_at = self._peace_at or time.time()
        for o in found:
            say(
                f'run {o.run.number}: {"done" if o.is_done else "NOT DONE"} after {o.seconds:.1f} s'
                f' ({o.run.signals} signals, host {one.host.value}, killed in {o.killed_in},'
                f' {o.trouble.value if o.trouble else "no trouble"},'
                f' taken up {o.take_ups} times{": " + "; ".join(o.stops) if o.stops else ""})'
            )
        return found

    def _let_rest(self, mine: Sequence[pool.Member]) -> None:
        """Wait until no stack is in its cooldown any more."""
        signalled = [self._signalled[m.number] for m in mine if m.number in self._signalled]
        if signalled:
            until = max(signalled) + pool.COOLDOWN + SLACK
            time.sleep(max(0.0, until - time.monotonic()))

    def _until_right(
        self, before: check.Picture, member: pool.Member, story: check.Story
    ) -> list[str]:
        """What is wrong with a stack, once what is still on its way has arrived."""
        deadline = time.monotonic() + UNTIL_GONE
        while True:
            wrong = check.of_run(before, member.look(), story)
            if not wrong or time.monotonic() > deadline:
                return wrong
            time.sleep(2.0)

    def _report(self, member: pool.Member, wrong: list[str]) -> None:
        for text in wrong:
            say(f'VIOLATION {text}')
        if wrong:
            with contextlib.suppress(Exception):
                for event in member.stack.events()[-40:]:
                    say(f'  {event}')
        self.violations += wrong

    def _check_all(self, one: choice.Round, seen: watch.Watch) -> None:
        """Look at the whole project, and at what the observer has seen."""
        deadline = time.monotonic() + UNTIL_GONE
        while True:
            pictures = [m.look() for m in self._members]
            found = check.leaks(self._before, self._database.inventory(), pictures)
            if not found or time.monotonic() > deadline:
                break
            time.sleep(2.0)
        for text in found:
            if text not in self.leaks:
                say(f'LEAK after round {one.number}: {text}')
                self.leaks.append(text)
        lines = seen.lines()
        servers = {
            s
            for line in lines
            for sides in line['holders'].values()
            for of_side in sides.values()
            for s in of_side
        }
        hosts = self._database.hosts_of(sorted(servers))
        for text in check.of_handovers(lines, hosts, self._hosts.deaths):
            if text not in self.violations:
                say(f'VIOLATION {text}')
                self.violations.append(text)

    def summary(self, seen: dict[str, Any], proxy: faults.Proxy) -> dict[str, Any]:
        """What is printed as JSON in the end."""
        kills = collections.Counter(o.killed_in for o in self.outcomes if o.killed_in)
        troubled = collections.Counter(o.trouble.value for o in self.outcomes if o.trouble)
        ways_out = sum((o.ways for o in self.outcomes), collections.Counter[str]())
        slowest = max(self.outcomes, key=lambda o: o.seconds, default=None)
        return {
            'runs': len(self.outcomes),
            'rounds': [self._options.first_round, self._last_round],
            'done': sum(o.is_done for o in self.outcomes),
            'stopped': sum(bool(o.is_done and (o.stops or o.take_ups)) for o in self.outcomes),
            'violations': len(self.violations),
            'leaks': len(self.leaks),
            'seed': self._options.seed,
            'troubles': {t.value: troubled[t.value] for t in choice.Trouble},
            'troubles_missed': sum(o.trouble is not o.run.trouble for o in self.outcomes),
            'ways_out': dict(sorted(ways_out.items())),
            'foreign_alarms': sum(o.foreign for o in self.outcomes),
            'killed_in': dict(sorted(kills.items())),
            'hosts': dict(sorted(self.hosts.items())),
            'signals': sum(o.run.signals for o in self.outcomes),
            'take_ups': sum(o.take_ups for o in self.outcomes),
            'faults': dict(sorted(proxy.counts.items())),
            'requests': proxy.passed + sum(proxy.counts.values()),
            'observer': {k: seen.get(k) for k in ('samples', 'longest_gap_s')},
            'slowest': slowest
            and {
                'run': slowest.run.number,
                'seconds': round(slowest.seconds, 1),
                'killed_in': slowest.killed_in,
                'take_ups': slowest.take_ups,
            },
            'what': [*self.violations, *self.leaks][:20],
        }


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Run the campaign and return its summary."""
    cloud, admin = access.connect('demo'), access.connect('admin')
    database = Database(access.environment()['database']['root_socket'], cloud.current_project_id)
    campaign = Campaign(options, database, admin, cloud)
    begin = time.monotonic()
    # Twice as many as run at once, so that each rests as long as it works.
    count = min(2 * options.side_by_side, max(options.runs, len(pool.SHAPES)))
    with (
        tempfile.TemporaryDirectory() as folder,
        world.faulty_services(admin, options.seed) as proxy,
        guests.living(admin, database),
        campaign.stacks(count) as members,
        watch.Watch(pathlib.Path(folder)) as watching,
    ):
        say(f'{count} stacks are made')
        watching.observe([v for m in members for v in m.volumes])
        rounds = choice.rounds(
            options.seed,
            options.runs,
            options.side_by_side,
            {m.number: m.shape.steps for m in members},
            {m.number: m.shape.troubles for m in members},
        )
        seen: dict[str, Any] = {}
        try:
            for one in rounds[options.first_round - 1 :]:
                if time.monotonic() > begin + options.minutes * 60:
                    say('the time is over')
                    break
                campaign.play(one, proxy, watching)
        except KeyboardInterrupt:
            say('asked to end')
        finally:
            proxy.rate = 0.0
            seen = watching.summary()
        campaign.violations += [f'S1: {text}' for text in seen['violations']]
    if options.faults and campaign.outcomes and not proxy.counts:
        campaign.violations.append('no request came by the proxy')
    minutes = round((time.monotonic() - begin) / 60, 1)
    return campaign.summary(seen, proxy) | {'minutes': minutes}


def main() -> int:
    """Run what the command line names and return the exit code."""
    env = os.environ
    parser = argparse.ArgumentParser(prog='python -m chaos.run', description=__doc__)
    parser.add_argument('--runs', type=int, default=int(env.get('RUNS') or 300))
    parser.add_argument('--seed', type=int, default=int(env.get('SEED') or time.time()))
    parser.add_argument(
        '--side-by-side',
        type=int,
        default=int(env.get('SIDE_BY_SIDE') or 6),
        help='how many stacks fail over at once (SIDE_BY_SIDE, default 6)',
    )
    parser.add_argument(
        '--first-round',
        type=int,
        default=int(env.get('FIRST_ROUND') or 1),
        help='where a campaign that was cut off goes on (FIRST_ROUND, default 1)',
    )
    parser.add_argument(
        '--faults', type=float, default=0.2, help='share of requests that fail, default 0.2'
    )
    parser.add_argument(
        '--minutes',
        type=float,
        default=float(env.get('MINUTES') or 600),
        help='begin no round later',
    )
    options = parser.parse_args()
    if not (access.LAB / 'env.json').exists():
        print('There is no lab. Start it: make lab-one', file=sys.stderr)
        return 2
    # What is terminated cleans up as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    say(f'seed {options.seed}')
    found = run(options)
    print(json.dumps(found), flush=True)
    is_good = not found['violations'] and not found['leaks'] and found['done'] == found['runs']
    return 0 if is_good else 1


if __name__ == '__main__':
    sys.exit(main())
