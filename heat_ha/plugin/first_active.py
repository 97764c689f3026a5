# SPDX-License-Identifier: Apache-2.0
"""The active member of a FailoverPolicy that no failover chose.

It is chosen when the policy is created, and when an update of the group has removed the active.
"""

from heat.common import exception
from oslo_log import log as logging

from heat_ha import exceptions
from heat_ha.cloud import clients
from heat_ha.failover import hook_runner, observation, record
from heat_ha.failover.rules import standbys
from heat_ha.plugin import failover_options

LOG = logging.getLogger(__name__)


def activation(policy):
    """The run of the hook ``activate`` on the active that is on record; None without a hook."""
    wanted, found = failover_options.hook(policy, policy.ACTIVATE), record.read(policy)
    if wanted is None or found.active is None:
        return None
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
        outcome = run.step()
    except exceptions.CouldNotAsk as exc:
        LOG.info('%s', exc)
        return False
    except exceptions.Stopped as exc:
        raise exception.ResourceInError(
            resource_status='not activated', status_reason=str(exc)
        ) from exc
    if outcome is None:
        return False
    policy._add_event(policy.action, policy.IN_PROGRESS, f'activate: {outcome}')
    return True


def choose(policy):
    """The oldest healthy member and all members, asked of Heat and Nova now."""
    # Without the health check: what a standby is to answer with may not be started yet.
    observed = observation.observe(policy._group(), clients.StackClients(policy))
    return standbys.first_active(observed.candidates), observed


def warn_of_shared_host(policy, candidates):
    """Make an event if every standby would die with the host of the active."""
    text = standbys.shared_host_warning(candidates, record.read(policy).active)
    if text is not None:
        policy._add_event('CHECK', 'COMPLETE', text)
