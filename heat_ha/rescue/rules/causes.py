# SPDX-License-Identifier: Apache-2.0
"""The table of causes for which an attempt comes to nothing, and what may follow. Pure.

Events show a text of this table, never the error that an administrator got: such an error may
name hosts of the cloud.
"""

import dataclasses
import re
from collections.abc import Mapping

from heat_ha import exceptions
from heat_ha.rescue.model import Cause, Server
from heat_ha.rescue.rules.migrations import CLOCKS_APART


@dataclasses.dataclass(frozen=True)
class Row:
    """What an owner reads, and what may follow.

    ``counts``: it counts as an attempt, otherwise the same is asked for again later.
    ``is_hopeless``: no other attempt of this method would succeed.
    ``allows_replacing``: a method that deletes the server may be next, where the template names
    one. Not where the state may pass, or where its disks could not be opened.
    """

    text: str
    remedy: str = ''
    counts: bool = True
    is_hopeless: bool = False
    allows_replacing: bool = False


TABLE: Mapping[Cause, Row] = {
    Cause.NONE: Row('it came to nothing'),
    Cause.COULD_NOT_ASK: Row('Nova did not answer', counts=False),
    Cause.STATE: Row('Nova does not take it in the state that it has now', counts=False),
    Cause.NO_CREDENTIAL: Row(
        'not possible: heat.conf has no credential in [heat_ha_rescue]',
        'Ask the operator',
        is_hopeless=True,
        allows_replacing=True,
    ),
    Cause.FORBIDDEN: Row(
        "Nova refuses it to heat-ha's credential", 'Ask the operator', is_hopeless=True
    ),
    Cause.LOCKED: Row('it is locked', 'Unlock it, then signal again', is_hopeless=True),
    Cause.UNSUPPORTED: Row(
        'Nova cannot do that with a server of this kind',
        'See the guide of Nova about vTPM, accelerators, shares and ports with resources',
        is_hopeless=True,
        allows_replacing=True,
    ),
    Cause.NO_HOST: Row(
        'Nova found no host for it',
        'Free some capacity, or change its server group, then signal again',
    ),
    Cause.KEYS: Row(
        'the key of an encrypted disk was not given to the administrator that evacuates',
        'Let the operator grant it the keys, or start the server as its owner, then signal again',
        is_hopeless=True,
    ),
    Cause.IN_USE: Row(
        'a disk of it is in use by something else',
        'Ask the operator whether it runs anywhere, then signal again',
    ),
    Cause.SERVICE: Row(
        'a service that Nova needs did not do its part',
        'Signal again once the operator says that it works',
    ),
    Cause.BUILD: Row(
        'the host cannot run it as it is',
        'Look at the fault of the server',
        allows_replacing=True,
    ),
    Cause.REFUSED: Row('Nova refused it', 'Ask the operator'),
    Cause.LATE: Row('it was not done in time', allows_replacing=True),
    Cause.HEAT: Row('Heat did not do it', allows_replacing=True),
    Cause.UNEXPECTED: Row(
        'it failed for a reason that is not known here',
        'Look at the fault of the server, or ask the operator, who finds more in the log',
    ),
}


class Unsuccessful(exceptions.HaError):
    """An attempt came to nothing, for a cause of the table."""

    def __init__(self, cause: Cause) -> None:
        self.cause = cause
        super().__init__(in_words(cause))


def in_words(cause: Cause) -> str:
    """The text and the remedy of a cause."""
    row = TABLE[cause]
    return f'{row.text}. {row.remedy}' if row.remedy else row.text


def follows(cause: Cause) -> str:
    """What is done after an attempt came to nothing for a cause, for the guide."""
    row = TABLE[cause]
    if not row.counts:
        return 'the same again later, for hours; then a person'
    first = 'the next method' if row.is_hopeless else 'the next attempt, then the next method'
    return first if row.allows_replacing else f'{first}, but none that deletes the server'


_STATE = re.compile(r'vm_state|task_state|invalid state|still in use', re.I)
# Only what Nova says of kinds of servers. After other refusals with such words, for a release that
# is too old or a request of a wrong form, deleting the server would be no help.
_KIND = re.compile(
    r'operation .{1,40} not supported for|not supported with (instances|ports) that have'
    r'|not supported when remote-managed ports|(instance|server)? ?evacuate is not supported',
    re.I,
)
# Another process has the disk: perhaps the guest itself, alive.
_IN_USE = re.compile(
    r'another process using|(write|exclusive|shared)"? lock|has watchers|imagebusy'
    r'|resource busy|already (in use|exists|attached|locked)|still in use|instanceexists',
    re.I,
)
# What other services did not do, and may do later.
_SERVICE = re.compile(
    r'time(d |d-)?-? ?out|unavailable|unreachable|connect(ion|failure|timeout)|error connecting'
    r'|messaging|remoteerror|dberror|deadlock|binding failed|virtual interface'
    r'|allocate the network|keystone|unauthorized|not authorized|permission denied'
    r'|operation not permitted|gateway|quota|overlimit|no space left',
    re.I,
)
_KEYS = re.compile(
    r'key(?!stone)|secret|barbican|castellan|crypt|luks|forbidden|managedobject', re.I
)
_NO_HOST = re.compile(
    r'no valid host|not enough|affinity|server group|insufficient|exhausted', re.I
)

# What the server is made of does not fit the host: its CPU, its machine type, its image.
_BUILD = re.compile(
    r'unacceptable cpu|invalid ?cpu ?info|cpu is incompatible|guest cpu (doesn.t|does not) match'
    r'|unsupported configuration|machine type'
    r'|image \S+ (could not be found|is unacceptable)|imagenotfound|imageunacceptable',
    re.I,
)

# In this order. One that none of them fits may be of a disk, or may pass.
_FAULTS = (
    (Cause.NO_HOST, _NO_HOST),
    (Cause.UNSUPPORTED, _KIND),
    (Cause.IN_USE, _IN_USE),
    (Cause.KEYS, _KEYS),
    (Cause.SERVICE, _SERVICE),
    (Cause.BUILD, _BUILD),
)


def of_answer(code: int, text: str) -> Cause:
    """The cause for which Nova did not accept a request.

    :param code: of the HTTP answer, 0 for none.
    """
    if code == 403:
        return Cause.FORBIDDEN
    if code == 409 and 'is locked' in text:
        return Cause.LOCKED
    if code in (404, 409, 400) and _KIND.search(text) and not _STATE.search(text):
        return Cause.UNSUPPORTED
    # A token that Nova could not verify in time, or whose key has just changed, is one of a moment.
    if code in (401, 408, 413):
        return Cause.COULD_NOT_ASK
    if code in (404, 409, 429) or (code == 400 and _STATE.search(text)):
        return Cause.STATE
    return Cause.REFUSED if 400 <= code < 500 else Cause.COULD_NOT_ASK


def of_fault(server: Server, since: float) -> Cause:
    """The cause for which an evacuation that Nova had accepted came to nothing.

    A server that is not in error was not touched: the host that Nova chose did not take it.

    :param since: when it began (Unix time). An older fault tells nothing about it.
    """
    if state_is_error(server):
        if 0 < server.fault_at < since - CLOCKS_APART:
            return Cause.NONE
        for cause, words in _FAULTS:
            if words.search(server.fault):
                return cause
        return Cause.UNEXPECTED if server.fault else Cause.NONE
    return Cause.NO_HOST


def state_is_error(server: Server) -> bool:
    """Whether Nova shows the server in error."""
    return server.status.value == 'ERROR'


def of_exception(exc: BaseException) -> Cause:
    """The cause that an error stands for."""
    if isinstance(exc, Unsuccessful):
        return exc.cause
    if isinstance(exc, (exceptions.CouldNotAsk, exceptions.TryAgain)):
        return Cause.COULD_NOT_ASK
    return Cause.HEAT if isinstance(exc, exceptions.HaError) else Cause.UNEXPECTED
