# SPDX-License-Identifier: Apache-2.0
"""Which modules of a kernel have to be loaded, in which order, from what is written in them."""

import pathlib
import re
from collections.abc import Callable, Iterable

# In a module's section .modinfo; each entry ends with a zero byte.
_DEPENDS = re.compile(rb'\0depends=([^\0]*)\0')


class Unknown(Exception):
    """The kernel has no such module, neither as a file nor built in."""


def name_of(path: str) -> str:
    """Return a module's name, in which ``-`` and ``_`` are the same, from its path."""
    return pathlib.PurePosixPath(path).name.partition('.ko')[0].replace('-', '_')


def direct_needs(content: bytes) -> list[str]:
    """List the names of the modules that a module, given as its file's content, asks for."""
    found = _DEPENDS.search(content)
    return [name for name in found[1].decode().split(',') if name] if found else []


def load_order(
    wanted: Iterable[str], needs: Callable[[str], list[str]], built_in: Iterable[str] = ()
) -> list[str]:
    """List the names to load for the modules ``wanted``: what one needs comes before it.

    :param needs: gives the names that a module asks for itself; KeyError when there is none.
    :param built_in: what the kernel has without loading it, as names or paths; it is left out.
    :raises Unknown: when the kernel has no such module.
    """
    inside = {name_of(path) for path in built_in}
    order: list[str] = []

    def add(name: str) -> None:
        name = name.replace('-', '_')
        if name in inside or name in order:
            return
        try:
            needed = needs(name)
        except KeyError as exc:
            raise Unknown(name) from exc
        for each in needed:
            add(each)
        order.append(name)

    for name in wanted:
        add(name)
    return order
