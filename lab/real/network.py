# SPDX-License-Identifier: Apache-2.0
"""Make the tier's namespaces and links, cut them and remove them.

Each link of a host ends at a switch, a bridge in a namespace in the middle. A link is cut there, as
when a cable is pulled out of the switch: the host keeps its addresses and hears nothing any more.
"""

import json
import pathlib
import subprocess
from collections.abc import Iterable, Sequence

from lab import problems
from lab.real.addresses import HOSTS, OWN_LINKS, Link, Plan

_NAMESPACES = pathlib.Path('/run/netns')
_SWITCH = 'switch'
# The state of a socket in /proc/net/tcp.
_LISTEN = '0A'

Command = tuple[str, ...]


def middle_commands(plan: Plan) -> list[Command]:
    """Return what makes the switches, the servers' addresses, and the root namespace's link."""
    found: list[Command] = []
    for link in Link:
        name = plan.middle(link)
        inside = ('-n', name)
        found += [
            ('netns', 'add', name),
            (*inside, 'link', 'set', 'lo', 'up'),
            (*inside, 'link', 'add', _SWITCH, 'type', 'bridge'),
            (*inside, 'address', 'add', f'{plan.server(link)}/24', 'dev', _SWITCH),
            (*inside, 'link', 'set', _SWITCH, 'up'),
        ]
    for link in OWN_LINKS:
        middle, own = plan.middle(link), plan.own_link(link)
        found += [
            ('link', 'add', own, 'type', 'veth', 'peer', 'root', 'netns', middle),
            ('-n', middle, 'link', 'set', 'root', 'master', _SWITCH, 'up'),
            ('address', 'add', f'{plan.own_address(link)}/24', 'dev', own),
            ('link', 'set', own, 'up'),
        ]
    return found


def host_commands(plan: Plan, host: str) -> list[Command]:
    """Return what makes a host's namespace and connects it with both switches."""
    name = plan.namespace(host)
    inside = ('-n', name)
    found: list[Command] = [
        ('netns', 'add', name),
        (*inside, 'link', 'set', 'lo', 'up'),
        (*inside, 'link', 'add', _SWITCH, 'type', 'bridge'),
        (*inside, 'link', 'set', _SWITCH, 'up'),
    ]
    for link in Link:
        own, hardware = link.value, plan.hardware(host, link)
        middle = plan.middle(link)
        peer = ('peer', 'name', host, 'netns', middle)
        found += [
            (*inside, 'link', 'add', own, 'address', hardware, 'type', 'veth', *peer),
            (*inside, *_use(plan, host, link)),
            (*inside, 'link', 'set', own, 'up'),
            ('-n', middle, 'link', 'set', host, 'master', _SWITCH, 'up'),
        ]
    return found


def _use(plan: Plan, host: str, link: Link) -> Command:
    """Return what a host does with its end of a link: the guests' is on a switch of the host."""
    if link is Link.GUESTS:
        return ('link', 'set', link.value, 'master', _SWITCH)
    return ('address', 'add', f'{plan.host(host, link)}/24', 'dev', link.value)


def make_middle(plan: Plan) -> None:
    """Make what all hosts share, new unless it is whole.

    :raises problems.Problem: when Linux refuses something, for instance without being root.
    """
    middles = [plan.middle(link) for link in Link]
    ends = all(_is_there(plan.own_link(link)) for link in OWN_LINKS)
    if ends and all((_NAMESPACES / name).exists() for name in middles):
        return
    remove(plan)
    _run(middle_commands(plan))


def plug_in(plan: Plan, host: str) -> None:
    """Give a host that has no power its namespace and its links."""
    unplug(plan, host)
    _run(host_commands(plan, host))


def unplug(plan: Plan, host: str) -> None:
    """Take a host's links and namespace away."""
    unplug_links(plan, host)
    _run([('netns', 'delete', plan.namespace(host))], may_fail=True)


def unplug_links(plan: Plan, host: str) -> None:
    """Take a host's links away: nothing that it still has to say gets out."""
    for link in Link:
        # By the switch's end, which vanishes at once. The host's end may stay for as long as a
        # connection in its namespace has something to send.
        _run([('-n', plan.middle(link), 'link', 'delete', host)], may_fail=True)


def cut(plan: Plan, host: str, links: Iterable[Link]) -> None:
    """Pull links of a host out of their switches."""
    _run([('-n', plan.middle(link), 'link', 'set', host, 'down') for link in links])


def heal(plan: Plan, host: str) -> None:
    """Put all links of a host back."""
    _run([('-n', plan.middle(link), 'link', 'set', host, 'up') for link in Link])


def cut_links(plan: Plan) -> list[tuple[str, Link]]:
    """Return the links that are cut, of all hosts."""
    found = []
    for link in Link:
        listed = _ip('-j', '-n', plan.middle(link), 'link', 'show')
        if listed.returncode:
            continue
        ends = {end['ifname']: end['flags'] for end in json.loads(listed.stdout)}
        found += [(host, link) for host in HOSTS if host in ends and 'UP' not in ends[host]]
    return found


def pids(plan: Plan, host: str) -> list[int]:
    """Return all processes in a host's namespace; none when it has no power."""
    listed = _ip('netns', 'pids', plan.namespace(host))
    return [int(line) for line in listed.stdout.split()] if listed.returncode == 0 else []


def listens(namespace: str, port: int) -> bool:
    """Tell whether somebody in a namespace listens on a port."""
    rows = _ip('netns', 'exec', namespace, 'cat', '/proc/net/tcp').stdout.splitlines()[1:]
    fields = [row.split() for row in rows]
    return any(
        field[3] == _LISTEN and int(field[1].rpartition(':')[2], 16) == port for field in fields
    )


def is_there(plan: Plan) -> bool:
    """Tell whether there is anything of the tier's network."""
    return any((_NAMESPACES / name).exists() for name in plan.namespaces)


def remove(plan: Plan) -> None:
    """Remove all namespaces and links of this lab; nothing runs in them any more."""
    for host in HOSTS:
        unplug(plan, host)
    _run([('link', 'delete', plan.own_link(link)) for link in OWN_LINKS], may_fail=True)
    for link in Link:
        _run([('netns', 'delete', plan.middle(link))], may_fail=True)


def _is_there(device: str) -> bool:
    return pathlib.Path('/sys/class/net', device).exists()


def _run(commands: Sequence[Command], *, may_fail: bool = False) -> None:
    for command in commands:
        done = _ip(*command)
        if done.returncode and not may_fail:
            raise problems.Problem(
                f'ip {" ".join(command)} was refused',
                'the tier with real guests needs root, and a kernel with namespaces, veth, bridge',
                done.stderr,
            )


def _ip(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(['ip', *command], capture_output=True, text=True)
