# SPDX-License-Identifier: Apache-2.0
"""The errors of heat-ha, distinguished by what the caller may do next.

Arguments are facts; the sentence is built here, once. The modules of ``cloud`` and the adapters
translate the errors of clients into these; the plugin modules translate these into Heat's.
"""


class HaError(Exception):
    """Root of all heat-ha errors."""


class Refused(HaError):
    """The request was not accepted and nothing changed.

    :param reason: what was wrong, naming the property or the key.
    :param remedy: what the sender can do instead.
    """

    def __init__(self, reason: str, remedy: str = '') -> None:
        self.reason = reason
        self.remedy = remedy
        super().__init__(f'{reason}. {remedy}' if remedy else reason)


class Unreadable(Refused):
    """A record of another version of heat-ha has something that this one does not understand."""

    def __init__(self, what: str, cause: str) -> None:
        super().__init__(
            f'{what} is not understood by this version of heat-ha ({cause[:150]})',
            'Bring all Heat engines and agents to the newest version in use, then try again',
        )


class TryAgain(HaError):
    """The world is busy; nothing changed. Look again after ``delay`` seconds."""

    def __init__(self, reason: str, *, delay: float = 1.0) -> None:
        self.reason = reason
        self.delay = delay
        super().__init__(reason)


class CouldNotAsk(HaError):
    """A service did not answer, so nothing is known about the thing that was asked for (S2)."""

    def __init__(self, service: str, question: str, cause: str) -> None:
        self.service = service
        self.question = question
        super().__init__(f'could not ask {service} for {question}: {cause}')


class Stopped(HaError):
    """The work stopped in a safe state and goes on after a person has acted.

    :param reason: why it stopped.
    :param remedy: what to do before the signal ``resume``.
    """

    def __init__(self, reason: str, remedy: str) -> None:
        self.reason = reason
        self.remedy = remedy
        super().__init__(f'{reason}. {remedy}')


class MayPass(Stopped):
    """A service failed in a way that may pass: the same request may succeed later."""


class SuccessorFailed(Stopped):
    """The successor cannot get what it is to take over; another one may.

    :param is_dead: its host is confirmed down: it is as sick as the old active.
    """

    def __init__(self, reason: str, remedy: str, *, is_dead: bool = False) -> None:
        self.is_dead = is_dead
        super().__init__(reason, remedy)


class StillStopped(Stopped):
    """It was tried again by itself and stopped for the same reason: that is no news."""


class LeaveOff(HaError):
    """The work ends here, and the step that raised it is neither done nor failed."""


class LostLock(LeaveOff):
    """Another engine carries the plan now; this one must not touch anything more."""

    def __init__(self) -> None:
        super().__init__('another engine carries this failover now, so there is nothing to do here')


class FencingUnconfirmed(Stopped):
    """A server may still write. Nothing goes on before its end is confirmed (S1).

    :param server: the one on the host that is to be confirmed down, '' for that of the old active.
    """

    def __init__(self, reason: str, remedy: str, server: str = '') -> None:
        self.server = server
        super().__init__(reason, remedy)
