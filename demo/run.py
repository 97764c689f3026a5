# SPDX-License-Identifier: Apache-2.0
"""Show a failover on the lab: stop the active's server and watch what the template does.

Nothing here talks to the policy. The stop is noticed by Nova, passed on by Ceilometer, and
turned into a signal by the template's own Aodh alarm. The last line on stdout is JSON.
"""

import argparse
import contextlib
import os
import pathlib
import sys
import tempfile
import time
from typing import Any

from demo import scene, screen, stage, watching
from lab.client import access, stacks, storage, waiting

GROUP, POLICY = 'server_group', 'server_failover_policy'

# Seconds for the way from Nova through Ceilometer and Aodh to Heat; 15 are usual.
ALARM_LIMIT = 120.0

# Seconds for all that the policies do then; the replacement is most of it.
FAILOVER_LIMIT = 300.0


class Demo:
    """One stack, from its creation to its deletion."""

    def __init__(self, name: str, shown: screen.Screen) -> None:
        self.cloud = access.connect('demo')
        self.stack = stacks.Stack(self.cloud, name, stacks.EXAMPLES / 'failover_pair.yaml')
        self._shown = shown
        self.volume = ''
        self._group: watching.Group
        self._names: dict[str, str] = {}

    # --- the parts ---------------------------------------------------------------------------

    def create(self) -> None:
        """Create the stack and say what is in it."""
        begin = time.monotonic()
        stage.create(self.stack, self._shown)
        self.volume = self.stack.output('volume')
        self._group = watching.Group(self.stack, GROUP)
        active = self._policy()['active_server']
        self._shown.say(
            f'The stack {self.stack.name} is there after {time.monotonic() - begin:.0f} s: '
            f'two servers and the volume {self.volume}.'
        )
        for member in self._members():
            part = 'active' if member.server == active else 'standby'
            self._shown.say(f'  {part}: member {member.name}, server {member.server}')
        self._shown.say(f'  Cinder says that the volume is on {self.holder()}')

    def fail_over(self, number: int, watch: watching.VolumeWatch) -> dict[str, Any]:
        """Stop the active's server, show what happens, and return the figures.

        :raises AssertionError: something did not happen in time, or the policy stopped.
        """
        policy = self._policy()
        old = policy['active_server']
        past = len(policy['history'])
        before = frozenset(m.name for m in self._members())
        self._shown.say(f'\n$ openstack --os-cloud demo server stop {old}')
        stopped = time.time()
        self.cloud.compute.stop_server(old)
        with self._shown.scenes() as show:
            while True:
                policy = stage.answer(self._policy) or policy
                members = stage.answer(self._members) or ()
                plan = policy['plan'] if _is_of(policy['plan'], stopped) else None
                now = time.time()
                show(
                    scene.Scene(
                        f'Failover {number}',
                        now - stopped,
                        scene.steps(plan, stopped=stopped, now=now),
                        scene.moments(watch.moments, self._names, stopped),
                        scene.members(members, policy['active'], old, before),
                    )
                )
                lines = policy['history'][past:]
                if plan is not None and lines and policy['state'] == 'ready':
                    return self._figures(lines[0], plan, stopped)
                self._check(policy, plan, now - stopped)
                time.sleep(0.5)

    # --- looks -------------------------------------------------------------------------------

    def holder(self) -> str:
        """The server that Cinder shows the volume on."""
        return str(
            waiting.until(lambda: storage.holder(self.cloud, self.volume), 'the volume is in use')
        )

    def _policy(self) -> dict[str, Any]:
        found: dict[str, Any] = self.stack.resource(POLICY)['attributes']
        assert found.get('state'), 'the policy does not answer'
        return found

    def _members(self) -> tuple[scene.Member, ...]:
        found = self._group.look()
        self._names |= {m.server: m.name for m in found}
        return found

    def _check(self, policy: dict[str, Any], plan: dict[str, Any] | None, seconds: float) -> None:
        assert policy['state'] != 'stopped', f'the policy stopped: {policy["reason"]}'
        if plan is None:
            limit = ALARM_LIMIT * waiting.PATIENCE
            assert seconds < limit, (
                f'no alarm reached the policy within {limit:.0f} s of the stop. Its way goes '
                'through .lab/log/ceilometer-notification.log, aodh-listener.log, '
                'aodh-notifier.log and the engines'
            )
        limit = FAILOVER_LIMIT * waiting.PATIENCE
        assert seconds < limit, (
            f'the failover was not done within {limit:.0f} s; the last events of the policy:\n'
            + '\n'.join(self.stack.events(POLICY)[-5:])
        )

    def _figures(
        self, line: dict[str, Any], plan: dict[str, Any], stopped: float
    ) -> dict[str, Any]:
        assert line['outcome'] == 'done', line
        old, new = line['old_server'], line['new_server']
        holder = self.holder()
        assert holder == new, f'the policy says that {new} has the volume, and Cinder {holder}'
        assert old not in {m.server for m in self._members()}, f'{old} is still in the group'
        accepted = scene.accepted(plan, line['handoff_seconds'])
        return {
            'volume': self.volume,
            'from': old,
            'to': new,
            'from_member': line['old_member'],
            'to_member': line['new_member'],
            'detection_seconds': round(accepted - stopped, 3),
            'decision_seconds': round((scene.begun(plan) or accepted) - accepted, 3),
            'handoff_seconds': line['handoff_seconds'],
            'replacement_seconds': line['steps']['replace'],
            'seconds': line['seconds'],
            'steps': line['steps'],
        }


def _is_of(plan: dict[str, Any] | None, stopped: float) -> bool:
    return plan is not None and scene.seconds_since_1970(plan['created']) > stopped


# --- what is said at the end ----------------------------------------------------------------


def sentence(number: int, figures: dict[str, Any]) -> str:
    """One failover in a sentence."""
    return (
        f'Failover {number}: noticed {figures["detection_seconds"]:.1f} s after the stop, volume '
        f'handed over {figures["handoff_seconds"]:.1f} s later, member replaced in '
        f'{figures["replacement_seconds"]:.1f} s.'
    )


def how_to_look(name: str) -> str:
    """The commands with which to look around in a stack that is kept."""
    show = f'{stage.CLIENT} stack resource show {name} {POLICY}'
    dot = 'import json, sys; print(json.load(sys.stdin)["attributes"]["plan"]["graphviz"])'
    return '\n'.join(
        (
            f'The stack {name} is kept. To look around:',
            f'  {stage.CLIENT} stack list',
            f'  {stage.CLIENT} stack event list --follow --nested-depth 2 {name}',
            f'  {show}',
            'The last plan as Graphviz:',
            f"  {show} -f json | .venv/bin/python -c '{dot}'",
            'To delete it:',
            f'  {stage.CLIENT} stack delete --yes --wait {name}',
        )
    )


# --- the program ----------------------------------------------------------------------------


def run(options: argparse.Namespace, shown: screen.Screen) -> dict[str, Any]:
    """Show the failovers and return the figures. :raises AssertionError: see fail_over."""
    demo = Demo(options.name, shown)
    is_kept = options.keep
    stage.need_free(demo.stack)
    try:
        demo.create()
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
            summary = stack.enter_context(
                storage.observed([demo.volume], pathlib.Path(folder) / 'observed.jsonl')
            )
            watch = stack.enter_context(watching.VolumeWatch(demo.volume).running())
            failovers = [demo.fail_over(n, watch) for n in range(1, options.failovers + 1)]
            observed = summary()
        shown.say()
        for number, figures in enumerate(failovers, 1):
            shown.say(sentence(number, figures))
        shown.say(
            f'Beside it, an observer looked {observed["samples"]} times at the records of Cinder '
            'and Nova. '
            + ('; '.join(observed['violations']) or 'Never did two servers hold the volume.')
        )
    except KeyboardInterrupt:
        is_kept = False
        raise
    finally:
        if is_kept and demo.stack.id:
            shown.say('\n' + how_to_look(options.name))
        else:
            stage.delete(demo.stack, shown)
    return {
        'demo': 'failover',
        'stack': options.name,
        'volume': demo.volume,
        'from': failovers[0]['from'],
        'to': failovers[-1]['to'],
        'failovers': failovers,
        'violations': observed['violations'],
        'observed': observed['samples'],
    }


def main() -> int:
    """Run the demo and return the exit code."""
    parser = argparse.ArgumentParser(prog='python -m demo.run', description=__doc__)
    parser.add_argument('--failovers', type=int, default=2, choices=range(1, 11), metavar='N')
    parser.add_argument('--name', default='failover-demo', help='of the stack')
    parser.add_argument(
        '--keep',
        action='store_true',
        default=os.environ.get('KEEP', '') not in ('', '0'),
        help='keep the stack and say how to look around (KEEP=1)',
    )
    options = parser.parse_args()
    figures, code = stage.play(lambda: run(options, screen.Screen()), 'make lab-one')
    return 1 if figures.get('violations') else code


if __name__ == '__main__':
    sys.exit(main())
