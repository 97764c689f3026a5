# SPDX-License-Identifier: Apache-2.0
"""What the guest takes from Debian: packages that are unpacked, not installed, and programs."""

import os
import pathlib
import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence

from lab import problems

KERNEL = 'linux-image-cloud-amd64'

_LIBRARY = re.compile(r'(/\S+) \(0x')


def run(command: Sequence[str | os.PathLike[str]], what: str, **options: object) -> str:
    """Run a program and return what it prints.

    :param what: a sentence for the case that it fails.
    :raises problems.Problem: with the end of what the program wrote to its standard error.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, **options)  # type: ignore[call-overload]
    except FileNotFoundError as exc:
        raise problems.Problem(f'{what}: there is no {exc.filename}', 'install it') from exc
    except subprocess.CalledProcessError as exc:
        raise problems.Problem(what, details=str(exc.stderr)[-2000:]) from exc
    printed: str = done.stdout
    return printed


def kernel_package() -> str:
    """Return the newest kernel's package, to which the meta package points.

    :raises problems.Problem: when the machine's package lists name none.
    """
    printed = run(['apt-cache', 'depends', KERNEL], f'{KERNEL} is not in the package lists')
    found = re.search(r'Depends: (linux-image-\S+)', printed)
    if not found:
        raise problems.Problem(f'{KERNEL} needs no kernel', 'apt-get update')
    return found[1]


def unpack(packages: Iterable[str], folder: pathlib.Path) -> pathlib.Path:
    """Download packages into ``folder`` and unpack them side by side.

    Done once for the same names: a package that is there is not looked up again.

    :returns: the root of what was in them.
    :raises problems.Problem: when one could not be had.
    """
    names = sorted(packages)
    root = folder / '-'.join(names)
    if root.exists():
        return root
    downloads, unfinished = folder / 'downloads', folder / 'unfinished'
    for each in (downloads, unfinished):
        shutil.rmtree(each, ignore_errors=True)
        each.mkdir(parents=True)
    download = ['apt-get', 'download', '-q', *names]
    try:
        run(download, 'a Debian package was refused', cwd=downloads)
    except problems.Problem:
        # The machine's lists are old, or were never fetched.
        run(['apt-get', 'update', '-q'], 'the package lists could not be fetched')
        run(download, f'Debian packages were refused: {" ".join(names)}', cwd=downloads)
    for package in downloads.glob('*.deb'):
        run(['dpkg', '-x', package, unfinished], f'{package.name} could not be unpacked')
    shutil.rmtree(downloads)
    unfinished.rename(root)
    return root


def with_libraries(program: str) -> list[pathlib.Path]:
    """List the path of a program of this machine and those of all libraries that it loads.

    :raises problems.Problem: when there is no such program.
    """
    path = shutil.which(program, path='/usr/sbin:/usr/bin:/sbin:/bin')
    if path is None:
        raise problems.Problem(f'there is no {program} on this machine', 'install it')
    printed = run(['ldd', path], f'the libraries of {program} are unknown')
    return [pathlib.Path(path), *map(pathlib.Path, _LIBRARY.findall(printed))]
