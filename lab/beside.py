# SPDX-License-Identifier: Apache-2.0
"""Python environments beside the lab's own, for programs that only a test or a benchmark needs."""

import pathlib
import shutil
import subprocess
from typing import Any

from lab import layout


def install(folder: pathlib.Path, constraints: pathlib.Path, *packages: str) -> None:
    """Make an environment in ``folder/venv`` unless it is there; quick when it is.

    :param constraints: the versions that the lab's constraints do not have.
    :raises AssertionError: with the end of what was said.
    """
    stamp = folder / 'stamp'
    wanted = '\n'.join((constraints.read_text(), *packages))
    if stamp.exists() and stamp.read_text() == wanted:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    uv = layout.ROOT / '.tools' / 'uv' / 'bin' / 'uv'
    python = folder / 'venv' / 'bin' / 'python'
    pins = ('-c', layout.SOURCES / 'constraints.txt', '-c', constraints)
    run(uv, 'venv', '-q', '--python', layout.VENV / 'bin' / 'python', folder / 'venv')
    run(uv, 'pip', 'install', '-q', '--python', python, *pins, *packages)
    stamp.write_text(wanted)


def run(*command: Any) -> None:
    """Run a program to its end. :raises AssertionError: it failed, with the end of its output."""
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, f'{command[0]}: {(done.stdout + done.stderr)[-2000:]}'
