# SPDX-License-Identifier: Apache-2.0
"""Talk to the lab's MariaDB with Debian's client: the standard library has no driver."""

import shutil
import subprocess

from lab import layout, problems


def query(statement: str, timeout: float = 30.0) -> list[list[str]]:
    """Run SQL as root and return the rows.

    :raises problems.Problem: when the server does not answer or refuses.
    """
    command = [
        'mariadb',
        '--no-defaults',
        f'--socket={layout.DATABASE_SOCKET}',
        '--user=root',
        '--batch',
        '--skip-column-names',
    ]
    try:
        done = subprocess.run(
            command, input=statement, capture_output=True, text=True, timeout=timeout
        )
    except subprocess.TimeoutExpired as exc:
        raise problems.Problem(f'MariaDB did not answer within {timeout:.0f} s') from exc
    if done.returncode:
        raise problems.Problem(f'MariaDB refused: {done.stderr.strip()}')
    return [line.split('\t') for line in done.stdout.splitlines()]


def answers() -> bool:
    """Tell whether the server takes queries."""
    try:
        return query('SELECT 1', timeout=5) == [['1']]
    except problems.Problem:
        return False


def recreate(name: str) -> None:
    """Make a database new and empty: a schema sync that was cut off cannot be continued."""
    query(f'DROP DATABASE IF EXISTS {name}; CREATE DATABASE {name} CHARACTER SET utf8mb3')


def make_data_folder() -> None:
    """Initialise the data folder, whole or not at all."""
    if layout.DATABASE_DIR.exists():
        return
    half_made = layout.DATABASE_DIR.with_name('mariadb.making')
    shutil.rmtree(half_made, ignore_errors=True)
    done = subprocess.run(
        [
            'mariadb-install-db',
            '--no-defaults',
            f'--datadir={half_made}',
            '--user=root',
            '--auth-root-authentication-method=normal',
            '--skip-test-db',
            '--innodb-log-file-size=48M',
        ],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise problems.Problem(
            'MariaDB could not make its data folder', details=(done.stdout + done.stderr)[-2000:]
        )
    half_made.rename(layout.DATABASE_DIR)
