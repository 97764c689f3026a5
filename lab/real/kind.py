# SPDX-License-Identifier: Apache-2.0
"""Which kind of lab is in the folder: the plain one, or the one with real guests.

Each kind has its data for itself, because Nova and Cinder remember hosts and pools that the other
one does not have. The data of the kind that does not run are put aside, beside those of the other.
"""

import pathlib
import shutil

from lab import layout

# There while the data in front are those of the lab with real guests.
_MARK = layout.LAB / 'with-real-guests'


def is_real() -> bool:
    """Tell whether the lab is the one with real guests."""
    return _MARK.exists()


def become(real: bool, base: int) -> None:
    """Bring the data of one kind to the front; nothing of the lab may run.

    :param base: of the lab's ports. Addresses with it are in the data.
    """
    _bring_back(base)
    if real == is_real():
        return
    if layout.DATA.exists():
        layout.DATA.rename(_aside(is_real(), base))
    if real:
        _MARK.touch()
    else:
        _MARK.unlink()
    _bring_back(base)


def _bring_back(base: int) -> None:
    """Take the data of this kind from where they were put aside, also by a change that was cut off.

    Then what is in front are folders without data.
    """
    kept = _aside(is_real(), base)
    if kept.exists():
        shutil.rmtree(layout.DATA, ignore_errors=True)
        kept.rename(layout.DATA)


def _aside(real: bool, base: int) -> pathlib.Path:
    return layout.LAB / f'data-{"real" if real else "plain"}-{base}'
