# SPDX-License-Identifier: Apache-2.0
"""Keep a copy of the databases of an empty, ready cloud, so that the next one skips the syncs.

The copy is taken once, at the end of the first ``up``, while MariaDB is frozen for the blink that
it takes. It is what a crash at that moment would have left, from which InnoDB recovers by itself.
Ceph, where the lab has it, is frozen too and recovers likewise. Each kind of lab has a copy.
"""

import contextlib
import pathlib
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence

from lab import database, layout, ports, problems, processes, regions, stamps
from lab.progress import Progress
from lab.real import kind, names

# The image, the keys that made the tokens and passwords readable, and the marks of what is done.
_FOLDERS = ('mariadb', 'stamps', 'keystone', 'glance')
# The disk of Ceph, and what Nova's hosts know of themselves.
_REAL_FOLDER = 'real'
# InnoDB writes its log once a second here (innodb_flush_log_at_trx_commit = 0), and the kernel
# finishes writes that it has begun.
_SETTLE_SECONDS = 2.0


def key(block: ports.Ports) -> str:
    """Return the hash of what decides what is in an empty cloud's databases."""
    made_from = ['constraints.txt', 'schemas.py', 'seed.py', 'regions.py']
    if kind.is_real():
        made_from += ['real/addresses.py', 'real/ceph.py', 'real/neutron.py', 'real/seeding.py']
    return stamps.digest(str(block.base), *(layout.SOURCES / name for name in made_from))


def restore(progress: Progress, block: ports.Ports, wanted: Sequence[regions.Region]) -> None:
    """Put the copy in the place of missing databases. Does nothing when there is no copy."""
    names = [f'{key(block)}-{_suffix(which)}' for which in (regions.ALL, wanted)]
    found = [layout.GOLDEN / name for name in names if (layout.GOLDEN / name).is_dir()]
    if layout.DATABASE_DIR.exists() or not found:
        return
    with progress.phase('Databases from the golden copy'):
        # The database folder comes last: its presence means that all is there.
        for name in reversed(_folders()):
            target = layout.DATA / name
            making = layout.DATA / f'{name}.making'
            shutil.rmtree(making, ignore_errors=True)
            shutil.rmtree(target, ignore_errors=True)
            _copy(found[0] / name, making)
            making.rename(target)


def save(progress: Progress, block: ports.Ports, wanted: Sequence[regions.Region]) -> None:
    """Copy the databases, if nobody has used the cloud yet."""
    target = layout.GOLDEN / f'{key(block)}-{_suffix(wanted)}'
    if target.exists() or _is_used(wanted):
        return
    making = layout.GOLDEN / 'making'
    with progress.phase('Golden copy of the databases'):
        _forget_others(_suffix(wanted))
        making.mkdir(parents=True)
        with _still_database(), _still_ceph():
            for name in _folders():
                _copy(layout.DATA / name, making / name)
        making.rename(target)


def _suffix(wanted: Sequence[regions.Region]) -> str:
    return '-'.join([region.key for region in wanted] + ['real'] * kind.is_real())


def _folders() -> tuple[str, ...]:
    return (*_FOLDERS, _REAL_FOLDER) if kind.is_real() else _FOLDERS


def _forget_others(suffix: str) -> None:
    """Remove what an earlier try has left, and all copies of this kind of lab."""
    shutil.rmtree(layout.GOLDEN / 'making', ignore_errors=True)
    is_real = suffix.endswith('-real')
    for copy in layout.GOLDEN.glob('*'):
        if copy.name.endswith('-real') == is_real:
            shutil.rmtree(copy)


def _copy(source: pathlib.Path, target: pathlib.Path) -> None:
    """Copy a folder; what is a hole in a file stays one."""
    command = ['cp', '-a', '--sparse=always', str(source), str(target)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise problems.Problem(f'{source} could not be copied', 'free some disk', done.stderr)


def _is_used(wanted: Sequence[regions.Region]) -> bool:
    """Tell whether there ever was a stack, a server or a volume."""
    tables = ('heat_{}.stack', 'nova_{}.instances', 'cinder_{}.volumes')
    names = [table.format(region.key) for region in wanted for table in tables]
    return any(database.query(f'SELECT 1 FROM {name} LIMIT 1') for name in names)


@contextlib.contextmanager
def _still_ceph() -> Iterator[None]:
    """Let Ceph write nothing, where there is one."""
    running = [name for name in names.CEPH if processes.is_alive(name)]
    try:
        for name in running:
            processes.send(name, signal.SIGSTOP)
        yield
    finally:
        for name in running:
            processes.send(name, signal.SIGCONT)


@contextlib.contextmanager
def _still_database() -> Iterator[None]:
    """Let nothing be written: no statement is under way, and the server does not run."""
    client = subprocess.Popen(
        ['mariadb', '--no-defaults', f'--socket={layout.DATABASE_SOCKET}', '--user=root', '-nN'],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert client.stdin and client.stdout
    try:
        client.stdin.write("FLUSH TABLES WITH READ LOCK; FLUSH ENGINE LOGS; SELECT 'locked';\n")
        client.stdin.flush()
        client.stdout.readline()
        time.sleep(_SETTLE_SECONDS)
        processes.send('mariadb', signal.SIGSTOP)
        yield
    finally:
        processes.send('mariadb', signal.SIGCONT)
        client.stdin.close()
        client.wait(timeout=30)
