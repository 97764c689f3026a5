# SPDX-License-Identifier: Apache-2.0
"""Which kind of lab the data are of: the plain one, or the one with real guests.

Each kind has its data for itself, because Nova and Cinder remember hosts and pools that the other
one does not have. The data of the kind that does not run are put aside, beside those of the other.
"""

import pathlib

from lab import layout

# It lies among the data, so that it goes with them.
_MARK = layout.DATA / 'real'


def is_real() -> bool:
    """Tell whether the lab is the one with real guests."""
    return _MARK.exists()


def become(real: bool, base: int) -> None:
    """Bring the data of one kind to the front; nothing of the lab may run.

    :param base: of the lab's ports. Addresses with it are in the data.
    """
    if real == is_real():
        return
    if layout.DATA.exists():
        layout.DATA.rename(_aside(is_real(), base))
    kept = _aside(real, base)
    if kept.exists():
        kept.rename(layout.DATA)
    layout.DATA.mkdir(exist_ok=True)
    if real:
        _MARK.mkdir(exist_ok=True)


def _aside(real: bool, base: int) -> pathlib.Path:
    return layout.LAB / f'data-{"real" if real else "plain"}-{base}'
