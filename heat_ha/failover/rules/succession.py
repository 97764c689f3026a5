# SPDX-License-Identifier: Apache-2.0
"""Which resource stands for a connection when an update gives it to another one. Pure.

An update may turn a volume's attachment into something that a FailoverPolicy hands over. Heat makes
the new resource first and deletes the old one afterwards, which would take the volume away again.
So the new one takes the connection over: the old one has nothing to delete then.

Both may be anywhere in one tree of stacks, so each is described by its path: the resource itself,
the one in whose nested stack it is, and so on up to the root.
"""

import dataclasses
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Level:
    """A resource on the path from one of its parts up to the root.

    ``kind`` is the resource type that it was made with, ``wanted`` the type of that name in the
    newest template of its stack. Both are empty where they are not known, and ``wanted`` also
    where the template does not have the name any more.
    """

    stack: str
    name: str
    kind: str
    wanted: str


Path = Sequence[Level]

POLICY = 'OS::Heat::FailoverPolicy'


def is_leaving(theirs: Path, ours: Path) -> bool:
    """Whether the update that makes ``ours`` is to delete ``theirs``.

    That is so when a template does not have it any more, has another type under its name, or
    when ours is made in its place. What is not known does not count (S2).
    """
    met = _up_to_common_stack(theirs, ours)
    if met is None:
        return False
    levels, sibling = met
    if any(level.kind and level.wanted != level.kind for level in levels):
        return True
    return levels[-1].name == sibling.name


def is_plain_beside(theirs: Path, ours: Path) -> bool:
    """Whether ``ours`` is a policy's and ``theirs`` is not, in one tree of stacks.

    Both may be in the template for a while: then the policy says where the thing belongs.
    """
    if _up_to_common_stack(theirs, ours) is None:
        return False
    return _is_policys(ours) and not _is_policys(theirs)


def _is_policys(path: Path) -> bool:
    return any(level.kind == POLICY for level in path)


def _up_to_common_stack(theirs: Path, ours: Path) -> tuple[list[Level], Level] | None:
    """The levels of ``theirs`` up to the stack that both are in, and that of ``ours`` there."""
    own = {level.stack: level for level in ours}
    levels: list[Level] = []
    for level in theirs:
        levels.append(level)
        if level.stack in own:
            return levels, own[level.stack]
    return None
