# SPDX-License-Identifier: Apache-2.0
"""The lab's command line: one verb each, ``python3 -m lab VERB``."""

import argparse
import contextlib
import fcntl
import functools
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence

from lab import apart, boot, layout, ports, problems, processes, regions, services, status, up
from lab.progress import Progress
from lab.real import kind, network, power
from lab.real import names as service_names
from lab.real.addresses import HOSTS, Link, Plan
from lab.service import Service


def main(arguments: Sequence[str]) -> int:
    """Carry out one verb; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        block = ports.from_environment()
        options.run(block, options)
    except problems.Problem as problem:
        print(f'\n{problem}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('\nInterrupted. Run the same command again to go on.', file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='python3 -m lab', description='A small real OpenStack.')
    verbs = parser.add_subparsers(required=True, metavar='VERB')

    def verb(name: str, run: Callable[..., None], text: str) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=text, description=text)
        added.set_defaults(run=run)
        return added

    added = verb('up', _up, 'Start the cloud; harmless when it runs.')
    added.add_argument('--region', choices=('one', 'both'), default='both')
    added.add_argument('--real', action='store_true', help='region one with real guests')
    verb('down', _down, 'Stop all of it and keep its data.')
    added = verb('status', _status, 'Show what runs.')
    added.add_argument('--json', action='store_true')
    for name, run, text in (
        ('start', _start, 'Start a service and wait until it works.'),
        ('stop', _stop, 'Ask a service to end.'),
        ('kill', _kill, 'End a service at once, as a crash would.'),
        ('freeze', _freeze, "Stop a service's processes in the middle of what they do."),
        ('thaw', _thaw, 'Let a frozen service go on.'),
        ('restart', _restart, 'Stop and start services.'),
    ):
        verb(name, run, text).add_argument('services', nargs='+', metavar='SERVICE')
    added = verb('cut', _cut, 'Cut links of a host with real guests.')
    added.add_argument('host', choices=HOSTS)
    added.add_argument(
        '--link', choices=[link.value for link in Link], help='which one; otherwise all'
    )
    added = verb('heal', _heal, 'Put all links of hosts with real guests back.')
    added.add_argument('hosts', nargs='+', metavar='HOST', choices=HOSTS)
    verb('reload', _reload, "Install heat-ha again and restart Heat's engines and APIs.")
    verb('apart', _apart, "Start Barbican, and give RegionTwo's Heat a Keystone of its own.")
    verb('together', _together, 'End what apart has begun.')
    added = verb('logs', _logs, "Show the end of a service's log.")
    added.add_argument('service', metavar='SERVICE')
    added.add_argument('--lines', type=int, default=60)
    verb('reset', _reset, 'Stop all of it and forget all data; the next up makes it new quickly.')
    verb('clean', _clean, 'Stop all of it and remove the folder .lab.')
    return parser


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Let only one command at a time change the lab."""
    layout.LAB.mkdir(exist_ok=True)
    with layout.LOCK.open('w') as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            raise problems.Problem(
                'another lab command is at work in this checkout', 'wait until it has ended'
            ) from exc
        yield


def _up(block: ports.Ports, options: argparse.Namespace) -> None:
    wanted = regions.ALL if options.region == 'both' and not options.real else (regions.ONE,)
    with _alone():
        up.run(block, wanted, real=options.real)


def _down(block: ports.Ports, _options: argparse.Namespace) -> None:
    with _alone():
        _stop_all(block)


def _stop_all(block: ports.Ports) -> None:
    """Stop the services first and what they stand on after them."""
    progress = Progress()
    layout.APART.unlink(missing_ok=True)
    table = services.table(block)
    bases = (*service_names.CEPH, 'rabbitmq', 'mariadb')
    plan = Plan(block.base)
    if network.is_there(plan):
        power.shut_down_all(plan)
    others = [service.name for service in table if service.name not in bases]
    processes.stop(others, seconds=4)
    for service in reversed(table):
        if service.name in bases:
            processes.stop([service.name], service.stop_seconds)
    if network.is_there(plan):
        network.remove(plan)
    progress.say('The lab is down; its data is kept.')


def _status(block: ports.Ports, options: argparse.Namespace) -> None:
    print(status.as_json(block) if options.json else status.as_table(block))


def _start(block: ports.Ports, options: argparse.Namespace) -> None:
    _need_installation()
    boot.start_all(Progress(), _chosen(block, options.services))


def _need_installation() -> None:
    if not layout.ENV_JSON.exists():
        raise problems.Problem('there is no lab here yet', 'make it: python3 -m lab up')


def _stop(block: ports.Ports, options: argparse.Namespace) -> None:
    for host in _hosts_among(options.services):
        power.shut_down(Plan(block.base), host)
        print(f'{host} stopped')
    for service in reversed(_chosen(block, _without_hosts(options.services))):
        processes.stop([service.name], service.stop_seconds)
        print(f'{service.name} stopped')


def _kill(block: ports.Ports, options: argparse.Namespace) -> None:
    _act(block, options.services, power.cut_off, processes.kill, 'killed')


def _freeze(block: ports.Ports, options: argparse.Namespace) -> None:
    halt = functools.partial(processes.send, number=signal.SIGSTOP)
    _act(block, options.services, power.freeze, halt, 'frozen')


def _thaw(block: ports.Ports, options: argparse.Namespace) -> None:
    go_on = functools.partial(processes.send, number=signal.SIGCONT)
    _act(block, options.services, power.thaw, go_on, 'thawed')


def _act(
    block: ports.Ports,
    names: Sequence[str],
    on_host: Callable[[Plan, str], bool],
    on_service: Callable[[str], bool],
    word: str,
) -> None:
    """Do something to whole hosts and to services, and say what was done."""
    for host in _hosts_among(names):
        _tell(host, on_host(Plan(block.base), host), word)
    for service in _chosen(block, _without_hosts(names)):
        _tell(service.name, on_service(service.name), word)


def _tell(name: str, done: bool, word: str) -> None:
    if not done:
        raise problems.Problem(f'{name} does not run', f'start it: python3 -m lab start {name}')
    print(f'{name} {word}')


def _restart(block: ports.Ports, options: argparse.Namespace) -> None:
    _need_installation()
    _stop(block, options)
    boot.start_all(Progress(), _chosen(block, options.services))


def _cut(block: ports.Ports, options: argparse.Namespace) -> None:
    _need_real_hosts()
    links = [link for link in Link if options.link in (None, link.value)]
    network.cut(Plan(block.base), options.host, links)
    print(f'{options.host} is cut from: {", ".join(link.value for link in links)}')


def _heal(block: ports.Ports, options: argparse.Namespace) -> None:
    _need_real_hosts()
    for host in options.hosts:
        network.heal(Plan(block.base), host)
        print(f'{host} has all its links')


def _need_real_hosts() -> None:
    if not kind.is_real():
        raise problems.Problem('this lab has no hosts with links', 'start one: make lab-real')


def _reload(block: ports.Ports, _options: argparse.Namespace) -> None:
    _need_installation()
    with _alone():
        up.reload(block)


def _apart(block: ports.Ports, _options: argparse.Namespace) -> None:
    _need_installation()
    with _alone():
        apart.begin(block)


def _together(block: ports.Ports, _options: argparse.Namespace) -> None:
    _need_installation()
    with _alone():
        apart.end(block)


def _logs(block: ports.Ports, options: argparse.Namespace) -> None:
    (service,) = _chosen(block, [options.service])
    print(problems.tail(layout.log_of(service.name), options.lines))


def _reset(block: ports.Ports, _options: argparse.Namespace) -> None:
    with _alone():
        _stop_all(block)
        shutil.rmtree(layout.DATA, ignore_errors=True)
    print('Removed .lab/data')


def _clean(block: ports.Ports, _options: argparse.Namespace) -> None:
    with _alone():
        _stop_all(block)
        shutil.rmtree(layout.LAB)
    print('Removed .lab')


def _hosts_among(names: Sequence[str]) -> list[str]:
    """Return which of the names are those of whole hosts with real guests."""
    return [host for host in HOSTS if host in names and kind.is_real()]


def _without_hosts(names: Sequence[str]) -> list[str]:
    return [name for name in names if name not in _hosts_among(names)]


def _chosen(block: ports.Ports, names: Sequence[str]) -> list[Service]:
    """Return the named services in the order of the table; a host's name stands for all of its."""
    wanted = set(_without_hosts(names))
    for host in _hosts_among(names):
        wanted |= set(service_names.of_host(host))
    table = services.table(block)
    unknown = wanted - {service.name for service in table}
    if unknown:
        known = '\n'.join(service.name for service in table)
        raise problems.Problem(f'there is no service {", ".join(sorted(unknown))}', details=known)
    return [service for service in table if service.name in wanted]
