# SPDX-License-Identifier: Apache-2.0
"""Follow a signal whose regions are still at work, in a thread of our own.

A signal holds a thread of Heat's engine until it returns. A region may need minutes, so what a
signal has begun goes on here. The record is durable: when the engine dies, the next action or
signal goes on.
"""

import threading
import time

from heat.common import context as heat_context
from heat.engine import stack as heat_stack
from oslo_log import log as logging

from heat_ha import exceptions

LOG = logging.getLogger(__name__)

# Signals that are followed in one process. Each has a thread that mostly sleeps.
MAX_FOLLOWED = 32

_FOLLOWED = threading.BoundedSemaphore(MAX_FOLLOWED)


def start(resource, only):
    """Follow a signal to a resource until the region that it names is done, or all are."""
    if not _FOLLOWED.acquire(blocking=False):
        LOG.warning(
            '%s: %d signals are followed already; a later signal goes on',
            resource.name,
            MAX_FOLLOWED,
        )
        return
    stack = resource.stack
    thread = threading.Thread(
        target=_follow,
        args=(resource.context.to_dict(), stack.id, resource.name, only, stack.timeout_secs()),
        daemon=True,
    )
    thread.start()


def _follow(context, stack_id, name, only, timeout):
    deadline = time.monotonic() + timeout
    try:
        loaded = heat_stack.Stack.load(
            heat_context.RequestContext.from_dict(context),
            stack_id=stack_id,
            use_stored_context=True,
        )
        found = loaded[name]
        with found.frozen_properties():
            work = found._new_reconciler(is_asked_for=False, only=only)
            while time.monotonic() < deadline:
                if found._step_for_signal(work) is not False:
                    found._after_signal(work)
                    return
                time.sleep(1)
    except exceptions.HaError as exc:
        LOG.warning('%s: %s', name, exc)
    except Exception:
        # The stack may be gone; the next action or signal starts from the record.
        LOG.exception('%s: the work for a signal has failed', name)
    finally:
        _FOLLOWED.release()
