# SPDX-License-Identifier: Apache-2.0
"""The active member of a FailoverPolicy that no failover chose.

It is chosen when the policy is created, and when an update of the group has removed the active.
"""

import dataclasses

from heat.common import exception
from oslo_log import log as logging

from heat_ha import exceptions
from heat_ha.cloud import clients
from heat_ha.failover import events, held_record, hook_runner, model, observation, record
from heat_ha.failover.adapters import hook_inputs
from heat_ha.failover.rules import outcome, standbys
from heat_ha.plugin import failover_options, predecessors

LOG = logging.getLogger(__name__)


def activation(policy):
    """The run of the hook ``activate`` on the active that is on record; None without a hook."""
    wanted, found = failover_options.hook(policy, policy.ACTIVATE), record.read(policy)
    if wanted is None or found.active is None:
        return None
    try:
        wanted = hook_inputs.for_run(policy, policy._group(), wanted, policy.ACTIVATE, found.active)
    except exceptions.Stopped as exc:
        raise _not_activated(exc) from exc
    return hook_runner.HookRun(
        policy, clients.StackClients(policy), wanted, f'activate-{found.epoch}',
        found.active.server,
    )  # fmt: skip


def is_activated(policy, run):
    """Look at the run once, and do what follows; return whether it ended well, or was not needed.

    :raises ResourceInError: it failed, and the template wants to stop then.
    """
    if run is None:
        return True
    try:
        ended = run.step()
    except exceptions.CouldNotAsk as exc:
        LOG.info('%s', exc)
        return False
    except exceptions.Stopped as exc:
        raise _not_activated(exc) from exc
    if ended is None:
        return False
    policy._add_event(policy.action, policy.IN_PROGRESS, f'activate: {ended}')
    return True


def _not_activated(exc):
    return exception.ResourceInError(resource_status='not activated', status_reason=str(exc))


def choose(policy):
    """The oldest healthy member and all members, asked of Heat and Nova now."""
    # Without the health check: what a standby is to answer with may not be started yet.
    observed = observation.observe(policy._group(), clients.StackClients(policy))
    return standbys.first_active(observed.candidates), observed


def holder(policy, candidates):
    """The member that has the things now by plain attachments, None without a healthy one.

    It is active from the start: then nothing has to move, when plain attachments become a policy.
    """
    servers = predecessors.holders_before(policy)
    for one in candidates:
        if one.server is not None and one.server.server in servers:
            found = standbys.first_active([one])
            if found is not None:
                return found
    return None


def follow(policy, held, first):
    """Make another member the active, because the one on record is not there any more.

    :param held: the policy's record; ``first`` is the oldest healthy member, None without one.
    """
    known = held.value
    found = outcome.with_active(known, first)
    if first is not None and found.state is model.State.READY:
        # It may say that the group had no member.
        found = dataclasses.replace(found, reason='', remedy='')
    held.put(found)
    if known.active is None and first is None:
        return
    new = 'nobody' if first is None else f'member {first.member}'
    why = (
        'nobody was active'
        if known.active is None
        else f'{known.active.member}, the active, or its server is not in the group any more'
    )
    policy._add_event(events.FAILOVER, events.IN_PROGRESS, f'{why}: {new} is the active now')


def has_all(policy, lock):
    """Put on record that the update has brought all to the active, whoever had it before."""
    held = held_record.HeldRecord(policy, lock)
    held.read()
    known = held.value
    if known.active is not None and (known.left_over or known.left_with):
        held.write(left_over=(), left_with=())


def warn_of_shared_host(policy, candidates):
    """Make an event if every standby would die with the host of the active."""
    text = standbys.shared_host_warning(candidates, record.read(policy).active)
    if text is not None:
        policy._add_event('CHECK', 'COMPLETE', text)
