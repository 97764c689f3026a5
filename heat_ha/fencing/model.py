# SPDX-License-Identifier: Apache-2.0
"""What a fence leaves behind, as a value that incidents keep.

It is apart from the drivers, so that rules can hold a proof and import no I/O.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Proof:
    """Why the host cannot write any more: who fenced it, how, and when that was seen (UTC)."""

    who: str
    how: str
    at: float
