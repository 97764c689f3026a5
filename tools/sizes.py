# SPDX-License-Identifier: Apache-2.0
"""The longest functions, classes and modules of some folders, and whether they keep to the limits.

A function that long holds a second idea, which deserves a name. ``make lint`` runs it with
``--limit``. By hand::

    python tools/sizes.py                         # of heat_ha
    python tools/sizes.py --limit lab bench       # an exit code of 1 when something is above
"""

import argparse
import ast
import collections.abc
import dataclasses
import pathlib
import sys

ROOT = pathlib.Path(__file__).parents[1]

# Lines, with docstrings, comments and blank lines, without decorators.
LIMITS = {'function': 60, 'class': 250, 'module': 500}

SHOWN = 10


@dataclasses.dataclass(frozen=True)
class Measured:
    """One function, class or module, and how many lines it has."""

    kind: str
    lines: int
    where: str

    @property
    def above_limit(self) -> bool:
        """Whether it is longer than its kind may be."""
        return self.lines > LIMITS[self.kind]


def measure(path: pathlib.Path, name: str) -> list[Measured]:
    """List what is in the module at ``path``, which is itself the first; ``name`` is shown."""
    source = path.read_text()
    found = [Measured('module', len(source.splitlines()), name)]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            kind = 'function'
        elif isinstance(node, ast.ClassDef):
            kind = 'class'
        else:
            continue
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        found.append(Measured(kind, lines, f'{name}:{node.lineno} {node.name}'))
    return found


def measure_all(folders: collections.abc.Iterable[str], root: pathlib.Path) -> list[Measured]:
    """List what is in all modules below ``folders``, relative to ``root``, the longest first."""
    found = [
        measured
        for folder in folders
        for path in sorted((root / folder).rglob('*.py'))
        for measured in measure(path, str(path.relative_to(root)))
    ]
    return sorted(found, key=lambda measured: -measured.lines)


def main(arguments: list[str] | None = None, root: pathlib.Path = ROOT) -> int:
    """Print them; return 1 when the limits are asked for and something is above one."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('folders', nargs='*', default=['heat_ha'])
    parser.add_argument('--limit', action='store_true', help='print only what is above a limit')
    options = parser.parse_args(arguments)
    found = measure_all(options.folders, root)
    above = [measured for measured in found if measured.above_limit]
    for kind, limit in LIMITS.items():
        of_kind = [measured for measured in found if measured.kind == kind]
        shown = above if options.limit else of_kind[:SHOWN]
        for measured in shown:
            if measured.kind == kind:
                print(f'{measured.lines:5} of {limit} lines: {kind} {measured.where}')
    return 1 if options.limit and above else 0


if __name__ == '__main__':
    sys.exit(main())
