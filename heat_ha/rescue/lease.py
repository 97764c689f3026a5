# SPDX-License-Identifier: Apache-2.0
"""The right to carry the rescues of one policy: one engine at a time has it.

It is a mark in the policy's metadata, set by compare-and-set on the resource's row.
"""

from typing import Any

from heat_ha.cloud import lease
from heat_ha.rescue import record


class Lease(lease.MetadataLease):
    """The right; ``check`` before each step that it is still held."""

    def __init__(self, policy: Any) -> None:
        super().__init__(policy, record.MARK)

    def check(self) -> None:
        """:raises lease.Busy: another engine took this one for dead, and its work up."""
        if not self.is_held():
            raise lease.Busy('another engine carries these rescues now')
