# SPDX-License-Identifier: Apache-2.0
"""What each demo does with its stack and with its way out."""

import json
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from demo import screen
from lab.client import access, interrupts, stacks, waiting

CLIENT = 'OS_CLIENT_CONFIG_FILE=.lab/clouds.yaml .lab/venv/bin/openstack --os-cloud demo'

# Seconds until a stack of servers that boot is there.
CREATED_WITHIN = 300.0

Found = TypeVar('Found')


def answer(look: Callable[[], Found]) -> Found | None:
    """What a look finds; None from a service that is being restarted, or is busy."""
    try:
        return look()
    except (*access.NO_ANSWER, AssertionError):
        # The next look shows it.
        return None


def need_free(stack: stacks.Stack) -> None:
    """See that the name of the stack is free. :raises AssertionError: with what to do."""
    found = stack.cloud.orchestration.get(f'/stacks/{stack.name}')
    assert found.status_code == 404, (
        f'there is a stack {stack.name} already. Choose another name with --name, or:\n'
        f'  {CLIENT} stack delete --yes --wait {stack.name}'
    )


def create(
    stack: stacks.Stack, shown: screen.Screen, parameters: dict[str, Any] | None = None
) -> None:
    """Create the stack and show how far that is. :raises AssertionError: it failed."""
    with shown.waiting(f'creating the stack {stack.name}') as show:
        stack.create(parameters, wait=False)

        def look() -> bool:
            found, resources = answer(stack.show), answer(lambda: stack.resources(depth=0))
            if found is None or resources is None:
                return False
            done = [r for r in resources if r['resource_status'] == 'CREATE_COMPLETE']
            show(f'{len(done)} of {len(resources)} resources')
            assert found['stack_status'] != 'CREATE_FAILED', found['stack_status_reason']
            return bool(found['stack_status'] == 'CREATE_COMPLETE')

        waiting.until(look, f'{stack.name} is created', seconds=CREATED_WITHIN, every=1.0)


def delete(stack: stacks.Stack, shown: screen.Screen) -> None:
    """Delete a stack whose name was free before, and wait for it."""
    if not stack.id and not stack.is_there():
        return
    with shown.waiting(f'deleting the stack {stack.name}'):
        stack.delete()


def play(run: Callable[[], dict[str, Any]], lab: str) -> tuple[dict[str, Any], int]:
    """Run a demo; the figures that it returns are a line of JSON at the end.

    :param lab: the command that starts what it is shown on.
    :returns: the figures, none after an error, which is said; and the exit code.
    """
    if not (access.LAB / 'env.json').exists():
        print(f'There is no cloud to show it on. Start it: {lab}', file=sys.stderr)
        return {}, 2
    interrupts.count_once()
    try:
        figures = run()
    except KeyboardInterrupt:
        print('\nInterrupted; the stack is deleted.', file=sys.stderr)
        return {}, 130
    except AssertionError as exc:
        print(f'\nThe demo did not get to its end: {exc}', file=sys.stderr)
        return {}, 1
    except access.NO_ANSWER as exc:
        print(f'\nThe cloud does not answer (make lab-status): {exc}', file=sys.stderr)
        return {}, 1
    print(json.dumps(figures), flush=True)
    return figures, 0
