# SPDX-License-Identifier: Apache-2.0
"""The threads that Heat's engine has for one stack, of which it forgets none in some releases.

From release 26 on, the group of a stack's threads keeps each of them, with all that it holds, for
as long as the engine runs, and takes no more than 1000. Each signal is one of them and each update
another, so a stack whose policies are signalled often would take no signal and no update any more.
A signal therefore lets the group forget those that have ended, before it does anything else. The
patch for Heat itself is in ``doc/upstream``.
"""

import threading
from typing import Any

from oslo_log import log as logging

from heat_ha.cloud import lease

LOG = logging.getLogger(__name__)


def forget_finished(stack_id: str) -> int:
    """Let this engine forget the threads of a stack that have ended.

    :returns: how many; 0 also where this Heat forgets them by itself, or keeps them otherwise than
        is known here.
    """
    try:
        return _forget_finished(lease.engine_service(), stack_id)
    except Exception:
        # The signal is what counts, and the group takes a thousand.
        LOG.exception('The threads of stack %s that have ended are kept', stack_id)
        return 0


def _forget_finished(service: Any, stack_id: str) -> int:
    manager = getattr(service, 'thread_group_mgr', None)
    group: Any = getattr(manager, 'groups', {}).get(stack_id)
    threads, guard = getattr(group, 'threads', None), getattr(group, '_lock', None)
    if not isinstance(threads, list) or guard is None:
        return 0
    with guard:
        # Asked for again: a group that is stopped gets another list.
        threads = group.threads
        left = [one for one in threads if not _has_ended(one)]
        forgotten = len(threads) - len(left)
        # In place, for whoever goes through the list at this moment.
        threads[:] = left
    return forgotten


def _has_ended(one: Any) -> bool:
    """Whether it is a thread that was started and has ended; other kinds clean up by themselves."""
    return isinstance(one, threading.Thread) and one.ident is not None and not one.is_alive()
