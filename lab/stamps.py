# SPDX-License-Identifier: Apache-2.0
"""Marks that a step is wholly done. A step without its mark is done again, from its beginning."""

import hashlib
import pathlib
from collections.abc import Iterable


def digest(*parts: str | pathlib.Path) -> str:
    """Return a short hash of texts and of the contents of files."""
    total = hashlib.sha256()
    for part in parts:
        data = part.read_bytes() if isinstance(part, pathlib.Path) else part.encode()
        total.update(len(data).to_bytes(8, 'big') + data)
    return total.hexdigest()[:16]


def is_set(folder: pathlib.Path, name: str, value: str = '') -> bool:
    """Tell whether a step was completed, with the same inputs."""
    try:
        return (folder / name).read_text() == value
    except OSError:
        return False


def put(folder: pathlib.Path, name: str, value: str = '') -> None:
    """Mark a step as done."""
    folder.mkdir(parents=True, exist_ok=True)
    half_written = folder / f'.{name}'
    half_written.write_text(value)
    half_written.rename(folder / name)


def drop(folder: pathlib.Path, names: Iterable[str]) -> None:
    """Take marks away."""
    for name in names:
        (folder / name).unlink(missing_ok=True)
