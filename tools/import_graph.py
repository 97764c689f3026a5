# SPDX-License-Identifier: Apache-2.0
"""How the packages of heat_ha hang together, in figures.

``.venv/bin/python tools/import_graph.py`` counts this tree, ``--ref COMMIT`` the tree of another
commit by the same layers, so that two commits can be compared. All is counted from the imports in
the code, those for types included, and from the layers in ``pyproject.toml``. It needs grimp, which
the extra ``lint`` brings.

A room is an innermost package, or a module directly in ``heat_ha``. A floor is a level of the
longest chain of imports between the parts of ``heat_ha``, which are its packages and modules. A
climb is a move to a higher layer.
"""

import argparse
import dataclasses
import itertools
import json
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence

import grimp
import networkx
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGE = 'heat_ha'

# The modules through which an alarm to a FailoverPolicy goes, in the order of the calls: from
# Heat's call of the resource to the requests to Nova and Cinder, and to the record of the end. A
# module stands here each time that it is called; the module whose values a call returns comes
# after it, since whoever reads along has to look there.
SIGNAL = (
    'heat_ha.plugin.failover_policy',
    'heat_ha.signals',
    'heat_ha.senders.table',
    'heat_ha.failover.controller',
    'heat_ha.failover.admission',
    'heat_ha.failover.rules.arrival',
    'heat_ha.cloud.lease',
    # What is on record, and what there is to hand over.
    'heat_ha.failover.held_record',
    'heat_ha.failover.record',
    'heat_ha.failover.model',
    'heat_ha.failover.observation_builder',
    'heat_ha.failover.adapters.handoff_template',
    'heat_ha.failover.model',
    # What is seen: members, their servers, hosts and volumes.
    'heat_ha.failover.observation',
    'heat_ha.groups.adapters.members',
    'heat_ha.groups.model',
    'heat_ha.failover.observation',
    'heat_ha.cloud.nova',
    'heat_ha.cloud.model',
    'heat_ha.failover.adapters.health_check',
    'heat_ha.failover.model',
    # What follows from it.
    'heat_ha.failover.rules.decide',
    'heat_ha.failover.rules.standbys',
    'heat_ha.failover.rules.plan_builder',
    # The steps: quiesce, detach, attach, activate.
    'heat_ha.failover.executor',
    'heat_ha.failover.record',
    'heat_ha.failover.hook_runner',
    'heat_ha.failover.adapters.hook_stack',
    'heat_ha.failover.rules.hook',
    'heat_ha.failover.handoff_steps',
    'heat_ha.failover.handoff.volume',
    'heat_ha.cloud.cinder',
    'heat_ha.cloud.model',
    'heat_ha.failover.rules.volume_rules',
    'heat_ha.failover.rules.retry',
    'heat_ha.cloud.nova',
    'heat_ha.failover.events',
    # The steps that are Heat's: hand over, replace.
    'heat_ha.failover.heat_steps',
    'heat_ha.cloud.nested_stack',
    'heat_ha.groups.replacing',
    'heat_ha.groups.lease',
    'heat_ha.groups.adapters.members',
    'heat_ha.groups.model',
    'heat_ha.groups.rules.decide',
    'heat_ha.groups.replacement_run',
    'heat_ha.groups.intent',
    'heat_ha.groups.adapters.store',
    'heat_ha.groups.adapters.changes',
    # The end.
    'heat_ha.failover.rules.outcome',
    'heat_ha.failover.record',
)

# Where older commits had what these modules do.
FORMERLY = {
    'heat_ha.cloud.lease': 'heat_ha.cloud.heat',
    'heat_ha.cloud.model': 'heat_ha.failover.model',
    'heat_ha.cloud.nested_stack': 'heat_ha.cloud.heat',
    'heat_ha.failover.adapters.handoff_template': 'heat_ha.cloud.heat_handoff',
    'heat_ha.failover.adapters.health_check': 'heat_ha.cloud.health',
    'heat_ha.failover.adapters.hook_stack': 'heat_ha.cloud.heat_hook',
    'heat_ha.failover.controller': 'heat_ha.failover.shell',
    'heat_ha.failover.events': 'heat_ha.failover.telling',
    'heat_ha.failover.executor': 'heat_ha.failover.carry_out',
    'heat_ha.failover.handoff.volume': 'heat_ha.failover.carry_out',
    'heat_ha.failover.handoff_steps': 'heat_ha.failover.carry_out',
    'heat_ha.failover.heat_steps': 'heat_ha.failover.shell',
    'heat_ha.failover.held_record': 'heat_ha.failover.shell',
    'heat_ha.failover.hook_runner': 'heat_ha.failover.hook_run',
    'heat_ha.failover.observation': 'heat_ha.failover.observing',
    'heat_ha.failover.observation_builder': 'heat_ha.failover.shell',
    'heat_ha.failover.rules.decide': 'heat_ha.failover.decide',
    'heat_ha.failover.rules.hook': 'heat_ha.failover.hook',
    'heat_ha.failover.rules.outcome': 'heat_ha.failover.shell',
    'heat_ha.failover.rules.plan_builder': 'heat_ha.failover.decide',
    'heat_ha.failover.rules.retry': 'heat_ha.failover.carry_out',
    'heat_ha.failover.rules.standbys': 'heat_ha.failover.standbys',
    'heat_ha.failover.rules.volume_rules': 'heat_ha.failover.moves',
    'heat_ha.groups.adapters.changes': 'heat_ha.cloud.heat_group',
    'heat_ha.groups.adapters.members': 'heat_ha.cloud.heat_group',
    'heat_ha.groups.adapters.store': 'heat_ha.cloud.group_record',
    'heat_ha.groups.intent': 'heat_ha.groups.one_run',
    'heat_ha.groups.lease': 'heat_ha.groups.claiming',
    'heat_ha.groups.replacement_run': 'heat_ha.groups.one_run',
    'heat_ha.groups.rules.decide': 'heat_ha.groups.decide',
    'heat_ha.serialization': 'heat_ha.on_record',
}


@dataclasses.dataclass(frozen=True)
class Figures:
    """What is counted of one tree."""

    modules: int
    rooms: int
    cycles: tuple[str, ...]
    against: tuple[str, ...]
    floors: int
    moves: int
    climbs: int

    def line(self) -> str:
        """All figures on one line."""
        return (
            f'{self.modules} modules in {self.rooms} rooms, {len(self.cycles)} package cycles, '
            f'{len(self.against)} arrows against the layers, {self.floors} floors; '
            f'a signal: {self.moves} moves, {self.climbs} climbs'
        )


def part_of(module: str) -> str:
    """The package, or the module, directly below ``heat_ha`` that a module is in."""
    return '.'.join(module.split('.')[:2])


def room_of(module: str, graph: grimp.ImportGraph) -> str:
    """The innermost package that a module is in; itself where it is one."""
    is_package = bool(graph.find_children(module))
    return module if is_package or module.count('.') == 1 else module.rpartition('.')[0]


def layers() -> list[list[str]]:
    """The declared layers, the highest first."""
    contracts = tomllib.loads((ROOT / 'pyproject.toml').read_text())['tool']['importlinter']
    found = next(c for c in contracts['contracts'] if c['type'] == 'layers')
    return [
        [name.strip() for name in line.replace(':', '|').split('|')] for line in found['layers']
    ]


def heights(declared: Sequence[Sequence[str]]) -> dict[str, int]:
    """How high each part of ``heat_ha`` stands, also under the name that it had before."""
    found = {
        f'{PACKAGE}.{name}': len(declared) - number
        for number, line in enumerate(declared)
        for name in line
    }
    older = {part_of(old): found[part_of(new)] for new, old in FORMERLY.items()}
    return older | found


def arrows(graph: grimp.ImportGraph) -> set[tuple[str, str]]:
    """Which part imports which other one."""
    return {
        (part_of(importer), part_of(imported))
        for importer in graph.modules
        for imported in graph.find_modules_directly_imported_by(importer)
        if PACKAGE not in (importer, imported) and part_of(importer) != part_of(imported)
    }


def way(modules: Iterable[str]) -> list[str]:
    """The signal's way by the modules that a tree has."""
    known = set(modules)
    names = [module if module in known else FORMERLY.get(module, module) for module in SIGNAL]
    return [name for name, _ in itertools.groupby(names) if name in known]


def count(folder: pathlib.Path) -> Figures:
    """Count the package below a folder."""
    sys.path.insert(0, str(folder))
    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    sys.path.remove(str(folder))
    height = heights(layers())
    between = arrows(graph)
    cycles = sorted(f'{a} <-> {b}' for a, b in between if a < b and (b, a) in between)
    against = {(a, b) for a, b in between if height.get(a, 0) <= height.get(b, 0)}
    downwards = networkx.DiGraph(sorted(between - against))
    calls = way(graph.modules)
    steps = [(part_of(a), part_of(b)) for a, b in itertools.pairwise(calls)]
    moves = [(a, b) for a, b in steps if a != b]
    climbs = [(a, b) for a, b in moves if height.get(b, 0) > height.get(a, 0)]
    return Figures(
        modules=len(graph.modules),
        rooms=len({room_of(m, graph) for m in graph.modules if m != PACKAGE}),
        cycles=tuple(cycles),
        against=tuple(sorted(f'{a} -> {b}' for a, b in against)),
        floors=networkx.dag_longest_path_length(downwards) + 1,
        moves=len(moves),
        climbs=len(climbs),
    )


def count_at(ref: str) -> Figures:
    """Count the tree of a commit."""
    command = ['git', 'archive', ref, PACKAGE]
    packed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(['tar', '-x', '-C', folder], input=packed, check=True)
        return count(pathlib.Path(folder))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures of this tree, or of a commit's."""
    parser = argparse.ArgumentParser(description='Count how the packages of heat_ha hang together.')
    parser.add_argument('--ref', metavar='COMMIT', help='count the tree of this commit instead')
    parser.add_argument('--verbose', action='store_true', help='name the cycles and arrows')
    options = parser.parse_args(arguments)
    figures = count_at(options.ref) if options.ref else count(ROOT)
    print(f'{options.ref or "this tree"}: {figures.line()}')
    if options.verbose:
        print(json.dumps(dataclasses.asdict(figures), indent=2))
    return 0


if __name__ == '__main__':
    sys.exit(main())
