# SPDX-License-Identifier: Apache-2.0
"""What engines of the version before had begun when they died is ended by those of this one.

One upgrade for all: the work of each kind is begun by engines with the older heat-ha, which are
killed in the middle of it; then engines with this one are started. So what is read is not a file
that a test keeps, but what the older code has put into Heat's database.
"""

import contextlib
import json

import pytest

from lab.client import access, database, hosts, older, storage, waiting

# The last commit before the modules and the words in the code were put in order.
BEFORE = '0ade3c5'

pytestmark = [
    pytest.mark.alone,
    pytest.mark.skipif(
        not older.is_in_history(BEFORE), reason=f'this clone does not go back to {BEFORE}'
    ),
]

FAILOVER, REPLACE = 'server_failover_policy', 'server_replace_policy'

RESCUE = """
heat_template_version: 2016-10-14
resources:
  server:
    type: OS::Nova::Server
    properties: {image: tiny, flavor: m1.tiny, networks: [{network: private}]}
  rescue:
    type: OS::Heat::RescuePolicy
    properties:
      servers: [{get_resource: server}]
      methods: [{method: evacuate}]
outputs:
  server: {value: {get_resource: server}}
"""

REMOTE = """
heat_template_version: 2016-10-14
resources:
  remote:
    type: OS::Heat::RemoteStack
    properties:
      regions: [RegionOne, RegionTwo]
      template: |
        heat_template_version: 2016-10-14
        resources:
          thing: {type: OS::Heat::RandomString}
"""


def on_record(stack, resource, prefix):
    """What Heat's database holds of ours for a resource, by key."""
    rows = database.query(
        'SELECT d.`key`, d.value FROM heat_one.resource_data d'
        ' JOIN heat_one.resource r ON r.id = d.resource_id'
        ' WHERE r.root_stack_id = %s AND r.name = %s AND d.`key` LIKE %s',
        stack.id,
        resource,
        f'{prefix}%',
    )
    return {key: json.loads(value) for key, value in rows if value.startswith('{')}


def revive(admin, host):
    """Bring a frozen host back. Nova lets it in again once it has looked at what was evacuated."""
    with contextlib.suppress(AssertionError):
        hosts.run_lab('thaw', f'nova-compute-{host}')
    hosts.run_lab('restart', f'nova-compute-{host}')
    hosts.confirm_down(admin, host, False)
    hosts.until_up(admin, host)


@pytest.fixture
def freeze(admin):
    """Freeze the host of a server, as a host does that hangs; it is back after the test."""
    frozen = []

    def die(server):
        host = hosts.host_of(admin, server)
        frozen.append(host)
        hosts.run_lab('freeze', f'nova-compute-{host}')
        return host

    yield die
    for host in frozen:
        revive(admin, host)


def begin_failover(admin, freeze, pair, active):
    """Begin a failover that waits for a fence. :returns: the frozen host of the active."""
    home = freeze(active)
    down = waiting.until(
        lambda: hosts.service_of(admin, home)['state'] == 'down', 'it is down', every=0.5
    )
    assert down and pair.post_alarm(pair.output('alarm_url')) == 200
    waiting.until(lambda: pair.attribute(FAILOVER, 'state') == 'waiting_for_fence', 'it waits')
    return home


def begin_replacement_and_rescue(admin, freeze, single, rescued, server):
    """Begin both; the engines are in the middle of them."""
    freeze(server)
    hosts.confirm_down(admin, 'c3', True)
    assert single.post_alarm(single.output('alarm_url')) == 200
    waiting.until(
        lambda: on_record(single, 'server_group', 'ha_replacement'),
        'the replacement is on record',
        every=0.05,
    )
    rescued.signal('rescue', {'action': 'rescue', 'reason': 'the host failed'})
    waiting.until(
        lambda: on_record(rescued, 'rescue', 'ha_rescue.'),
        'the rescue is on record',
        every=0.05,
    )


def assert_left_behind(pair, single, rescued, active):
    """The older engines have left work of each kind. :returns: the failover's record."""
    left = on_record(pair, FAILOVER, 'ha_record')['ha_record']
    assert left['state'] == 'waiting_for_fence' and left['plan']['old']['server'] == active
    assert on_record(single, 'server_group', 'ha_replacement')
    [progress] = on_record(rescued, 'rescue', 'ha_rescue.').values()
    assert progress['state'] not in ('done', 'failed'), progress
    return left


def assert_rescued(admin, rescued, server):
    """The server of the dead host is elsewhere."""
    waiting.until(
        lambda: rescued.attribute('rescue', 'history'), 'the rescue ended', seconds=120, every=1
    )
    [line] = rescued.attribute('rescue', 'history')
    assert line['outcome'] == 'done' and line['server'] == server
    assert hosts.host_of(admin, server) != 'c3'


def assert_replaced(single, replaced):
    """The server is another one, and nothing is left on record of the replacement."""
    waiting.until(
        lambda: (
            len(now := single.servers()) == 1
            and now != replaced
            and not on_record(single, 'server_group', 'ha_replacement')
        ),
        'the server is replaced',
        seconds=180,
        every=1,
    )


def assert_part_is_made(remote):
    """The region that was down has its part, once."""
    waiting.until(
        lambda: remote.attribute('remote', 'state')['RegionTwo'] == 'ready',
        'the region has its part',
        seconds=120,
        every=1,
    )
    parts = access.connect('demo-two').orchestration.get('/stacks').json()['stacks']
    assert len([p for p in parts if p['stack_name'].startswith(remote.name)]) == 1


def assert_failed_over(pair, tenant, active, left):
    """The failover that waited goes on, under its old plan."""
    pair.signal(FAILOVER, {'action': 'resume'})
    waiting.until(
        lambda: pair.attribute(FAILOVER, 'state') == 'ready', 'failed over', seconds=180, every=1
    )
    assert storage.holder(tenant, pair.output('volume')) == pair.output('active_server') != active
    [line] = pair.output('history')
    assert line['outcome'] == 'done' and line['plan_id'] == left['plan']['plan_id']
    assert len(pair.members('server_group')) == 2 and active not in pair.servers()


def test_work_of_each_kind_is_ended_by_the_engines_of_this_version(
    make_stack, admin, tenant, freeze, watch
):
    with older.installed(BEFORE):
        with hosts.only_on(admin, 'c1', 'c2'):
            pair = make_stack('failover_pair.yaml')
        single = make_stack('replace_oldest.yaml')
        with hosts.only_on(admin, 'c3'):
            rescued = make_stack(RESCUE)
        volume, server = pair.output('volume'), rescued.output('server')
        active, replaced = storage.holder(tenant, volume), single.servers()
        summary = watch([volume])
        # A region that does not answer gets its part later.
        hosts.run_lab('stop', 'heat-api-two')
        try:
            remote = make_stack(REMOTE)
            assert remote.attribute('remote', 'state')['RegionTwo'] == 'pending'

            home = begin_failover(admin, freeze, pair, active)
            begin_replacement_and_rescue(admin, freeze, single, rescued, server)
            for engine in older.ENGINES:
                hosts.run_lab('kill', engine)
        finally:
            hosts.run_lab('start', 'heat-api-two')
        left = assert_left_behind(pair, single, rescued, active)
        assert storage.holder(tenant, volume) == active

    # The engines are those of this checkout now.
    assert single.post_alarm(single.output('alarm_url')) == 200
    rescued.signal('rescue', {'action': 'rescue', 'reason': 'the host failed'})
    remote.signal('remote', {'action': 'sync'})
    assert_rescued(admin, rescued, server)
    assert_replaced(single, replaced)
    assert_part_is_made(remote)

    # The pair is kept apart, so its new member needs a third host.
    revive(admin, 'c3')
    hosts.confirm_down(admin, home, True)
    assert_failed_over(pair, tenant, active, left)
    assert summary()['violations'] == []
