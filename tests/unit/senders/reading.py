# SPDX-License-Identifier: Apache-2.0
"""How the tests of senders read a body: as a policy does."""

import pytest

from heat_ha import exceptions, signals
from heat_ha.failover import model as failover

ALARM, OK, NO_DATA = signals.AlarmState
REFUSED = None


def parse(details):
    return signals.parse(details, failover.Action)


def refusal(details):
    """The refusal of a body, which has to be one short line."""
    with pytest.raises(exceptions.Refused) as refused:
        parse(details)
    assert_short(refused.value)
    return refused.value


def assert_short(refused):
    assert refused.remedy
    assert len(refused.reason) < 200 and refused.reason.isprintable()
    assert len(str(refused)) < 500 and str(refused).isprintable()


def assert_read(body, state, expected):
    """Assert what is read: a state and a member, or a part of the refusal."""
    if state is REFUSED:
        assert expected in str(refusal(body))
        return
    signal = parse(body)
    assert (signal.action, signal.alarm_state) == (None, state)
    # What asks for nothing asks it of nobody.
    assert signal.member == expected
