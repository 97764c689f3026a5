# SPDX-License-Identifier: Apache-2.0
"""The time as it is put on record, where another engine reads it: UTC, never a monotonic clock.

Rules get the time as an argument; who calls them asks here.
"""

import datetime
import time


def now() -> datetime.datetime:
    """The time, with its zone (UTC)."""
    return datetime.datetime.now(datetime.timezone.utc)


def now_text(timespec: str = 'seconds') -> str:
    """The time in ISO form, to the second or to what else ``timespec`` names."""
    return now().isoformat(timespec=timespec)


def epoch() -> float:
    """The time in seconds since 1970, as the agent's table has it."""
    return time.time()


def utc(text: str) -> datetime.datetime:
    """A service's time in ISO form, which is UTC where it names no zone."""
    found = datetime.datetime.fromisoformat(text.replace('Z', '+00:00'))
    return found if found.tzinfo else found.replace(tzinfo=datetime.timezone.utc)
