# SPDX-License-Identifier: Apache-2.0
"""Writes of a resource's data in Heat's own database: what is late does not go over what is new."""

import pytest
from heat.db import api as db_api
from heat.db import models

from heat_ha.cloud import compare_and_set, lease, resource_data
from tests.plugin import scaling

pytestmark = pytest.mark.engine

KEY = 'ha_test'


@pytest.fixture
def group(engine):
    stack = engine.create(scaling.template())
    found = engine.stack(stack)
    group = found['group']
    group._ha_stack = found
    return group


def there(group):
    return resource_data.fresh(group).get(KEY)


@pytest.fixture
def lock(group):
    with lease.Lock(group.context, group.resource_id) as held:
        yield held


@pytest.mark.parametrize('is_locked', [False, True])
def test_an_entry_is_made_changed_and_taken_away_by_who_knows_it(group, lock, is_locked):
    held = lock if is_locked else None
    assert compare_and_set.swap(group, KEY, None, 'a', held) and there(group) == 'a'
    assert not compare_and_set.swap(group, KEY, None, 'b', held) and there(group) == 'a'
    assert compare_and_set.swap(group, KEY, 'a', 'b', held) and there(group) == 'b'
    assert compare_and_set.swap(group, KEY, 'b', 'b', held) and there(group) == 'b'
    assert not compare_and_set.swap(group, KEY, 'a', 'c', held) and there(group) == 'b'
    assert not compare_and_set.swap(group, KEY, 'B', 'c', held) and there(group) == 'b'
    assert not compare_and_set.swap(group, KEY, 'a', None, held) and there(group) == 'b'
    assert compare_and_set.swap(group, KEY, 'b', None, held) and there(group) is None
    assert compare_and_set.swap(group, KEY, None, None, held) and there(group) is None


def give_back(_group, lock):
    lock.release()


def lose_to_another_engine(group, lock):
    with db_api.get_engine().begin() as connection:
        table = models.StackLock.__table__
        connection.execute(table.update().values(engine_id='another'))


def lose_to_another_thread(group, lock):
    lock.release()
    other = lease.Lock(group.context, group.resource_id)
    other.acquire()
    group.other = other


@pytest.mark.parametrize('before', [None, 'a'])
@pytest.mark.parametrize('lose', [give_back, lose_to_another_engine, lose_to_another_thread])
def test_who_lost_the_lock_writes_nothing(group, lock, before, lose):
    if before is not None:
        group.data_set(KEY, before)
    lose(group, lock)
    assert not compare_and_set.swap(group, KEY, before, 'late', lock)
    assert not compare_and_set.swap(group, KEY, before, None, lock) or before is None
    assert there(group) == before


def test_all_entries_of_one_text_go_and_those_of_another_stay(group):
    table = models.ResourceData.__table__
    with db_api.get_engine().begin() as connection:
        for text in ('a', 'a', 'b'):
            connection.execute(
                table.insert().values(resource_id=group.id, key=KEY, value=text, redact=False)
            )
    assert compare_and_set.swap(group, KEY, 'a', None)
    assert there(group) == 'b'
    assert compare_and_set.swap(group, KEY, 'b', None) and there(group) is None


def test_a_long_record_is_written_whole(group):
    text = '{"name":"\\u00e4%s"}' % ('x' * 59_000)
    assert compare_and_set.swap(group, KEY, None, text)
    assert compare_and_set.swap(group, KEY, text, text + ' ')
    assert there(group) == text + ' '
