# SPDX-License-Identifier: Apache-2.0
"""How long a stack in many regions takes, and how much is said to the regions for it.

Three contenders make the same small stack in each of R regions, whose resources take some
seconds: bare API calls, one to each region, all at once; one RemoteStack; and stock Heat with R
resources of OS::Heat::Stack in one parent. All regions but two are further names in the
catalogue for the lab's two Heats, and each has a proxy before it that counts requests and bytes.
Then RemoteStack and stock Heat are updated with nothing new, and with a new parameter; and while
the regions work for more than a minute, what is asked of them meanwhile is counted.
"""

import argparse
import concurrent.futures
import contextlib
import dataclasses
import os
import pathlib
import statistics
import tempfile
import textwrap
import time
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import rich.console
import rich.table

from lab.client import access, regions, stacks, waiting

# At most this many times the slowest region's time, beside what any stack takes in Heat.
GOAL = 1.2

# Seconds that the resources take in a region.
WORK = 10

# Seconds between two looks of the bare calls at a region; RemoteStack looks as often at first.
PERIOD = 1.0

LIMIT = 400.0

Figures = dict[str, Any]

_PARENT = """
heat_template_version: 2016-10-14
parameters:
  text: {type: string, default: one}
  delay: {type: number, default: 0}
resources:
"""

_OURS = """
remote:
  type: OS::Heat::RemoteStack
  properties:
    regions: [REGIONS]
    parameters: {text: {get_param: text}, delay: {get_param: delay}}
    template: {get_file: PART}
"""

_PEER = """
remote_NUMBER:
  type: OS::Heat::Stack
  properties:
    context: {region_name: REGION}
    parameters: {text: {get_param: text}, delay: {get_param: delay}}
    template: {get_file: PART}
"""

# What a stack takes in Heat that has nothing to do.
_EMPTY = """
heat_template_version: 2016-10-14
resources:
  nothing: {type: OS::Heat::Value, properties: {value: nothing}}
"""


@dataclasses.dataclass(frozen=True)
class Count:
    """What was said to the regions."""

    requests: int
    writes: int
    kilobytes: float


class Contender:
    """One way to have a stack in each of several regions."""

    name = ''

    def __init__(self, admin: Any, count: int) -> None:
        self.fars = [
            regions.Far(admin, there=('RegionOne', 'RegionTwo')[n % 2]) for n in range(count)
        ]
        self.mark = f'bench-{self.name}-{count}-{uuid.uuid4().hex[:6]}'
        self.cloud: Any = None

    def enter(self, folder: pathlib.Path) -> None:
        """Log in, now that all regions are in the catalogue."""
        self.cloud = access.connect('demo')

    def create(self, delay: float) -> float:
        """Make the stacks. :returns: the seconds until all are complete."""
        raise NotImplementedError

    def delete(self) -> None:
        """Delete the stacks."""
        raise NotImplementedError

    def counted(self) -> Count:
        """What was said since; the count starts again here."""
        found = Count(
            sum(len(f.cut.requests) for f in self.fars),
            sum(len(f.cut.writes) for f in self.fars),
            round(sum(f.cut.bytes for f in self.fars) / 1024, 1),
        )
        for one in self.fars:
            one.cut.forget()
        return found

    def close(self) -> None:
        """Take the regions out of the catalogue."""
        for one in self.fars:
            one.close()


class Bare(Contender):
    """A request to each region, and a look at each every second."""

    name = 'bare'

    def create(self, delay: float) -> float:
        with concurrent.futures.ThreadPoolExecutor(len(self.fars)) as pool:
            made = [pool.submit(self._create_one, f.name, delay) for f in self.fars]
            return max(one.result() for one in made)

    def _ask(self, region: str, method: str, path: str, **more: Any) -> Any:
        where = {'service_type': 'orchestration', 'region_name': region}
        return self.cloud.session.request(
            path, method, endpoint_filter=where, raise_exc=False, **more
        )

    def _create_one(self, region: str, delay: float) -> float:
        name = f'{self.mark}-{region}'
        body = {
            'stack_name': name,
            'template': regions.TEMPLATE,
            'parameters': {'delay': delay},
        }
        begin = time.monotonic()
        answer = self._ask(region, 'POST', '/stacks', json=body)
        assert answer.status_code == 201, answer.text
        path = f'/stacks/{name}/{answer.json()["stack"]["id"]}?resolve_outputs=False'

        def is_done() -> bool:
            found = self._ask(region, 'GET', path).json()['stack']['stack_status']
            assert found in ('CREATE_IN_PROGRESS', 'CREATE_COMPLETE'), found
            return bool(found == 'CREATE_COMPLETE')

        waiting.until(is_done, f'{name} is complete', seconds=LIMIT, every=PERIOD)
        return time.monotonic() - begin

    def delete(self) -> None:
        for far in self.fars:
            for one in far.stacks(self.mark):
                far.tenant.orchestration.delete(f'/stacks/{one["stack_name"]}/{one["id"]}')
        for far in self.fars[:2]:
            far.wait_gone(self.mark, seconds=LIMIT)


class Parent(Contender):
    """A parent stack that has the regions' stacks in it."""

    def enter(self, folder: pathlib.Path) -> None:
        super().enter(folder)
        (folder / 'part.yaml').write_text(regions.TEMPLATE)
        path = folder / f'{self.mark}.yaml'
        path.write_text(_PARENT + textwrap.indent(self.resources(), '  '))
        self.stack = stacks.Stack(self.cloud, self.mark, path)

    def resources(self) -> str:
        """The resources of the parent, as text."""
        raise NotImplementedError

    def create(self, delay: float) -> float:
        begin = time.monotonic()
        self.stack.create({'delay': delay}, wait=False)
        self.stack.wait('CREATE', seconds=LIMIT, every=0.2)
        return time.monotonic() - begin

    def update(self, **parameters: Any) -> float:
        """Update the parent. :returns: seconds until it is complete."""
        begin = time.monotonic()
        self.stack.update(parameters, wait=False)
        self.stack.wait('UPDATE', seconds=LIMIT, every=0.2)
        return time.monotonic() - begin

    def delete(self) -> None:
        self.stack.delete(seconds=LIMIT)


class Ours(Parent):
    """One RemoteStack."""

    name = 'ours'

    def resources(self) -> str:
        names = ', '.join(f.name for f in self.fars)
        return _OURS.replace('REGIONS', names).replace('PART', 'part.yaml')


class Peer(Parent):
    """A resource of OS::Heat::Stack for each region."""

    name = 'peer'

    def resources(self) -> str:
        return ''.join(
            _PEER.replace('NUMBER', str(n)).replace('REGION', f.name).replace('PART', 'part.yaml')
            for n, f in enumerate(self.fars)
        )


# --- measuring ------------------------------------------------------------------------------


@contextlib.contextmanager
def _made(admin: Any, kinds: Sequence[type[Contender]], count: int) -> Iterator[list[Any]]:
    made: list[Contender] = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            for kind in kinds:
                made.append(kind(admin, count))
            # A catalogue is as old as its token: log in when all regions are in it.
            for one in made:
                one.enter(pathlib.Path(folder))
            yield made
        finally:
            for one in made:
                one.close()


def empty(cloud: Any) -> float:
    """Seconds that Heat takes for a stack with nothing to do."""
    stack = stacks.Stack(cloud, f'bench-empty-{uuid.uuid4().hex[:6]}', _EMPTY)
    begin = time.monotonic()
    try:
        stack.create(wait=False)
        stack.wait('CREATE', every=0.2)
        return time.monotonic() - begin
    finally:
        stack.delete()


def measure_round(admin: Any, count: int, is_reversed: bool) -> Figures:
    """Each contender once, one after the other."""
    found: Figures = {}
    kinds = [Bare, Ours, Peer]
    with _made(admin, kinds[::-1] if is_reversed else kinds, count) as made:
        for one in made:
            try:
                one.counted()
                found[f'{one.name}_s'] = one.create(WORK)
                found[f'{one.name}_create'] = one.counted()
                if isinstance(one, Parent):
                    found[f'{one.name}_no_op_s'] = one.update(delay=WORK)
                    found[f'{one.name}_no_op'] = one.counted()
                    found[f'{one.name}_update_s'] = one.update(text='two', delay=0)
                    found[f'{one.name}_update'] = one.counted()
            finally:
                one.delete()
    return found


def measure_waiting(admin: Any, count: int) -> Figures:
    """What is asked in a minute while the regions work; both contenders at once."""
    found: Figures = {}
    with _made(admin, [Ours, Peer], count) as made:
        try:
            for one in made:
                one.stack.create({'delay': 80}, wait=False)
            waiting.until(
                lambda: all(f.cut.writes for one in made for f in one.fars),
                'all regions are at work',
                seconds=LIMIT,
            )
            for one in made:
                one.counted()
            time.sleep(60)
            for one in made:
                found[f'{one.name}_minute'] = one.counted()
            for one in made:
                one.stack.wait('CREATE', seconds=LIMIT)
        finally:
            for one in made:
                one.delete()
    return found


def measure(rounds: dict[int, int], say: Any) -> dict[int, list[Figures]]:
    """All rounds for each number of regions."""
    admin = access.connect('admin')
    found: dict[int, list[Figures]] = {}
    for count, wanted in rounds.items():
        found[count] = []
        for number in range(wanted):
            figures = {'load': os.getloadavg()[0], 'empty_s': empty(access.connect('demo'))}
            figures |= measure_round(admin, count, bool(number % 2))
            say(
                f'{count} regions, round {number + 1} of {wanted}: bare {figures["bare_s"]:.1f} s, '
                f'heat-ha {figures["ours_s"]:.1f} s, stock Heat {figures["peer_s"]:.1f} s'
            )
            found[count].append(figures)
    fewest = min(found)
    say(f'{fewest} regions at work for a minute')
    found[fewest][0] |= measure_waiting(admin, fewest)
    return found


# --- reporting --------------------------------------------------------------------------------


def of_count(found: Sequence[Figures]) -> Figures:
    """The medians of one number of regions, and the goal."""
    medians: Figures = {}
    for key in found[0]:
        values = [one[key] for one in found if key in one]
        if isinstance(values[0], Count):
            medians[key] = {
                field: statistics.median(dataclasses.asdict(v)[field] for v in values)
                for field in ('requests', 'writes', 'kilobytes')
            }
        else:
            medians[key] = round(statistics.median(values), 3)
    most = GOAL * medians['bare_s'] + medians['empty_s']
    return {
        'ours_over_bare': round(medians['ours_s'] / medians['bare_s'], 3),
        'ours_over_peer': round(medians['ours_s'] / medians['peer_s'], 3),
        **medians,
        'rounds': len(found),
        'goals': {
            'ours_s': {'at_most': round(most, 3), 'holds': medians['ours_s'] <= most},
            'no_op_writes': {'at_most': 0, 'holds': medians['ours_no_op']['writes'] == 0},
        },
    }


def table(found: dict[int, Figures]) -> rich.table.Table:
    """The medians as a person reads them."""
    shown = rich.table.Table(title='one stack in R regions; requests (of them writes), kB')
    for heading in ('R', 'what', 'bare', 'heat-ha', 'stock Heat'):
        shown.add_column(heading, justify='right')
    for count, one in found.items():
        shown.add_row(str(count), 'create, s', *(f'{one[f"{n}_s"]:.1f}' for n in _NAMES))
        for what in ('create', 'no_op', 'update', 'minute'):
            if f'ours_{what}' in one:
                shown.add_row('', what, *(_said(one.get(f'{n}_{what}')) for n in _NAMES))
        shown.add_section()
    return shown


_NAMES = ('bare', 'ours', 'peer')


def _said(count: Figures | None) -> str:
    if count is None:
        return ''
    return f'{count["requests"]:.0f} ({count["writes"]:.0f}), {count["kilobytes"]:.0f} kB'


def verdicts(count: int, one: Figures) -> list[str]:
    """What the figures of one number of regions say, in sentences."""
    time_goal, writes = one['goals']['ours_s'], one['goals']['no_op_writes']
    return [
        f'{count} regions: heat-ha takes {one["ours_s"]:.1f} s, {one["ours_over_bare"]:.2f} times '
        f'the slowest region; the goal, at most {GOAL} times and what an empty stack takes '
        f'({one["empty_s"]:.1f} s), {"holds" if time_goal["holds"] else "is missed"}.',
        f'An update with nothing new sends {one["ours_no_op"]["writes"]:.0f} requests that write; '
        f'the goal, none, {"holds" if writes["holds"] else "is missed"}.',
    ]


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be chosen on the command line, or by environment variables with make."""
    parser.add_argument(
        '--rounds-regions',
        type=int,
        default=int(os.environ.get('ROUNDS', '3')),
        help='regions: how often each contender makes its stacks (ROUNDS, default 3)',
    )
    parser.add_argument(
        '--regions',
        default=os.environ.get('REGIONS', '2,20'),
        help='regions: how many there are (REGIONS, default 2,20)',
    )


def run(options: argparse.Namespace, console: rich.console.Console) -> dict[str, Any]:
    """Measure, show the table, and return the figures; those of most regions on top."""
    progress = rich.console.Console(stderr=True, highlight=False)
    counts = sorted(int(n) for n in options.regions.split(','))
    found = {
        count: of_count(rounds)
        for count, rounds in measure(
            dict.fromkeys(counts, max(options.rounds_regions, 1)), progress.print
        ).items()
    }
    console.print(table(found))
    for count, one in found.items():
        for sentence in verdicts(count, one):
            console.print(sentence, highlight=False)
    most = max(found)
    fewer = {f'with_{count}_regions': one for count, one in found.items() if count != most}
    return {'regions': most, **found[most], **fewer}
