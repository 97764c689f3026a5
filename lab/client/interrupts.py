# SPDX-License-Identifier: Apache-2.0
"""What ends a program before its end, once: what is cleaned up then is not interrupted again."""

import os
import signal

# Ctrl-C, kill, and a terminal that is closed.
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def count_once() -> None:
    """Let each of these signals end the program as Ctrl-C does, the first time."""
    for each in _SIGNALS:
        if signal.getsignal(each) is not signal.SIG_IGN:
            signal.signal(each, _interrupt_once)


def _interrupt_once(number: int, _frame: object) -> None:
    """End as after Ctrl-C. What is done then is not interrupted once more, nor its programs."""
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    if number == signal.SIGHUP:
        # There is no terminal any more, and an error of a print would end the cleaning.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for output in (1, 2):
            os.dup2(nowhere, output)
    # What was interrupted may be a print.
    os.write(2, b'\nInterrupted. Cleaning up, which is not interrupted.\n')
    raise KeyboardInterrupt
