# SPDX-License-Identifier: Apache-2.0
"""A FailoverPolicy of a stack as its user sees it: attributes, and answers to signals."""

import time

from lab.client import waiting


def attributes(stack, name='failover'):
    """All attributes of the policy now."""
    return stack.resource(name)['attributes']


def after_epoch(stack, epoch, name='failover'):
    """Wait until the policy is ready at this epoch and return its attributes."""
    began = time.monotonic()

    def look():
        found = attributes(stack, name)
        # A signal that is to have it go on takes a moment.
        is_stopped = found['state'] == 'stopped' and time.monotonic() > began + 10
        assert not is_stopped, found['reason']
        return found if (found['state'], found['epoch']) == ('ready', epoch) else None

    return waiting.until(look, f'{name} is ready at epoch {epoch}', seconds=180, every=1.0)


def refused(stack, body, why, resource='failover'):
    """Send a signal that must be refused with an event that says why."""
    before = len(stack.events(resource))
    stack.signal(resource, body)

    def look():
        return [e for e in stack.events(resource)[before:] if 'SIGNAL_FAILED' in e]

    (event,) = waiting.until(look, f'{body} is refused', seconds=30, every=0.5)
    assert why in event, event
