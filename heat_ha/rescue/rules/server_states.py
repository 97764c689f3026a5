# SPDX-License-Identifier: Apache-2.0
"""The table of Nova's server states: what is done on a host that is confirmed down. Pure.

Nova evacuates a server that is active, stopped or in error, and that it is not at work on. To all
others it answers with 409. A state that its dead host can never end is reset to error first, as an
administrator would do it by hand; Nova then evacuates the server. Where data, or the guest itself,
may be on another host, nothing is done, and a person is asked.

The page about RescuePolicy in the user guide prints both tables; a test compares them.
"""

import dataclasses
import enum
from collections.abc import Mapping

from heat_ha.cloud.model import ServerStatus
from heat_ha.rescue.model import Server


class Way(enum.Enum):
    """How a server on a host that is confirmed down is brought back."""

    EVACUATE = 'evacuated'
    RESET = 'evacuated after a reset of its state'
    FROM_VOLUME = 'evacuated after a reset if it boots from a volume, else left to a person'
    LEAVE = 'left alone'
    BUILD = 'left to whoever builds it, unless the first method replaces it'
    PERSON = 'left to a person'
    MIGRATION = 'its migration decides, see below'


class Ends(enum.Enum):
    """The state in which a rescue leaves it."""

    ACTIVE = 'ACTIVE'
    SHUTOFF = 'SHUTOFF'
    AS_BEFORE = 'as its state without the task'
    POWER = 'ACTIVE if it was running, else SHUTOFF'
    NOTHING = ''


@dataclasses.dataclass(frozen=True)
class Row:
    """What is done in one state, in which state the server ends, and why."""

    way: Way
    ends: Ends
    why: str


_REVIVED = 'its memory died with the host; it did not run, and its owner decides when it does'
_OVER = 'its owner wants it deleted'

VM_STATES: Mapping[str, Row] = {
    'active': Row(Way.EVACUATE, Ends.ACTIVE, 'it ran'),
    'stopped': Row(Way.EVACUATE, Ends.SHUTOFF, 'its owner had stopped it'),
    'error': Row(Way.EVACUATE, Ends.ACTIVE, 'Nova starts it, whatever it was before'),
    'paused': Row(Way.RESET, Ends.SHUTOFF, _REVIVED),
    'suspended': Row(Way.RESET, Ends.SHUTOFF, _REVIVED),
    'rescued': Row(Way.RESET, Ends.SHUTOFF, 'somebody was repairing its disk'),
    'resized': Row(
        Way.FROM_VOLUME, Ends.POWER, 'a local disk may be on the host that it was resized from'
    ),
    'shelved': Row(Way.LEAVE, Ends.NOTHING, 'it does not run, and is kept as an image'),
    'shelved_offloaded': Row(Way.LEAVE, Ends.NOTHING, 'it is on no host'),
    'soft-delete': Row(Way.LEAVE, Ends.NOTHING, _OVER),
    'deleted': Row(Way.LEAVE, Ends.NOTHING, _OVER),
    'building': Row(Way.BUILD, Ends.NOTHING, 'it never ran'),
}

_LOST = Row(Way.RESET, Ends.AS_BEFORE, 'the task died with the host')
_STOPPING = Row(Way.RESET, Ends.SHUTOFF, 'the task died with the host; it was about to stop')
_HALF_MOVED = Row(Way.PERSON, Ends.NOTHING, 'its disk may be on two hosts')
_HALF_BUILT = Row(Way.BUILD, Ends.NOTHING, 'it never ran')
_REBUILT = Row(Way.MIGRATION, Ends.AS_BEFORE, 'somebody evacuates or rebuilds it')
_SHELVED = Row(Way.LEAVE, Ends.NOTHING, 'its image is complete, and it does not run')
_DELETED = Row(Way.LEAVE, Ends.NOTHING, _OVER)

TASK_STATES: Mapping[str, Row] = {
    **dict.fromkeys(('scheduling', 'block_device_mapping', 'networking', 'spawning'), _HALF_BUILT),
    **dict.fromkeys(
        ('image_snapshot', 'image_snapshot_pending', 'image_pending_upload', 'image_uploading',
         'image_backup', 'updating_password', 'rebooting', 'reboot_pending', 'reboot_started',
         'rebooting_hard', 'reboot_pending_hard', 'reboot_started_hard'),
        _LOST,
    ),
    'powering-on': Row(Way.RESET, Ends.ACTIVE, 'the task died with the host; it was about to run'),
    'unpausing': Row(Way.RESET, Ends.ACTIVE, 'the task died with the host; it was about to run'),
    'resuming': Row(Way.RESET, Ends.ACTIVE, 'the task died with the host; it was about to run'),
    'unrescuing': Row(Way.RESET, Ends.ACTIVE, 'the task died with the host; it was about to run'),
    **dict.fromkeys(('powering-off', 'pausing', 'suspending', 'rescuing'), _STOPPING),
    **dict.fromkeys(('rebuilding', 'rebuild_block_device_mapping', 'rebuild_spawning'), _REBUILT),
    'migrating': Row(
        Way.MIGRATION, Ends.AS_BEFORE, 'the guest may run on the destination of a live migration'
    ),
    'resize_prep': Row(Way.RESET, Ends.AS_BEFORE, 'the task died before anything was moved'),
    **dict.fromkeys(
        ('resize_migrating', 'resize_migrated', 'resize_finish', 'resize_reverting'), _HALF_MOVED
    ),
    'resize_confirming': Row(
        Way.FROM_VOLUME, Ends.POWER, 'a local disk may be on the host that it was resized from'
    ),
    **dict.fromkeys(
        ('shelving', 'shelving_image_pending_upload', 'shelving_image_uploading'), _STOPPING
    ),
    'shelving_offloading': _SHELVED,
    'unshelving': Row(Way.PERSON, Ends.NOTHING, 'its disk is in an image that Nova was reading'),
    'restoring': Row(Way.PERSON, Ends.NOTHING, 'its owner had deleted it, and wants it back'),
    **dict.fromkeys(('deleting', 'soft-deleting'), _DELETED),
}  # fmt: skip

# What the state is where Nova does not show it, by the status that everybody sees.
_OF_STATUS = {
    'SHUTOFF': 'stopped', 'ERROR': 'error', 'BUILD': 'building', 'PAUSED': 'paused',
    'SUSPENDED': 'suspended', 'RESCUE': 'rescued', 'VERIFY_RESIZE': 'resized',
    'REVERT_RESIZE': 'resized', 'SHELVED': 'shelved', 'SHELVED_OFFLOADED': 'shelved_offloaded',
    'SOFT_DELETED': 'soft-delete', 'DELETED': 'deleted', 'ACTIVE': 'active', 'REBOOT': 'active',
    'HARD_REBOOT': 'active', 'PASSWORD': 'active', 'REBUILD': 'active', 'MIGRATING': 'active',
    'RESIZE': 'active',
}  # fmt: skip

# States that last, and in which a server can be on the host that it was evacuated to.
STABLE = frozenset({'active', 'stopped', 'paused', 'suspended', 'rescued', 'resized', 'shelved'})

# States in which a server is nobody's to rescue, wherever it is: its owner has brought it there.
TAKEN_AWAY = frozenset({'soft-delete', 'deleted', 'shelved_offloaded'})

# Nova's number for a guest that runs.
_RUNNING = 1

_BUILT_AGAIN = Row(Way.PERSON, Ends.NOTHING, 'it was built long ago, and is being built again')

_UNKNOWN = Row(Way.PERSON, Ends.NOTHING, 'this version does not know the state')


def state_of(server: Server) -> str:
    """Nova's word for the lasting state of a server, '' for one that is not known."""
    status = server.detail or server.status.value
    return server.vm_state or _OF_STATUS.get(status, '')


def row_of(server: Server) -> Row:
    """What the tables say of a server on a host that is confirmed down.

    A task goes before the state that it was begun in, unless in that state nothing is done.
    """
    state = state_of(server)
    lasting = VM_STATES.get(state, _UNKNOWN)
    if not server.task:
        return lasting
    if state in ('shelved_offloaded', 'shelved') and lasting.way is Way.LEAVE:
        # Being unshelved has the same tasks as being built.
        is_done = server.task in ('deleting', 'soft-deleting', 'shelving_offloading')
        return TASK_STATES[server.task] if is_done else TASK_STATES['unshelving']
    row = TASK_STATES.get(server.task, _UNKNOWN)
    if row is _HALF_BUILT and lasting.way in (Way.EVACUATE, Way.RESET):
        return _BUILT_AGAIN
    # A lost task changes nothing about a server of which little would be left, or whose disk may be
    # elsewhere.
    is_bound = lasting.way in (Way.LEAVE, Way.BUILD, Way.FROM_VOLUME, Way.PERSON)
    is_stricter = row.way in (Way.LEAVE, Way.PERSON)
    return lasting if is_bound and not is_stricter else row


def ends_in(before: Server) -> ServerStatus:
    """The state in which a server is left that was so before: never running if it did not run."""
    row = row_of(before)
    ends = row.ends
    if ends is Ends.AS_BEFORE:
        ends = VM_STATES.get(state_of(before), _UNKNOWN).ends
    if ends is Ends.POWER:
        ends = Ends.ACTIVE if before.power_state == _RUNNING else Ends.SHUTOFF
    return ServerStatus.SHUTOFF if ends is Ends.SHUTOFF else ServerStatus.ACTIVE


def for_record(server: Server) -> Server:
    """A look at a server without what need not be known of it later.

    So the version before, which does not know the newer fields, reads most records of this one.
    """
    is_implied = _OF_STATUS.get(server.detail) == server.vm_state
    lasting = VM_STATES.get(state_of(server), _UNKNOWN)
    counts_power = Ends.POWER in (row_of(server).ends, lasting.ends)
    return dataclasses.replace(
        server,
        vm_state='' if is_implied else server.vm_state,
        power_state=server.power_state if counts_power else 0,
        is_locked=False,
        boots_from_volume=False,
        fault='',
        fault_at=0.0,
    )


def in_words(server: Server) -> str:
    """The state of a server for an event."""
    shown = state_of(server) or server.detail or server.status.value
    return f'{shown}, {server.task}' if server.task else shown
