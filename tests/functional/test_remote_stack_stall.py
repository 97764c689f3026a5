# SPDX-License-Identifier: Apache-2.0
"""The engine of a region's own Heat dies in the middle of a part: `make regions`.

What nobody there works on any more is told once more, which Heat takes up; what a living engine
works on is not harmed by that. The lab waits a minute before it believes the former.
"""

import pytest

from lab.client import database, hosts, waiting

pytestmark = [pytest.mark.regions, pytest.mark.alone]

# The only one of RegionTwo.
ENGINE = 'heat-engine-two-1'

# Seconds: the engine is up again, a minute and a half of waiting, the work itself.
LIMIT = 300


@pytest.fixture
def kill():
    """Kill the engine of the far region and start it again; it runs after the test."""

    def die():
        hosts.run_lab('kill', ENGINE)
        hosts.run_lab('start', ENGINE)

    yield die
    hosts.run_lab('start', ENGINE)


def resources(parent, far):
    """The resources of the part in the far region by name, as that region shows them."""
    (stack,) = far.stacks(parent.prefix)
    path = f'/stacks/{stack["stack_name"]}/{stack["id"]}/resources'
    found = far.tenant.orchestration.get(path).json()['resources']
    return {r['resource_name']: r for r in found}


def at_work(parent, far, action):
    """Wait until only ``thing`` is in progress there. :returns: the resources."""

    def look():
        found = far.stacks(parent.prefix) and resources(parent, far)
        if not found or found['thing']['resource_status'] != f'{action}_IN_PROGRESS':
            return None
        return found['random']['resource_status'] != 'INIT_COMPLETE' and found

    return waiting.until(look, 'the region is at work on thing')


def methods(far):
    return [w.split()[0] for w in far.cut.writes]


def rows(parent, far):
    """The names of all resources that the part has in the far region's database."""
    found = database.query(
        'SELECT name FROM heat_two.resource WHERE stack_id = %s'
        " AND NOT (action = 'DELETE' AND status = 'COMPLETE')",
        far.show(parent.prefix)['id'],
    )
    return sorted(name for (name,) in found)


def assert_nothing_is_twice(parent, far):
    waiting.until(lambda: rows(parent, far) == ['random', 'thing'], 'what was left is cleaned up')
    parent.assert_settled()


def assert_the_next_update_leaves_nothing_twice(parent, far):
    # Heat takes what died with its engine in a create for part of the template that it is
    # replaced in, and deletes it with the next one.
    assert rows(parent, far) == ['random', 'thing', 'thing']
    parent.wanted |= {'text': 'three', 'delay': 0}
    parent.stack.update(parent.wanted)
    assert_nothing_is_twice(parent, far)


def test_what_died_with_an_engine_in_a_create_is_told_once_more_and_ends(parent, far, kill):
    parent.wanted |= {'delay': 20, 'partition': {'on_unreachable': 'wait'}}
    parent.stack.create(parent.wanted, wait=False)
    before = at_work(parent, far, 'CREATE')
    kill()
    parent.stack.wait('CREATE', seconds=LIMIT)
    assert methods(far) == ['POST', 'PUT']
    assert any('sent the same again' in e for e in parent.stack.events('remote'))
    after = resources(parent, far)
    assert after['random']['physical_resource_id'] == before['random']['physical_resource_id']
    assert far.output(parent.prefix, 'text') == 'one' and not parent.of_far('still_since')
    assert_the_next_update_leaves_nothing_twice(parent, far)


def test_what_a_living_engine_works_on_for_long_is_not_made_anew(parent, far):
    # Alone: the other region would be told once more as well.
    parent.wanted |= {'regions': [far.name], 'delay': 120}
    parent.stack.create(parent.wanted, wait=False)
    before = at_work(parent, far, 'CREATE')
    parent.stack.wait('CREATE', seconds=LIMIT)
    assert methods(far) == ['POST', 'PUT']
    after = resources(parent, far)
    assert {n: r['physical_resource_id'] for n, r in after.items()} == {
        n: r['physical_resource_id'] for n, r in before.items()
    }
    assert_nothing_is_twice(parent, far)


def test_what_was_being_changed_in_place_waits_for_a_person(parent, far, kill):
    parent.create(partition={'on_unreachable': 'wait'})
    random = far.output(parent.prefix, 'random')
    far.cut.forget()
    parent.wanted |= {'text': 'two', 'delay': 20}
    parent.stack.update(parent.wanted, wait=False)
    at_work(parent, far, 'UPDATE')
    kill()
    waiting.until(
        lambda: 'could be replaced' in parent.of_far('reason'),
        'it says what stands still',
        seconds=LIMIT,
        every=2,
    )
    assert 'thing is UPDATE_IN_PROGRESS' in parent.of_far('reason') and 'force' in parent.of_far(
        'reason'
    )
    assert parent.of_far('still_since') and methods(far) == ['PUT']
    assert parent.stack.show()['stack_status'] == 'UPDATE_IN_PROGRESS'
    parent.stack.signal('remote', {'action': 'sync', 'region': far.name, 'force': True})
    parent.stack.wait('UPDATE', seconds=120)
    assert methods(far) == ['PUT', 'PUT']
    assert far.output(parent.prefix, 'text') == 'two'
    assert far.output(parent.prefix, 'random') == random
    assert_nothing_is_twice(parent, far)
