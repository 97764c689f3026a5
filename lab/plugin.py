# SPDX-License-Identifier: Apache-2.0
"""Install heat-ha from the checkout into the lab, the way an operator would: not editable."""

import os
import shutil
import subprocess

from lab import layout, packages, problems, stamps
from lab.progress import Progress

_SETUP = layout.ROOT / 'setup.cfg'


def install(progress: Progress, force: bool = False) -> bool:
    """Install the checkout's files when they differ from what was installed last.

    Return whether something was installed.
    """
    if not _SETUP.exists():
        progress.say('heat-ha has no setup.cfg yet: the lab runs without it')
        return False
    files = _files()
    wanted = stamps.digest(*(part for name in files for part in (name, layout.ROOT / name)))
    if not force and stamps.is_set(layout.STAMPS, 'heat-ha', wanted):
        return False
    with progress.phase('heat-ha from this checkout'):
        tree = _copy(files)
        packages.uv(
            [
                'pip',
                'install',
                '--quiet',
                '--no-deps',
                '--reinstall',
                '--compile-bytecode',
                f'--python={layout.VENV}/bin/python',
                str(tree),
            ],
            # The copy has no history from which pbr could make a version and a change log.
            {'PBR_VERSION': _version()},
        )
        # Heat's engines would not start without what heat-ha imports.
        packages.uv(['pip', 'check', f'--python={layout.VENV}/bin/python'])
    stamps.put(layout.STAMPS, 'heat-ha', wanted)
    return True


def _files() -> list[str]:
    """Return what belongs to the checkout, committed or not."""
    listed = subprocess.run(
        ['git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard'],
        cwd=layout.ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode:
        raise problems.Problem("git does not list the checkout's files", details=listed.stderr)
    names = [name for name in listed.stdout.split('\0') if name]
    return sorted(name for name in names if (layout.ROOT / name).is_file())


def _copy(files: list[str]) -> str:
    """Copy the checkout: a build in place would mix in what an earlier build left behind."""
    tree = layout.TMP / 'heat-ha'
    shutil.rmtree(tree, ignore_errors=True)
    for name in files:
        target = tree / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(layout.ROOT / name, target)
    # pbr asks git which files belong to a package.
    env = {**os.environ, 'GIT_DIR': str(tree / '.git'), 'GIT_WORK_TREE': str(tree)}
    for command in (['git', 'init', '-q'], ['git', 'add', '-A', '-f']):
        subprocess.run(command, cwd=tree, env=env, check=True, capture_output=True)
    return str(tree)


def _version() -> str:
    """Return a version that sorts by time and that nobody takes for a release."""
    count = subprocess.run(
        ['git', 'rev-list', '--count', 'HEAD'], cwd=layout.ROOT, capture_output=True, text=True
    )
    return f'0.0.0.dev{count.stdout.strip() or 0}'
