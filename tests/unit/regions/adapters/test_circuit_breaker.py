# SPDX-License-Identifier: Apache-2.0
"""Who may call a region that has not answered. Over real connections: test_heat_client."""

import time

from heat_ha.regions.adapters import circuit_breaker


def test_one_call_at_a_time_tries_a_region_that_is_suspected():
    memory = circuit_breaker.CircuitBreaker()
    assert memory.allow('B', 60, 60, False).may_call
    memory.record('B', time.monotonic(), 'no answer')
    assert memory.allow('B', 60, 60, False).may_call
    second = memory.allow('B', 60, 60, True)
    assert not second.may_call and not second.is_known
    assert memory.allow('C', 60, 60, False).may_call
    memory.record('B', time.monotonic(), '')
    assert memory.allow('B', 60, 60, False).may_call
