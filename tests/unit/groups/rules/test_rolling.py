# SPDX-License-Identifier: Apache-2.0
import dataclasses
import itertools

import pytest
from heat.scaling import rolling_update

from heat_ha.groups.rules import rolling
from heat_ha.groups.rules.rolling import Batch, Member


def in_heats_order(members):
    return sorted(members, key=lambda m: (not m.is_failed, m.name))


def groups(size, actives):
    """Every group of this size: any of them outdated or failed."""
    for outdated, failed in itertools.product(
        itertools.product([False, True], repeat=size), repeat=2
    ):
        yield tuple(
            Member(name, is_outdated=o, is_failed=f, is_active=name in actives)
            for name, o, f in zip('abcd'[:size], outdated, failed, strict=True)
        )


def after(members, batch, number):
    """The members once Heat is through with the batch, and those that had to hand over."""
    by_name = {m.name: m for m in members}
    found, hit = [], []
    for name, member in by_name.items():
        is_touched = name not in batch.stay or name in batch.renew or member.is_failed
        if member.is_active and is_touched:
            hit.append(name)
            member = dataclasses.replace(member, is_active=False)
        if name in batch.stay:
            is_outdated = member.is_outdated and name not in batch.renew
            found.append(dataclasses.replace(member, is_failed=False, is_outdated=is_outdated))
    untouched = [
        m for m in members if m.name in batch.stay and m.name not in batch.renew and not m.is_failed
    ]
    found += [Member(f'new-{number}-{n}') for n in range(batch.add)]
    if hit:
        # Where nobody can take over, the policy's own update brings it to whoever is there.
        heir = next((m.name for m in untouched), None) or found[0].name
        found = [dataclasses.replace(m, is_active=m.is_active or m.name == heir) for m in found]
    return tuple(found), hit, untouched


def walk():
    for size in range(1, 5):
        for actives in ('a', 'b', 'ab'):
            if set(actives) - set('abcd'[:size]):
                continue
            for members in groups(size, actives):
                for desired, batch, least in itertools.product(
                    range(1, size + 1), range(1, size + 1), range(size + 1)
                ):
                    target = rolling.target_size(desired, size, has_active=True)
                    assert target == max(desired, min(size, 2))
                    yield members, target, batch, least


def test_every_update_comes_to_its_end_and_hands_over_to_somebody_who_is_well():
    walked = 0
    for first, target, size, least in walk():
        members, where = first, (first, target, size, least)
        for number in range(20):
            batch = rolling.next_batch(in_heats_order(members), target, size, least)
            if batch is None:
                break
            walked += 1
            is_well = {m.name for m in members if not m.is_failed}
            at_once = len(batch.renew) + batch.add
            assert at_once <= size or not batch.renew & is_well, (where, batch)
            standbys = [m for m in members if not m.is_active]
            members, hit, untouched = after(members, batch, number)
            could = any(not m.is_failed for m in standbys)
            assert not hit or untouched or not could, (where, batch)
            assert members
        else:
            raise AssertionError(f'no end: {where}')
        assert not any(m.is_outdated or m.is_failed for m in members), where
        assert len(members) == target, where
    assert walked > 100_000


def test_what_fails_between_two_batches_takes_nobody_out_of_the_update():
    """Before each batch any one member may be marked unhealthy, once."""
    for size in (2, 3):
        for members in groups(size, 'a'):
            for batch, least, moment, victim in itertools.product(
                (1, 2), (0, 1), range(4), range(size)
            ):
                now = members
                for number in range(20):
                    if number == moment and victim < len(now):
                        sick = dataclasses.replace(now[victim], is_failed=True)
                        now = (*now[:victim], sick, *now[victim + 1 :])
                    found = rolling.next_batch(in_heats_order(now), size, batch, least)
                    if found is None:
                        break
                    now, _hit, _untouched = after(now, found, number)
                assert found is None and not any(m.is_outdated for m in now)


@pytest.mark.parametrize('size', range(1, 6))
def test_the_batches_of_a_group_without_an_active_are_heats(size):
    for batch, least in itertools.product(range(1, 6), range(5)):
        members = tuple(Member(f'm{n}', is_outdated=True) for n in range(size))
        done = 0
        for number in range(20):
            if number == 0:
                planned = rolling.number_of_batches(members, size, batch, least)
            capacity = len(members)
            found = rolling.next_batch(members, size, batch, least)
            if not rolling_update.needs_update(size, capacity, done):
                assert found is None and number == planned
                break
            capacity, count = rolling_update.next_batch(size, capacity, done, batch, least)
            assert len(found.stay) + found.add == capacity
            assert len(found.renew) + found.add == count
            members, _hit, _untouched = after(members, found, number)
            done = sum(not m.is_outdated for m in members)


def test_a_standby_that_failed_with_the_new_definition_is_mended_before_the_active_is_changed():
    active = Member('a', is_outdated=True, is_active=True)
    failed = Member('b', is_failed=True)
    assert rolling.next_batch([failed, active], 2, 1, 0) == Batch(('b', 'a'), frozenset('b'))
    mended = Member('b')
    assert rolling.next_batch([active, mended], 2, 1, 0) == Batch(('a', 'b'), frozenset('a'))
