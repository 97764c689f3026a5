# SPDX-License-Identifier: Apache-2.0
"""What a fence leaves behind, as a value that incidents keep.

Apart from the drivers, so that decisions can hold a proof without importing what does I/O.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Proof:
    """Why the host cannot write any more: who saw to it, how, and when it was seen."""

    who: str
    how: str
    at: float
