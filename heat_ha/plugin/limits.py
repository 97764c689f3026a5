# SPDX-License-Identifier: Apache-2.0
"""The longest times that a template may ask for.

Each wait for a hook, a fence or a rescue holds a thread of an engine, and the group with it. A
template of an earlier release may have a longer time. It counts as the longest one, and an update
of its stack goes through as long as it asks for no more than before; see ``given``.
"""

from heat.engine import constraints

# Seconds: whatever has not come to an end after a day waits for a person.
DAY = 86_400

# Of periods in which nothing waits.
DAYS_30 = 30 * DAY


class Within(constraints.Range):
    """A range with a longest time, which a figure that is no number is not within."""

    def _is_valid(self, value, *args, **kwargs):
        figure = constraints.Schema.str_to_num(value)
        return self.min <= figure <= self.max

    def bounded(self, value):
        """The figure, or the longest one for a longer one."""
        return value if value <= self.max else self.max


def of(schema):
    """The longest time of a property, None for a property without one."""
    return next((c for c in schema.constraints if isinstance(c, Within)), None)
