# SPDX-License-Identifier: Apache-2.0
"""What became of the guests' records, seen from outside: on the volume, beside the consoles.

``records`` and ``consoles`` read what the guests wrote (the format is described in
``lab/real/guest/files/recorder.c``), ``report`` decides what is wrong with it, ``images`` fetches
the bytes. By hand: ``python -m lab.real.checker --help``.
"""
