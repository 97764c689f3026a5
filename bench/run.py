# SPDX-License-Identifier: Apache-2.0
"""Run benchmarks by name: ``python -m bench.run [NAME…] [options]``.

Each ends with one line of JSON on stdout; tables are on stdout before it, progress on stderr.
"""

import argparse
import importlib
import json
import pkgutil
import signal
import sys
from types import ModuleType

import rich.console

import bench
from lab.client import access

# Wide enough for the tables where there is no terminal to ask.
WIDTH = 110


def benchmarks() -> dict[str, ModuleType]:
    """The modules of this folder that are benchmarks, by name."""
    names = [m.name for m in pkgutil.iter_modules(bench.__path__) if m.name != 'run']
    found = {
        name.replace('_', '-'): importlib.import_module(f'bench.{name}') for name in sorted(names)
    }
    return {name: m for name, m in found.items() if hasattr(m, 'add_options')}


def main() -> int:
    """Run what the command line names and return the exit code."""
    known = benchmarks()
    parser = argparse.ArgumentParser(prog='python -m bench.run', description=__doc__)
    parser.add_argument('names', nargs='*', metavar='NAME', help=', '.join(known))
    for module in known.values():
        module.add_options(parser)
    options = parser.parse_args()
    unknown = set(options.names) - set(known)
    if unknown:
        parser.error(f'there is no {", ".join(sorted(unknown))}; there is {", ".join(known)}')
    has_real = (access.LAB / 'env.json').exists() and 'real' in access.environment()
    # A benchmark is of one kind of lab: the plain one, or the one with real guests.
    fitting = [n for n, m in known.items() if getattr(m, 'NEEDS_REAL', False) == has_real]
    wanted = options.names or fitting
    needs_lab = any(getattr(known[name], 'NEEDS_LAB', True) for name in wanted)
    if needs_lab and not (access.LAB / 'env.json').exists():
        print('There is no lab to measure on. Start it: make lab-one', file=sys.stderr)
        return 2
    # A benchmark that is terminated cleans up as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = rich.console.Console()
    if not console.is_terminal:
        console.width = WIDTH
    try:
        for name in wanted:
            figures = known[name].run(options, console)
            print(json.dumps({'bench': name} | figures), flush=True)
    except KeyboardInterrupt:
        print('\nInterrupted; what was made is deleted.', file=sys.stderr)
        return 130
    except AssertionError as exc:
        print(f'\nThe benchmark did not get to its end: {exc}', file=sys.stderr)
        return 1
    except access.NO_ANSWER as exc:
        print(f'\nThe lab does not answer (make lab-status): {exc}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
