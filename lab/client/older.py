# SPDX-License-Identifier: Apache-2.0
"""Another version of heat-ha in the lab: that of an older commit of this checkout."""

import contextlib
import os
import pathlib
import subprocess
import tempfile
from collections.abc import Iterator

from lab import layout, packages, stamps
from lab.client import access, hosts

ENGINES = ('heat-engine-one-1', 'heat-engine-one-2')


def is_in_history(commit: str) -> bool:
    """Whether this checkout has the commit; a shallow clone has not."""
    command = ['git', 'cat-file', '-e', f'{commit}^{{commit}}']
    return not subprocess.run(command, cwd=access.ROOT, capture_output=True).returncode


def install(commit: str) -> None:
    """Put the heat-ha of a commit into the lab's environment and start the engines with it.

    :raises subprocess.CalledProcessError: the history of this checkout does not have the commit.
    """
    # What is installed is not the checkout's any more: the next start of the lab has to see that.
    stamps.put(layout.STAMPS, 'heat-ha', commit)
    with tempfile.TemporaryDirectory() as folder:
        _unpack(commit, pathlib.Path(folder))
        packages.uv(
            [
                'pip', 'install', '--quiet', '--no-deps', '--reinstall',
                f'--python={layout.VENV}/bin/python', folder,
            ],
            {'PBR_VERSION': '0.0.0.dev0'},
        )  # fmt: skip
    hosts.run_lab('restart', *ENGINES)


def _unpack(commit: str, folder: pathlib.Path) -> None:
    archive = subprocess.run(
        ['git', 'archive', commit], cwd=access.ROOT, check=True, capture_output=True
    )
    subprocess.run(['tar', 'x'], cwd=folder, input=archive.stdout, check=True)
    # pbr asks git which files belong to a package.
    env = {**os.environ, 'GIT_DIR': str(folder / '.git'), 'GIT_WORK_TREE': str(folder)}
    for command in (['git', 'init', '-q'], ['git', 'add', '-A', '-f']):
        subprocess.run(command, cwd=folder, env=env, check=True, capture_output=True)


@contextlib.contextmanager
def installed(commit: str) -> Iterator[None]:
    """Run the older version for the body; the checkout's is back afterwards, whatever happens."""
    install(commit)
    try:
        yield
    finally:
        newest()


def newest() -> None:
    """Kill the engines where they stand and start them with the checkout's heat-ha."""
    for engine in ENGINES:
        # One that is dead already is what is wanted.
        with contextlib.suppress(AssertionError):
            hosts.run_lab('kill', engine)
    hosts.run_lab('reload')
