# SPDX-License-Identifier: Apache-2.0
"""What is on record after a request and its answer."""

import dataclasses

import pytest

from heat_ha.regions.rules import answers, transitions
from heat_ha.regions.rules.answers import Absent
from heat_ha.regions.rules.steps import Request
from tests.unit.regions.states import EARLIER, PARTS, PRESENT


@pytest.mark.parametrize('reply', list(answers.Answer))
def test_whatever_the_answer_a_part_that_may_exist_is_never_forgotten(reply):
    before = dataclasses.replace(PARTS[0], sent='', doubtful_since='')
    for request, observed in ((Request.CREATE, Absent()), (Request.UPDATE, PRESENT[0])):
        sent = transitions.intended(before, request, observed, 'this', EARLIER)
        after, end = transitions.after_reply(before, sent, answers.Reply(reply, 'why'), EARLIER)
        if reply in (answers.Answer.ACCEPTED, answers.Answer.UNKNOWN):
            assert after.may_exist and end is None
        if reply is answers.Answer.NOT_SENT:
            assert not after.sent
