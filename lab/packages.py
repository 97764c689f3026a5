# SPDX-License-Identifier: Apache-2.0
"""Get what the lab runs: Debian packages, and one virtual environment for all of OpenStack."""

import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence

from lab import layout, problems, stamps
from lab.progress import Progress

# A program that the package brings, and the package.
_DEBIAN = {
    '/usr/sbin/mariadbd': 'mariadb-server',
    '/usr/lib/rabbitmq/bin/rabbitmq-server': 'rabbitmq-server',
    '/usr/bin/memcached': 'memcached',
    # A power control that is none, and the program with which it is spoken to: for tests.
    '/usr/bin/ipmi_sim': 'openipmi',
    '/usr/bin/ipmitool': 'ipmitool',
    # A sender of alerts, for tests too.
    '/usr/bin/prometheus-alertmanager': 'prometheus-alertmanager',
}
_GROUPS = ('core', 'clients', 'heat-ha', 'tests')
_POLICY = pathlib.Path('/usr/sbin/policy-rc.d')
_OUR_POLICY = '#!/bin/sh\n# The heat-ha lab installs packages: nothing is started.\nexit 101\n'
# The environment has 0.8 GB, the databases of two regions 0.3 GB, and logs grow.
_WANTED_FREE_GIB = 3


def install(progress: Progress) -> None:
    """Bring Debian packages and the environment up to date; quick when they are."""
    free = shutil.disk_usage(layout.LAB).free / 2**30
    if free < 0.5 or (free < _WANTED_FREE_GIB and not layout.VENV.exists()):
        raise problems.Problem(
            f'only {free:.1f} GiB of disk are free at {layout.LAB}',
            f'free some: the lab needs {_WANTED_FREE_GIB} GiB',
        )
    install_debian(progress, _missing_debian_packages())
    wanted = _wanted_environment()
    is_there = (layout.VENV / 'bin' / 'python').exists()
    if not (is_there and stamps.is_set(layout.STAMPS, 'venv', wanted)):
        with progress.phase('Python environment (one, for all services)'):
            _make_environment(progress)
        stamps.put(layout.STAMPS, 'venv', wanted)


def install_debian(progress: Progress, missing: list[str]) -> None:
    """Install these Debian packages; nothing when there are none."""
    if missing:
        with progress.phase(f'Debian packages: {" ".join(missing)}'):
            _install_debian(missing)


def uv(arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
    """Run uv against the lab's environment.

    :raises problems.Problem: with the end of what uv said.
    """
    program = layout.BOOTSTRAP / 'bin' / 'uv'
    env = {**os.environ, **_index_of_pip(), **(environment or {})}
    # Otherwise an environment that the caller has activated would be meant.
    env.pop('VIRTUAL_ENV', None)
    _run([str(program), '--no-progress', *arguments], env, 'the Python packages were refused')


def _missing_debian_packages() -> list[str]:
    missing = [name for program, name in _DEBIAN.items() if not os.path.exists(program)]
    # uwsgi is compiled on the spot.
    if not (shutil.which('cc') or shutil.which('gcc')):
        missing += ['gcc', 'libc6-dev']
    if not os.path.exists(os.path.join(sysconfig.get_paths()['include'], 'Python.h')):
        missing.append('python3-dev')
    return missing


def _install_debian(names: list[str]) -> None:
    """Install packages without their recommendations, and without starting what they bring."""
    if os.geteuid() != 0:
        raise problems.Problem(
            'Debian packages are missing and this is not root',
            f'install them by hand: apt-get install --no-install-recommends {" ".join(names)}',
        )
    env = {**os.environ, 'DEBIAN_FRONTEND': 'noninteractive'}
    install = ['apt-get', 'install', '-y', '-q', '--no-install-recommends', *names]
    # An earlier try that was killed may have left ours behind.
    ours = not _POLICY.exists() or _POLICY.read_text() == _OUR_POLICY
    if ours:
        _POLICY.write_text(_OUR_POLICY)
        _POLICY.chmod(0o755)
    try:
        if subprocess.run(install, env=env, capture_output=True).returncode:
            # The machine's lists are old or were never fetched.
            _run(['apt-get', 'update', '-q'], env, 'the package lists could not be fetched')
            _run(install, env, 'a Debian package was refused')
    finally:
        if ours:
            _POLICY.unlink()


def _wanted_environment() -> str:
    """Return the hash of what decides what is in the environment."""
    requirements, constraints = (
        layout.SOURCES / 'requirements.in',
        layout.SOURCES / 'constraints.txt',
    )
    return stamps.digest(requirements, constraints, ','.join(_GROUPS), sys.version)


def _make_environment(progress: Progress) -> None:
    """Make the environment new: one that was cut off half-way may hold anything."""
    _make_bootstrap()
    shutil.rmtree(layout.VENV, ignore_errors=True)
    base_python = os.path.realpath(getattr(sys, '_base_executable', sys.executable))
    uv(['venv', '--quiet', '--python', base_python, str(layout.VENV)])
    names = layout.TMP / 'requirements.txt'
    names.write_text('\n'.join(_requirements(_GROUPS)) + '\n')
    uv(
        [
            'pip',
            'install',
            '--quiet',
            '--compile-bytecode',
            f'--python={layout.VENV}/bin/python',
            f'--constraint={layout.SOURCES}/constraints.txt',
            f'--requirement={names}',
        ],
    )
    progress.step(f'installed in {layout.VENV.relative_to(layout.ROOT)}')


def _requirements(groups: Sequence[str]) -> list[str]:
    """Return the names of the groups in requirements.in."""
    found, group = [], ''
    for line in (layout.SOURCES / 'requirements.in').read_text().splitlines():
        if line.startswith('# group: '):
            group = line.removeprefix('# group: ').strip()
        elif line and not line.startswith('#') and group in groups:
            found.append(line)
    return found


def _make_bootstrap() -> None:
    """Put uv where no other Python of the machine sees it."""
    if (layout.BOOTSTRAP / 'bin' / 'uv').exists():
        return
    shutil.rmtree(layout.BOOTSTRAP, ignore_errors=True)
    pin = next(
        line
        for line in (layout.SOURCES / 'constraints.txt').read_text().splitlines()
        if line.startswith('uv==')
    )
    env = dict(os.environ)
    made = subprocess.run(
        [sys.executable, '-m', 'venv', str(layout.BOOTSTRAP)], capture_output=True, env=env
    )
    if made.returncode == 0:
        install = [str(layout.BOOTSTRAP / 'bin' / 'pip'), 'install', '-q', pin]
    else:
        # Debian keeps the venv module's pip apart, in python3-venv; a folder does as well.
        shutil.rmtree(layout.BOOTSTRAP, ignore_errors=True)
        target = f'--target={layout.BOOTSTRAP}'
        install = [sys.executable, '-m', 'pip', 'install', '-q', target, pin]
    _run(install, env, 'uv could not be installed')


def _index_of_pip() -> dict[str, str]:
    """Hand pip's package index on to uv, which does not read pip's settings."""
    if any(name in os.environ for name in ('UV_DEFAULT_INDEX', 'UV_INDEX_URL', 'UV_CONFIG_FILE')):
        return {}
    index = os.environ.get('PIP_INDEX_URL', '')
    if not index:
        asked = subprocess.run(
            [sys.executable, '-m', 'pip', 'config', 'get', 'global.index-url'],
            capture_output=True,
            text=True,
        )
        index = asked.stdout.strip() if asked.returncode == 0 else ''
    return {'UV_DEFAULT_INDEX': index} if index else {}


def _run(command: Sequence[str], env: Mapping[str, str], what: str) -> None:
    done = subprocess.run(command, env=dict(env), capture_output=True, text=True)
    if done.returncode:
        said = '\n'.join((done.stdout + done.stderr).splitlines()[-15:])
        raise problems.Problem(what, 'read what the installer says above; then run it again', said)
