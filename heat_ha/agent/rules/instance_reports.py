# SPDX-License-Identifier: Apache-2.0
"""What Nova's notifications say of the end of a guest. Pure.

Nova has no notification of a crash. When the hypervisor reports that a guest has ended,
nova-compute stops the server in Nova as well, in a context without a user and a project, and its
notification about that has neither: ``handle_lifecycle_event``, ``_sync_instance_power_state`` and
``_stop_unexpected_shutdown_instance`` of its ``compute.manager``. Whoever stops a server through
Nova's API is named in it.
"""

import collections.abc
import dataclasses
import enum
import re

from heat_ha.agent.rules.host_names import MAX_NAME

# The only one that is read: its start comes before Nova shows the server as stopped, and no other
# one says that a guest has ended by itself.
ENDED = 'instance.power_off.end'

_ID = re.compile('[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}')
_INITIATORS = ('action_initiator_user', 'action_initiator_project')


class Meaning(enum.Enum):
    """Why a guest ended. Only FAILED leads to a signal; UNKNOWN: the notification does not say."""

    FAILED = 'failed'
    ASKED_FOR = 'asked_for'
    UNKNOWN = 'unknown'


@dataclasses.dataclass(frozen=True)
class InstanceReport:
    """A guest that has ended, on a host as Nova names it; ``host`` is '' where it is not said."""

    server: str
    host: str
    meaning: Meaning


def of_notification(event_type: object, payload: object) -> InstanceReport | None:
    """Parse a versioned notification of Nova; None for those that report the end of no guest."""
    if event_type != ENDED or not isinstance(payload, collections.abc.Mapping):
        return None
    data = payload.get('nova_object.data')
    if not isinstance(data, collections.abc.Mapping) or data.get('state') != 'stopped':
        return None
    server, host = data.get('uuid'), data.get('host')
    if not isinstance(server, str) or not _ID.fullmatch(server):
        return None
    is_name = isinstance(host, str) and len(host) <= MAX_NAME and host.isprintable()
    return InstanceReport(server, str(host) if is_name else '', _meaning(data))


def _meaning(data: collections.abc.Mapping[str, object]) -> Meaning:
    if any(data.get(key) for key in _INITIATORS):
        return Meaning.ASKED_FOR
    # Releases before Stein do not have the fields.
    if not all(key in data and data[key] is None for key in _INITIATORS):
        return Meaning.UNKNOWN
    return Meaning.FAILED
