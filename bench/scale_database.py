# SPDX-License-Identifier: Apache-2.0
"""A database for the benchmark ``scale``: the lab's MariaDB, one of its own, or a SQLite file."""

import contextlib
import pathlib
import shutil
import subprocess
import time
from collections.abc import Iterator

from lab import database, layout, ports, regions
from lab.client import access

NAME = 'heat_scale'

# Seconds until a MariaDB must answer.
START = 60.0


@contextlib.contextmanager
def provided(folder: pathlib.Path) -> Iterator[tuple[str, str]]:
    """A database without tables, which is gone afterwards.

    :param folder: for files; the name of a socket may have no more than 107 characters.
    :returns: SQLAlchemy's URL for it, and what it is in words.
    """
    if (access.LAB / 'env.json').exists() and database.answers():
        database.recreate(NAME)
        try:
            url = f'{regions.database_url(ports.from_environment())}/{NAME}?charset=utf8mb3'
            yield url, "the lab's MariaDB"
        finally:
            database.query(f'DROP DATABASE IF EXISTS {NAME}')
    elif shutil.which('mariadbd') and shutil.which('mariadb-install-db'):
        with _own(folder) as socket:
            yield (
                f'mysql+pymysql://root@localhost/{NAME}?unix_socket={socket}&charset=utf8mb3',
                ('a MariaDB of its own'),
            )
    else:
        yield f'sqlite:///{folder}/heat.sqlite', 'a SQLite file, since there is no MariaDB'


@contextlib.contextmanager
def _own(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """A MariaDB of its own. :returns: its socket."""
    data, socket = folder / 'mariadb', folder / 'sock'
    assert len(str(socket)) <= layout.LONGEST_SOCKET_PATH, f'{socket} is too long for a socket'
    common = ['--no-defaults', f'--datadir={data}', '--user=root']
    made = subprocess.run(
        ['mariadb-install-db', *common, '--auth-root-authentication-method=normal'],
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr[-2000:]
    with (folder / 'mariadb.log').open('wb') as log:
        process = subprocess.Popen(
            [
                'mariadbd',
                *common,
                f'--socket={socket}',
                f'--pid-file={folder}/mariadb.pid',
                '--skip-networking',
                # What is in it is made again if the machine loses its power.
                '--innodb-flush-log-at-trx-commit=0',
                '--innodb-doublewrite=0',
                '--innodb-buffer-pool-size=1G',
                '--innodb-log-file-size=256M',
                '--max-connections=600',
                '--character-set-server=utf8mb3',
            ],
            stdout=log,
            stderr=log,
        )
    try:
        _until_it_answers(process, socket)
        yield socket
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _until_it_answers(process: 'subprocess.Popen[bytes]', socket: pathlib.Path) -> None:
    create = f'CREATE DATABASE {NAME} CHARACTER SET utf8mb3'
    client = ['mariadb', '--no-defaults', f'--socket={socket}', '--user=root', '-e', create]
    deadline = time.monotonic() + START
    while subprocess.run(client, capture_output=True).returncode:
        assert process.poll() is None, 'MariaDB has ended; see mariadb.log'
        assert time.monotonic() < deadline, f'MariaDB has not answered within {START:.0f} s'
        time.sleep(0.2)
