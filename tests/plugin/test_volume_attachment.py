# SPDX-License-Identifier: Apache-2.0
"""The stand-in for a volume attachment below a FailoverPolicy, over a cloud in memory."""

import pytest
from heat.common import exception

from heat_ha.failover import former_holders
from heat_ha.failover.rules import retry
from heat_ha.plugin import predecessors, volume_attachment
from heat_ha.testing import clouds


@pytest.fixture
def cloud():
    found = clouds.FakeCloud()
    for server in ('old', 'new'):
        found.add_server(server)
    found.add_volume('v1', 'old')
    return found


@pytest.fixture
def attachment(cloud):
    """The resource as Heat has it in an update from ``old`` to ``new``, without a stack."""
    kind = volume_attachment.HandoffVolumeAttachment
    found = object.__new__(kind)
    found.properties = {kind.VOLUME_ID: 'v1', kind.INSTANCE_ID: 'old', kind.DEVICE: ''}
    found.values_of = lambda name: {'v1'} if name == kind.VOLUME_ID else {'old', 'new'}
    found.resource_id = 'v1'
    found._services = lambda: cloud
    found.take_over = lambda: (True, frozenset())
    found.left_with = frozenset
    return found


def carried(attachment, handoff):
    for looks in range(20):
        if attachment._advance(handoff):
            return looks
    raise AssertionError('it does not end')


def test_a_volume_is_taken_from_the_old_server_and_given_to_the_new_one(cloud, attachment):
    carried(attachment, attachment._handoff_to('new'))
    assert cloud.holder('v1') == 'new' and not cloud.violations
    assert cloud.requests == [('detach', 'v1', 'old'), ('attach', 'v1', 'new')]


@pytest.fixture
def at_work(monkeypatch):
    """Whether Heat updates the whole stack; it is a failover that updates this part if not."""
    found = [False]
    monkeypatch.setattr(predecessors, 'is_stack_at_work', lambda _resource: found[0])
    return found


def updated(attachment, **changes):
    """Have the attachment updated. :returns: the ids that it had meanwhile."""
    ids = []

    def resource_id_set(volume):
        attachment.resource_id = volume
        ids.append(volume)

    attachment.resource_id_set = resource_id_set
    names = {
        'volume': attachment.VOLUME_ID,
        'server': attachment.INSTANCE_ID,
        'device': attachment.DEVICE,
    }
    given = attachment.handle_update(None, None, {names[k]: v for k, v in changes.items()})
    for _ in range(20):
        if attachment.check_update_complete(given):
            return ids
    raise AssertionError('it does not end')


@pytest.mark.parametrize('holder', [None, 'old', 'new'], ids=str)
@pytest.mark.parametrize('other', [None, 'old', 'new'], ids=str)
def test_a_failover_has_another_volume_come_in_the_place_of_this_one_wherever_both_are(
    cloud, attachment, at_work, holder, other
):
    cloud.add_volume('v1', holder)
    cloud.add_volume('v2', other)
    assert updated(attachment, volume='v2', server='new') == ['v2']
    assert (cloud.holder('v1'), cloud.holder('v2')) == (None, 'new') and not cloud.violations
    assert ('attach', 'v2', 'new') in cloud.requests or other == 'new'


def test_what_a_failover_has_attached_in_the_place_of_a_deleted_volume_is_left_so(
    cloud, attachment, at_work
):
    cloud._volumes.pop('v1')
    cloud.add_volume('v2', 'new')
    updated(attachment, volume='v2', server='new')
    assert cloud.requests == []


def test_another_device_of_what_a_failover_has_attached_is_no_reason_to_attach_it_again(
    cloud, attachment, at_work
):
    cloud.add_volume('v1', 'new')
    updated(attachment, server='new', device='/dev/vdc')
    assert cloud.requests == []


def test_a_volume_that_somebody_else_has_is_not_taken_for_another_one(cloud, attachment, at_work):
    cloud.add_volume('v2', 'foreign')
    with pytest.raises(exception.ResourceInError, match='foreign'):
        updated(attachment, volume='v2')
    assert cloud.holder('v2') == 'foreign'


def test_a_stack_update_to_another_volume_is_heats_own(attachment, at_work, monkeypatch):
    at_work[0] = True
    asked = []
    kind = volume_attachment.volume.CinderVolumeAttachment
    monkeypatch.setattr(kind, 'handle_update', lambda *args: asked.append(args))
    monkeypatch.setattr(kind, 'check_update_complete', lambda *_args: True)
    updated(attachment, volume='v2')
    assert len(asked) == 1


@pytest.mark.parametrize('does', ['goes_back', 'goes_on', 'goes'])
def test_an_update_to_another_volume_that_failed_half_way_leaves_none_attached(
    cloud, attachment, at_work, does
):
    """The request for ``v2`` was sent, and Heat has still ``v1`` on record."""
    cloud.add_volume('v1', None)
    cloud.add_volume('v2', 'old')
    cloud.add_volume('v3', None)
    attachment.resource_id = 'v2'
    if does == 'goes_back':
        updated(attachment)
    elif does == 'goes_on':
        updated(attachment, volume='v3')
    else:
        attachment.stands_for_nothing = lambda: False
        given = attachment.handle_delete()
        assert any(attachment.check_delete_complete(given) for _ in range(20))
    holders = {v: cloud.holder(v) for v in ('v1', 'v2', 'v3')}
    wanted = {'goes_back': 'v1', 'goes_on': 'v3'}.get(does)
    assert holders == {v: 'old' if v == wanted else None for v in holders}


def test_nothing_is_taken_for_attached_before_others_that_attach_it_are_done(cloud, attachment):
    cloud.add_volume('v1', 'new')
    answers = [(False, {'new'}), (False, {'new'}), (True, {'new'})]
    attachment.take_over = lambda: answers.pop(0)
    handoff = attachment._handoff_to('new')
    assert not attachment._advance(handoff) and not attachment._advance(handoff)
    assert attachment._advance(handoff) and not answers


def test_a_volume_is_taken_from_the_server_of_the_attachment_that_leaves(cloud, attachment):
    cloud.add_volume('v1', 'of-the-other')
    attachment.take_over = lambda: (True, {'of-the-other'})
    carried(attachment, attachment._handoff_to('new'))
    assert cloud.holder('v1') == 'new' and not cloud.violations


def test_what_the_quick_path_has_moved_already_is_asked_for_no_more(cloud, attachment):
    cloud.add_volume('v1', 'new')
    assert carried(attachment, attachment._handoff_to('new')) == 0
    assert cloud.requests == []


def test_a_deletion_frees_the_volume_and_leaves_it_where_somebody_else_took_it(cloud, attachment):
    carried(attachment, attachment._handoff_to(None))
    assert cloud.holder('v1') is None
    cloud.add_volume('v1', 'foreign')
    assert carried(attachment, attachment._handoff_to(None)) == 0
    assert cloud.holder('v1') == 'foreign'


def test_a_refusal_is_borne_for_a_while_and_then_named(cloud, attachment, monkeypatch):
    cloud.add_volume('v1', None)
    cloud.refusals = 2
    carried(attachment, attachment._handoff_to('new'))
    monkeypatch.setattr(retry, 'REFUSED_FOR', 0.0)
    cloud.add_volume('v1', None)
    cloud.refusals = 1
    with pytest.raises(exception.ResourceInError, match='already attached'):
        carried(attachment, attachment._handoff_to('new'))


# S1
def test_a_volume_that_is_free_because_nova_deleted_alone_waits_for_the_host(
    cloud, attachment, monkeypatch
):
    cloud.let_die('old')
    cloud.owner_deletes('old')
    handoff = attachment._handoff_to('new')
    assert not any(attachment._advance(handoff) for _ in range(20))
    handoff.deadline = 1.0
    with pytest.raises(exception.ResourceInError, match=r'does not answer.*set --down'):
        attachment._advance(handoff)
    assert cloud.requests == []
    cloud.confirm()
    carried(attachment, attachment._handoff_to('new'))
    assert cloud.holder('v1') == 'new' and not cloud.violations


def test_a_free_volume_is_not_given_out_while_the_host_of_who_was_active_once_is_silent(
    cloud, attachment
):
    """A group that was parked: no attachment names who had the volume, the policy's record does."""
    cloud.let_die('old')
    cloud.owner_deletes('old')
    attachment.values_of = lambda _name: {'new'}
    attachment.left_with = lambda: frozenset({'old'})
    handoff = attachment._handoff_to('new')
    assert not any(attachment._advance(handoff) for _ in range(20))
    assert cloud.requests == []
    cloud.confirm()
    carried(attachment, attachment._handoff_to('new'))
    assert cloud.holder('v1') == 'new' and not cloud.violations


def test_who_just_gave_the_volume_up_on_request_is_not_asked_for(cloud, attachment, monkeypatch):
    monkeypatch.setattr(former_holders, 'look', None)
    carried(attachment, attachment._handoff_to('new'))
    assert cloud.holder('v1') == 'new'
