# SPDX-License-Identifier: Apache-2.0
"""Check that ``tests/unit`` mirrors what it tests, so that a module's tests are where one looks.

``tests/unit/regions/rules/test_stall.py`` has the tests of ``heat_ha/regions/rules/stall.py``, and
``test_stall_timeouts.py`` beside it would have some of them. What is outside of ``heat_ha`` is
mirrored from the root: ``tests/unit/bench/test_rounds.py`` tests ``bench/rounds.py``.

``make lint`` runs it. It prints each file that mirrors nothing; then its exit code is 1.
"""

import pathlib
import sys

ROOT = pathlib.Path(__file__).parents[1]

# Folders whose files mirror no module, and why.
WITHOUT_MODULE = {
    'together': 'Several modules of a domain, or one of them with what is outside of this code.',
    'docs': 'What the documents say.',
}


def misplaced(root: pathlib.Path) -> list[str]:
    """List the test files below ``root``/tests/unit that mirror nothing, relative to ``root``."""
    unit = root / 'tests' / 'unit'
    return sorted(
        str(path.relative_to(root))
        for path in unit.rglob('test_*.py')
        if not _is_in_place(path.relative_to(unit), root)
    )


def _is_in_place(test: pathlib.Path, root: pathlib.Path) -> bool:
    folder = test.parent
    if folder.name in WITHOUT_MODULE:
        return True
    words = test.stem.removeprefix('test_').split('_')
    names = ['_'.join(words[:count]) for count in range(len(words), 0, -1)]
    return any(
        (root / tested / folder / f'{name}{suffix}').exists()
        for tested in ('heat_ha', '.')
        for name in names
        for suffix in ('.py', '.sh')
    )


def main(root: pathlib.Path = ROOT) -> int:
    """Print what is misplaced. :returns: the exit code."""
    found = misplaced(root)
    for path in found:
        print(f'{path} mirrors no module; see {pathlib.Path(__file__).name}')
    return 1 if found else 0


if __name__ == '__main__':
    sys.exit(main())
