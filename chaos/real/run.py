# SPDX-License-Identifier: Apache-2.0
"""Run failovers of guests that write: ``python -m chaos.real.run --runs 20 --seed 1``.

It needs ``make lab-real``. Progress goes to stderr; the last line on stdout is JSON. The exit code
is 0 when nothing was violated and nothing leaked.
"""

import argparse
import collections
import contextlib
import json
import os
import sys
import time
from typing import Any

from chaos.database import Database
from chaos.real import choice, drive, pair
from chaos.run import say
from lab.client import access, agents, hosts, interrupts, real_hosts, waiting

# Seconds until all that is being removed is gone: Nova looks for some of it once a minute.
GONE_WITHIN = 180.0
LOOK = 2.0


class Campaign:
    """What the runs share, and what was found so far."""

    def __init__(self, options: argparse.Namespace, admin: Any, cloud: Any) -> None:
        self._seed = options.seed
        self._admin, self._cloud = admin, cloud
        env = access.environment()
        self._engines = env['regions']['RegionOne']['engines']
        self._database = Database(env['database']['root_socket'], cloud.current_project_id)
        self._before = self._database.inventory()
        # What is there by others, or was found before.
        self._known = set(real_hosts.leftovers(()))
        self._folder = access.LAB / 'chaos'
        self._folder.mkdir(exist_ok=True)
        self._pair: pair.Pair | None = None
        # The stack, as long as it is there.
        self._around = contextlib.ExitStack()
        self._stacks = 0
        # Records on the volumes of earlier stacks.
        self._records = 0
        self.outcomes: list[drive.Outcome] = []
        self.violations: list[str] = []
        self.leaks: list[str] = []

    def play(self, number: int) -> None:
        """Let one run happen and check; what is wrong ends the stack, not the campaign."""
        run = choice.draw(self._seed, number)
        say(f'run {number}: {run}')
        outcome, driver = drive.Outcome(run), None
        leaked: list[str] = []
        try:
            one = self._need_pair()
            driver = drive.Driver(outcome, one, self._folder, say)
            driver.drive(self._admin)
            leaked = self._until_nothing_leaks(one)
        except Exception as exc:
            outcome.wrong.append(f'not done: {type(exc).__name__}: {exc}')
        self.outcomes.append(outcome)
        self._report(outcome, leaked, driver)
        if outcome.wrong or leaked:
            self.tidy()

    def _need_pair(self) -> pair.Pair:
        """The stack, which is made where there is none."""
        if self._pair is None:
            self._stacks += 1
            name = f'chaos-real-{os.getpid()}-{self._stacks}'
            self._pair = self._around.enter_context(pair.made(self._admin, self._cloud, name))
        return self._pair

    def _until_nothing_leaks(self, one: pair.Pair) -> list[str]:
        """What is left over and was not before, once what is on its way has gone."""
        limit = time.monotonic() + GONE_WITHIN * waiting.PATIENCE
        while True:
            found = [text for text in self._look(one) if text not in self._known]
            if not found or time.monotonic() > limit:
                return found
            time.sleep(LOOK)

    def _look(self, one: pair.Pair) -> list[str]:
        try:
            return one.leaks(self._database, self._before)
        except drive.NO_ANSWER as exc:
            return [f'cannot be seen: {exc}']

    def _report(
        self, outcome: drive.Outcome, leaked: list[str], driver: drive.Driver | None
    ) -> None:
        """Tell a person what came of a run, and keep it."""
        run = outcome.run
        pause = 'nobody' if outcome.pause_s is None else f'{outcome.pause_s:.1f} s'
        word = 'done' if outcome.is_done else 'NOT DONE'
        say(f'run {run.number}: {word} after {outcome.seconds:.0f} s; no writes for {pause}')
        for text in outcome.wrong:
            say(f'VIOLATION run {run.number} ({run}): {text}')
        for text in leaked:
            say(f'LEAK after run {run.number} ({run}): {text}')
        if outcome.wrong or leaked:
            self._say_more(driver)
        self.violations += [f'run {run.number} ({run}): {text}' for text in outcome.wrong]
        self.leaks += leaked
        self._known |= set(leaked)

    def _say_more(self, driver: drive.Driver | None) -> None:
        with contextlib.suppress(Exception):
            if self._pair is not None:
                for event in self._pair.stack.events()[-40:]:
                    say(f'  {event}')
        for line in driver.seen_at_last() if driver is not None else ():
            say(f'  {line}')

    def tidy(self) -> None:
        """Bring all back that was taken, and delete the stack; the next run has a new one."""
        self._records += self._written()
        self._pair = None
        for what, step in (
            ('start the engines', lambda: hosts.run_lab('start', *self._engines)),
            ('bring the hosts back', lambda: real_hosts.make_whole(self._admin)),
            ('delete the stack', self._around.close),
            ('forget what the agents knew', agents.clear),
        ):
            try:
                step()
            except Exception as exc:
                text = f'could not {what}: {exc}'[:300]
                say(f'VIOLATION {text}')
                self.violations.append(text)

    def _written(self) -> int:
        """How many records the stack has written until now; 0 where that cannot be read."""
        with contextlib.suppress(Exception):
            return self._pair.report().count if self._pair is not None else 0
        return 0

    def summary(self) -> dict[str, Any]:
        """What is printed as JSON in the end."""
        kinds: collections.Counter[str] = collections.Counter()
        for one in self.outcomes:
            kinds.update(one.run.kinds(one.kills))
        pauses = [one.pause_s for one in self.outcomes if one.pause_s is not None]
        return {
            'chaos': 'real',
            'runs': len(self.outcomes),
            'done': sum(one.is_done for one in self.outcomes),
            'stopped': sum(bool(one.is_done and one.stops) for one in self.outcomes),
            'violations': len(self.violations),
            'leaks': len(self.leaks),
            'seed': self._seed,
            'kinds': {kind: kinds[kind] for kind in choice.KINDS},
            'slowest_s': round(max((one.seconds for one in self.outcomes), default=0.0), 1),
            'longest_pause_s': round(max(pauses, default=0.0), 1),
            'records': self._records,
            'stacks': self._stacks,
            'what': [*self.violations, *self.leaks][:20],
        }


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Run the campaign and return its summary."""
    admin = access.connect('admin')
    # Whatever was there before.
    agents.clear()
    real_hosts.make_whole(admin)
    campaign = Campaign(options, admin, access.connect('demo'))
    begin = time.monotonic()
    try:
        for number in range(options.first_run, options.first_run + options.runs):
            if time.monotonic() > begin + options.minutes * 60:
                say('the time is over')
                break
            campaign.play(number)
    except KeyboardInterrupt:
        say('asked to end')
    finally:
        campaign.tidy()
    return campaign.summary() | {'minutes': round((time.monotonic() - begin) / 60, 1)}


def main() -> int:
    """Run what the command line names and return the exit code."""
    env = os.environ
    parser = argparse.ArgumentParser(prog='python -m chaos.real.run', description=__doc__)
    parser.add_argument('--runs', type=int, default=int(env.get('RUNS') or 20))
    parser.add_argument('--seed', type=int, default=int(env.get('SEED') or time.time()))
    parser.add_argument(
        '--first-run',
        type=int,
        default=int(env.get('FIRST_RUN') or 1),
        help='where a campaign that was cut off goes on (FIRST_RUN, default 1)',
    )
    parser.add_argument(
        '--minutes', type=float, default=float(env.get('MINUTES') or 600), help='begin no run later'
    )
    options = parser.parse_args()
    if not (access.LAB / 'env.json').exists() or 'real' not in access.environment():
        print('There is no lab with real guests. Start it: make lab-real', file=sys.stderr)
        return 2
    interrupts.count_once()
    say(f'seed {options.seed}')
    found = run(options)
    print(json.dumps(found), flush=True)
    is_good = not found['violations'] and not found['leaks'] and found['done'] == found['runs']
    return 0 if is_good else 1


if __name__ == '__main__':
    sys.exit(main())
