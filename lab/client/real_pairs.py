# SPDX-License-Identifier: Apache-2.0
"""Stacks of two guests and a FailoverPolicy, one of which writes to the volume of the policy."""

from lab.client import handovers, real_data, stacks, storage, waiting

# Seconds until another server has the volume, and until the old member has become another one.
MOVED_WITHIN, REPLACED_WITHIN = 180, 300


class Pair:
    """A stack of two guests, and the volume that the active one writes to."""

    def __init__(self, stack: stacks.Stack, consoles: real_data.Consoles, policy: str) -> None:
        self.stack, self.policy = stack, policy
        self.written = real_data.Written(stack.output('volume'), consoles)
        self.active = str(stack.attribute(policy, 'active_server'))

    def successor(self) -> str:
        """The server that has the volume in place of the active one, '' as long as none has."""
        found = storage.holder(self.stack.cloud, self.written.volume)
        return found if found and found != self.active else ''

    def until_handed_over(self, group: str) -> str:
        """Wait until another server writes and the policy is done. :returns: that server."""
        what = f'{self.active} has not got the volume any more'
        new = str(waiting.until(self.successor, what, seconds=MOVED_WITHIN))
        self.written.until_by(new)
        waiting.until(
            lambda: self.stack.attribute(self.policy, 'state') == 'ready',
            'the policy is ready',
            seconds=REPLACED_WITHIN,
            every=1,
        )
        self.assert_replaced(group, new)
        return new

    def assert_replaced(self, group: str, new: str) -> None:
        """See that the policy and the group have one server in the place of the active."""
        found = self.stack.attribute(self.policy, 'active_server')
        assert found == new, f'{new} writes, and the policy says that {found} is the active'
        members = self.stack.members(group)
        assert len(members) == 2, f'the group has the members {members}, and not two'
        assert self.active not in self.stack.servers(), f'{self.active} is still in the group'

    def assert_handed_over_once(self, new: str) -> None:
        """See that the numbers have passed to another server, and that nothing held it up."""
        report = self.written.report()
        handovers.between(report, [self.active, new])
        # Its first write waits for nobody's watch to time out, which takes 30 seconds.
        (one,) = report.interruptions
        assert one.until_acknowledged is not None, f'the console of {new} has no first write'
        assert one.until_acknowledged - one.milliseconds < 10_000, one
