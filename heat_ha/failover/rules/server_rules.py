# SPDX-License-Identifier: Apache-2.0
"""What one look at the old active's server, and at its host, leads to.

Pure like ``decide``, of which it is a part. ``heat_ha.failover.handoff_steps`` acts on the moves.
"""

from heat_ha.cloud import model as cloud
from heat_ha.cloud.model import ServerStatus
from heat_ha.failover.rules import moves


def next_for_stop(seen: cloud.Server) -> moves.Move:
    """What one look at the old active's server leads to while it is being shut off.

    Invariant: Done only when Nova shows it shut off or gone.
    """
    if seen.status is ServerStatus.COULD_NOT_ASK:
        return moves.Wait(f'Nova did not answer ({seen.detail})')
    if seen.status is ServerStatus.GONE:
        return moves.Done('the server does not exist any more')
    if seen.status is ServerStatus.SHUTOFF:
        return moves.Done('the server is shut off')
    return moves.Request()


def next_for_stuck(server: cloud.Server, host: cloud.Host, may_delete: bool) -> moves.Finding:
    """What to do when Nova does not carry out a request for the old active's server.

    By evidence, never by a timer. Invariant: Delete only where the template asks for the
    removal of the server (S8), and only when its host is confirmed down or the living host itself
    deletes it; Done, that the server writes no more, only when it is gone or its host is
    confirmed down.
    """
    if server.status is ServerStatus.COULD_NOT_ASK:
        return moves.Wait(f'Nova did not answer ({server.detail})')
    if server.status is ServerStatus.GONE:
        return moves.Done('the server does not exist any more')
    if host.state is cloud.HostState.CONFIRMED_DOWN:
        if may_delete:
            return moves.Delete(host.detail)
        return moves.WaitForFence(
            f'{host.detail}, but nothing may delete the server to free what it holds',
            'Evacuate or delete the server, then send the signal resume',
        )
    if host.state is cloud.HostState.DOWN:
        return moves.WaitForFence(
            host.detail,
            'Make sure that it is off, then: openstack compute service set --down HOST '
            'nova-compute',
        )
    if server.status is ServerStatus.ERROR and host.state is cloud.HostState.UP:
        if may_delete:
            return moves.Delete(
                'its server is in ERROR, where Nova detaches nothing, and its host is up'
            )
        return moves.Stop(
            'its server is in ERROR, where Nova detaches nothing',
            'Bring it out of ERROR (openstack server set --state active) or delete it, then '
            'send the signal resume',
        )
    return moves.Wait(host.detail)


def next_for_stuck_detach(
    server: cloud.Server, host: cloud.Host, may_delete: bool
) -> moves.Finding:
    """What to do when Nova does not take a volume from the old active's server.

    Invariant: never Done, because only a look at the volume itself shows it free.
    """
    found = next_for_stuck(server, host, may_delete)
    # Once the server is gone, what is left is Cinder's: the looks at the volume go on.
    return moves.Wait(found.reason) if isinstance(found, moves.Done) else found


def next_for_stuck_stop(server: cloud.Server, host: cloud.Host) -> moves.Finding:
    """What to do when Nova does not shut the old active's server off.

    Invariant: Done only when the server is gone or its host is confirmed down.
    """
    found = next_for_stuck(server, host, may_delete=False)
    if host.state is cloud.HostState.CONFIRMED_DOWN:
        return moves.Done(host.detail)
    # A server in ERROR can be shut off, although Nova detaches nothing from it.
    return moves.Wait(found.reason) if isinstance(found, moves.Stop) else found
