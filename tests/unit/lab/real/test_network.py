# SPDX-License-Identifier: Apache-2.0
from lab.real import network
from lab.real.addresses import HOSTS, Link, Plan

PLAN = Plan(27000)


def test_a_namespace_is_added_before_anything_is_put_into_it():
    commands = network.middle_commands(PLAN)
    for host in HOSTS:
        commands += network.host_commands(PLAN, host)
    added = set()
    for command in commands:
        named = {word for word in command if word in PLAN.namespaces}
        if command[:2] == ('netns', 'add'):
            assert not named & added
            added |= named
        assert named <= added, command
    assert added == set(PLAN.namespaces)


def test_a_host_has_one_end_of_each_link_and_the_switch_the_other():
    commands = network.host_commands(PLAN, 'r2')
    made = [command for command in commands if 'veth' in command]
    assert [command[command.index('add') + 1] for command in made] == [link.value for link in Link]
    for command, link in zip(made, Link, strict=True):
        assert command[:2] == ('-n', 'lab27000-r2')
        assert command[-4:] == ('name', 'r2', 'netns', PLAN.middle(link))
        plugged = ('-n', PLAN.middle(link), 'link', 'set', 'r2', 'master', 'switch', 'up')
        assert plugged in commands


def test_the_root_namespace_has_links_to_the_storage_and_to_the_guests_only():
    in_root = [command for command in network.middle_commands(PLAN) if command[0] != '-n']
    assert [command for command in in_root if command[0] != 'netns'] == [
        (
            'link',
            'add',
            'lab27000-sto',
            *['type', 'veth', 'peer', 'root', 'netns', 'lab27000-ceph'],
        ),
        ('address', 'add', f'{PLAN.own_address(Link.STORAGE)}/24', 'dev', 'lab27000-sto'),
        ('link', 'set', 'lab27000-sto', 'up'),
        ('link', 'add', 'lab27000-out', 'type', 'veth', 'peer', 'root', 'netns', 'lab27000-out'),
        ('address', 'add', f'{PLAN.own_address(Link.GUESTS)}/24', 'dev', 'lab27000-out'),
        ('link', 'set', 'lab27000-out', 'up'),
    ]


def test_a_cut_pulls_the_switch_s_end_of_the_named_links_only(monkeypatch):
    ran = []
    monkeypatch.setattr(network, '_run', lambda commands, **_: ran.extend(commands))
    network.cut(PLAN, 'r1', [Link.STORAGE])
    assert ran == [('-n', 'lab27000-ceph', 'link', 'set', 'r1', 'down')]
    ran.clear()
    network.heal(PLAN, 'r1')
    assert ran == [('-n', PLAN.middle(link), 'link', 'set', 'r1', 'up') for link in Link]
