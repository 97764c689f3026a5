# SPDX-License-Identifier: Apache-2.0
"""What one look at the old active's server, and at its host, leads to.

Pure like ``decide``, of which it is a part. ``heat_ha.failover.handoff_steps`` acts on the moves.
"""

from heat_ha.cloud import model as cloud
from heat_ha.cloud.model import HostState, ServerStatus, Sight
from heat_ha.failover.rules import moves

CONFIRM = 'Make sure that it is off, then: openstack compute service set --down HOST nova-compute'


def next_for_free(
    server: cloud.Server, host: cloud.Host, sight: cloud.Sight
) -> moves.Done | moves.Wait | moves.WaitForFence:
    """Whether a server that had something can still write to it, although that is shown as free.

    Also asked of a server that is shown as gone. Both may be written down by Nova alone: when its
    owner deletes a server whose host is silent, the guest may run on, and it writes.

    Invariant (S1): Done only when the host is up, or confirmed down. Where the host is not known,
    Done only when no host is silent, or when the operator lets nobody see hosts.

    :param server: the server, or what Nova still has of one that is gone.
    :param sight: what is known of all hosts together.
    """
    if server.status is ServerStatus.COULD_NOT_ASK:
        return moves.Wait(f'Nova did not answer ({server.detail})')
    match host.state:
        case HostState.UP | HostState.CONFIRMED_DOWN:
            return moves.Done(host.detail)
        case HostState.DOWN:
            return moves.WaitForFence(host.detail, CONFIRM, server.server)
    match sight:
        case Sight.COULD_NOT_ASK:
            return moves.Wait(host.detail)
        case Sight.SOME_SILENT:
            return moves.WaitForFence(
                'it is not known which host its server was on, and a host is silent that nobody '
                'has confirmed to be down',
                f'{CONFIRM}; or attach it to the new active yourself',
                server.server,
            )
        case Sight.NONE_SILENT | Sight.NO_CREDENTIAL:
            return moves.Done(host.detail)


def next_for_stop(seen: cloud.Server) -> moves.Shown:
    """What one look at the old active's server leads to while it is being shut off.

    Invariant: Done only when Nova shows it shut off, Free only when it is gone.
    """
    if seen.status is ServerStatus.COULD_NOT_ASK:
        return moves.Wait(f'Nova did not answer ({seen.detail})')
    if seen.status is ServerStatus.GONE:
        return moves.Free('the server does not exist any more')
    if seen.status is ServerStatus.SHUTOFF:
        return moves.Done('the server is shut off')
    return moves.Request()


def next_for_fence(server: cloud.Server, host: cloud.Host) -> moves.Shown:
    """Whether the old active's host can give up what Heat's update takes from it.

    Nova accepts a request to unplug a port on a dead host, and then it waits there for ever.

    Invariant: Done only where the host is not seen to be down, Free only when the server is gone.
    Request means that something is in the way: it is not sent, and the server is examined.
    """
    if server.status is ServerStatus.COULD_NOT_ASK:
        return moves.Wait(f'Nova did not answer ({server.detail})')
    if server.status is ServerStatus.GONE:
        return moves.Free('the server does not exist any more')
    if host.state in (HostState.DOWN, HostState.CONFIRMED_DOWN):
        return moves.Request()
    return moves.Done(host.detail)


def next_for_hand_over(
    server: cloud.Server, host: cloud.Host, *, is_successor: bool
) -> moves.Wait | moves.Stop | moves.WaitForFence:
    """Whether Heat's update can come to its end, as far as this server's host is known.

    Invariant: the wait for it is ended only when the host is confirmed down and the server is still
    there. A host that is only silent may answer again, and what is not known ends nothing (S2).

    :param is_successor: whether it is the new active, which is to get something; else it is one
        from which something is taken.
    """
    if server.status is ServerStatus.COULD_NOT_ASK:
        return moves.Wait(f'Nova did not answer ({server.detail})')
    if server.status is ServerStatus.GONE:
        # Heat hears that from Nova at once.
        return moves.Wait('the server does not exist any more')
    if host.state is HostState.DOWN:
        return moves.Wait(f'{host.detail}. {CONFIRM}')
    if host.state is not HostState.CONFIRMED_DOWN:
        return moves.Wait(host.detail)
    if is_successor:
        return moves.Stop(
            f'the host of the new active has died: {host.detail}',
            'Evacuate the server, or have a healthy standby; then send the signal resume',
            is_of_server=True,
        )
    return moves.WaitForFence(
        f'the host has died from whose server Heat takes what is left: {host.detail}',
        'Evacuate or delete the server, then send the signal resume',
        server.server,
    )


def next_for_stuck(server: cloud.Server, host: cloud.Host, may_delete: bool) -> moves.Finding:
    """What to do when Nova does not carry out a request for a server that has to give up something.

    By evidence, never by a timer. Invariant: Delete only where the template asks for the
    removal of the server (S8), and only when its host is confirmed down or the living host itself
    deletes it. Never Done: what follows from a server that is gone, a look at the thing says.
    """
    if server.status is ServerStatus.COULD_NOT_ASK:
        return moves.Wait(f'Nova did not answer ({server.detail})')
    if server.status is ServerStatus.GONE:
        return moves.Wait('the server does not exist any more')
    if host.state is HostState.CONFIRMED_DOWN:
        if may_delete:
            return moves.Delete(host.detail, server.server)
        return moves.WaitForFence(
            f'{host.detail}, but nothing may delete the server to free what it holds',
            'Evacuate or delete the server, then send the signal resume',
            server.server,
        )
    if host.state is HostState.DOWN:
        return moves.WaitForFence(host.detail, CONFIRM, server.server)
    if server.status is ServerStatus.ERROR and host.state is HostState.UP:
        if may_delete:
            return moves.Delete(
                'its server is in ERROR, where Nova detaches nothing, and its host is up',
                server.server,
            )
        return moves.Stop(
            'its server is in ERROR, where Nova detaches nothing',
            'Bring it out of ERROR (openstack server set --state active) or delete it, then '
            'send the signal resume',
        )
    return moves.Wait(host.detail)


def next_for_stuck_stop(server: cloud.Server, host: cloud.Host) -> moves.Finding:
    """What to do when Nova does not shut the old active's server off.

    Invariant: Done only when its host is confirmed down.
    """
    found = next_for_stuck(server, host, may_delete=False)
    if host.state is HostState.CONFIRMED_DOWN:
        return moves.Done(host.detail)
    # A server in ERROR can be shut off, although Nova detaches nothing from it.
    return moves.Wait(found.reason) if isinstance(found, moves.Stop) else found
