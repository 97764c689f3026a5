# SPDX-License-Identifier: Apache-2.0
"""Keep a copy of the databases of an empty, ready cloud, so that the next one skips the syncs.

The copy is taken once, at the end of the first ``up``, while MariaDB is frozen for the blink that
it takes. It is what a crash at that moment would have left, from which InnoDB recovers by itself.
"""

import contextlib
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence

from lab import database, layout, ports, processes, regions, stamps
from lab.progress import Progress

# The image, the keys that made the tokens and passwords readable, and the marks of what is done.
_FOLDERS = ('mariadb', 'stamps', 'keystone', 'glance')
# InnoDB writes its log once a second here (innodb_flush_log_at_trx_commit = 0), and the kernel
# finishes writes that it has begun.
_SETTLE_SECONDS = 2.0


def key(block: ports.Ports) -> str:
    """Return the hash of what decides what is in an empty cloud's databases."""
    made_from = ('constraints.txt', 'schemas.py', 'seed.py', 'regions.py')
    return stamps.digest(str(block.base), *(layout.SOURCES / name for name in made_from))


def restore(progress: Progress, block: ports.Ports, wanted: Sequence[regions.Region]) -> None:
    """Put the copy in the place of missing databases. Does nothing when there is no copy."""
    names = [f'{key(block)}-{_suffix(which)}' for which in (regions.ALL, wanted)]
    found = [layout.GOLDEN / name for name in names if (layout.GOLDEN / name).is_dir()]
    if layout.DATABASE_DIR.exists() or not found:
        return
    with progress.phase('Databases from the golden copy'):
        # The database folder comes last: its presence means that all is there.
        for name in reversed(_FOLDERS):
            target = layout.DATA / name
            making = layout.DATA / f'{name}.making'
            shutil.rmtree(making, ignore_errors=True)
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(found[0] / name, making)
            making.rename(target)


def save(progress: Progress, block: ports.Ports, wanted: Sequence[regions.Region]) -> None:
    """Copy the databases, if nobody has used the cloud yet."""
    target = layout.GOLDEN / f'{key(block)}-{_suffix(wanted)}'
    if target.exists() or _is_used(wanted):
        return
    making = layout.GOLDEN / 'making'
    with progress.phase('Golden copy of the databases'):
        shutil.rmtree(layout.GOLDEN, ignore_errors=True)
        with _still_database():
            for name in _FOLDERS:
                shutil.copytree(layout.DATA / name, making / name)
        making.rename(target)


def _suffix(wanted: Sequence[regions.Region]) -> str:
    return '-'.join(region.key for region in wanted)


def _is_used(wanted: Sequence[regions.Region]) -> bool:
    """Tell whether there ever was a stack, a server or a volume."""
    tables = ('heat_{}.stack', 'nova_{}.instances', 'cinder_{}.volumes')
    names = [table.format(region.key) for region in wanted for table in tables]
    return any(database.query(f'SELECT 1 FROM {name} LIMIT 1') for name in names)


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
