# SPDX-License-Identifier: Apache-2.0
"""What a server lacks after a method, compared with how it was before the rescue. Pure."""

from heat_ha.cloud.model import ServerStatus
from heat_ha.rescue.model import Observation, Progress, Verify
from heat_ha.rescue.rules import methods, server_states


def unfinished(progress: Progress, verify: Verify, seen: Observation) -> str:
    """Say what is missing until a method has done its work in place, '' when nothing is."""
    now = seen.server
    if now.task:
        return f'Nova is at work: {now.task}'
    starts = methods.of(progress.method).starts_server
    wanted = ServerStatus.ACTIVE if starts else server_states.ends_in(progress.before)
    if now.status is not wanted:
        return f'it is {now.detail or now.status.value}, not yet {wanted.value}'
    return lacks(progress, verify, seen)


def lacks(progress: Progress, verify: Verify, seen: Observation) -> str:
    """Say which of its volumes and addresses the server has lost, '' for none.

    Whether it runs is not asked here: it is its owner who stops it on its new host.
    """
    before, now = progress.before, seen.server
    if verify.volumes and (lost := sorted(set(before.volumes) - set(now.volumes))):
        return f'volumes are not attached: {", ".join(lost)}'
    if verify.addresses and (lost := sorted(set(before.addresses) - set(now.addresses))):
        return f'addresses are missing: {", ".join(lost)}'
    return ''
