# SPDX-License-Identifier: Apache-2.0
"""The properties of a FailoverPolicy as its failovers use them."""

import dataclasses

from heat_ha.failover import model
from heat_ha.groups import model as groups
from heat_ha.groups.rules import cooldowns


@dataclasses.dataclass(frozen=True)
class Options:
    """What the template wants of a failover; times in seconds.

    ``fencing_timeout`` is how long a failover waits for a fence, 0 for not at all;
    ``keep_seconds`` how long a member that was left as sick is retained for a look;
    ``shuts_out``: the guest on a silent host is shut out from what is handed over.
    """

    limits: model.Limits
    quiesce: model.Quiesce
    on_dead_host: model.OnDeadHost
    fencing_timeout: float
    quiesce_hook: model.Hook | None = None
    activate_hook: model.Hook | None = None
    health: model.HealthCheck | None = None
    fail_back: model.FailBack = model.FailBack.MANUAL
    keep_seconds: float = 0.0
    shuts_out: bool = False

    def limits_with(self, chained: groups.Chained | None) -> model.Limits:
        """The limits of a signal, with the longer cooldown of the policies that it goes through."""
        if chained is None:
            return self.limits
        longest = max(self.limits.cooldown, cooldowns.bounded(chained.cooldown))
        holds_repeats = self.limits.holds_repeats and chained.cooldown is None
        return dataclasses.replace(self.limits, cooldown=longest, holds_repeats=holds_repeats)
