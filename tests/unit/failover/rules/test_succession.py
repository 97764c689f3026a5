# SPDX-License-Identifier: Apache-2.0
import dataclasses
import itertools

import pytest

from heat_ha.failover.rules import succession
from heat_ha.failover.rules.succession import Level

ATTACHMENT, POLICY, FILE = 'OS::Cinder::VolumeAttachment', 'OS::Heat::FailoverPolicy', 'both.yaml'

# The policy `failover`, whose nested stack has the attachment, in the stack that the user has made.
OURS = (
    Level('nested', 'handoff', ATTACHMENT, ATTACHMENT),
    Level('stack', 'failover', POLICY, POLICY),
)
SAME_NAME = (OURS[0], dataclasses.replace(OURS[1], name='attach'))


@pytest.mark.parametrize(
    ('wanted', 'is_leaving'), [(ATTACHMENT, False), ('', True), (POLICY, True), (FILE, True)]
)
def test_what_the_template_does_not_have_any_more_is_leaving(wanted, is_leaving):
    theirs = (Level('stack', 'attach', ATTACHMENT, wanted),)
    assert succession.is_leaving(theirs, OURS) is is_leaving


def test_what_has_the_same_name_as_the_policy_is_leaving():
    theirs = (Level('stack', 'attach', ATTACHMENT, POLICY),)
    assert succession.is_leaving(theirs, SAME_NAME)
    # Another generation of the same policy: a failed one that is made again.
    theirs = (Level('other', 'handoff', ATTACHMENT, ATTACHMENT), SAME_NAME[1])
    assert succession.is_leaving(theirs, SAME_NAME)


def test_it_is_enough_that_one_level_is_leaving():
    kept, gone = ('x', 'x'), ('x', '')
    for levels in itertools.product((kept, gone), repeat=3):
        theirs = [
            Level(stack, name, *kinds)
            for stack, name, kinds in zip(('deep', 'inner', 'stack'), 'abc', levels, strict=True)
        ]
        assert succession.is_leaving(theirs, OURS) is (gone in levels)


def test_only_the_way_up_to_the_common_stack_counts():
    above = Level('root', 'all', 'all.yaml', '')
    theirs = (Level('stack', 'attach', ATTACHMENT, ATTACHMENT), above)
    assert not succession.is_leaving(theirs, (*OURS, above))


# S2
def test_what_is_not_known_is_not_leaving():
    assert not succession.is_leaving((Level('stack', 'attach', '', ''),), OURS)
    # Its way up is not known as far as a stack that both are in.
    assert not succession.is_leaving((Level('deep', 'one', ATTACHMENT, ''),), OURS)
    assert not succession.is_leaving((), OURS)


def test_what_is_plain_gives_way_to_a_policys_and_not_to_another_plain_one():
    plain = (Level('stack', 'attach', ATTACHMENT, ATTACHMENT),)
    in_file = (Level('deep', 'one', ATTACHMENT, ATTACHMENT), Level('stack', 'both', FILE, FILE))
    for theirs in (plain, in_file):
        assert succession.is_plain_beside(theirs, OURS)
        assert not succession.is_plain_beside(OURS, theirs)
        assert not succession.is_plain_beside(theirs, plain)
    assert not succession.is_plain_beside(SAME_NAME, OURS), 'two policies'
    assert not succession.is_plain_beside((Level('elsewhere', 'x', ATTACHMENT, ''),), OURS)


def test_a_second_attachment_of_the_same_policy_stays():
    theirs = (Level('nested', 'second', ATTACHMENT, ATTACHMENT), OURS[1])
    assert not succession.is_leaving(theirs, OURS)
