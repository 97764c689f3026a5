# SPDX-License-Identifier: Apache-2.0
"""Runs of hooks: each is a small stack of its own with one OS::Heat::SoftwareDeployment.

Of its own, because a deployment has a user and an address of its own for the answer, so that a
late answer to one run is never taken for the answer to another; and because such a stack can be
deleted at any moment, whether its server ever answered or not.
"""

from typing import Any

from heat.common import exception as heat_exception
from heat.common import identifier
from heat.objects import resource as resource_object
from heat.objects import stack as stack_object
from heat.rpc import api as rpc_api
from oslo_log import log as logging

from heat_ha import exceptions
from heat_ha.cloud import nested_stack
from heat_ha.failover import model
from heat_ha.failover.rules import hook

LOG = logging.getLogger(__name__)

DEPLOYMENT, HEARTBEAT = 'deployment', 'heartbeat'
HEARTBEAT_URL = 'heartbeat_url'

# Minutes that Heat gives the stack beyond the hook's own timeout, which is what counts.
SPARE_MINUTES = 10


def name_of(policy: Any, run: str) -> str:
    """The name of the stack of one run, the same in every engine."""
    return f'{policy.physical_resource_name()}-{run}'


def look(policy: Any, name: str) -> hook.Run:
    """How far the run is, from Heat's database; a failed look says nothing of it."""
    try:
        return _look(policy, name)
    except Exception as exc:
        LOG.info('The run %s could not be looked at: %s', name, exc)
        return hook.Run(hook.RunState.COULD_NOT_ASK, f'{type(exc).__name__}: {exc}'[:200])


def _look(policy: Any, name: str) -> hook.Run:
    context = policy.context
    found = stack_object.Stack.get_by_name_and_owner_id(context, name, policy.stack.id)
    if found is None:
        return hook.Run(hook.RunState.ABSENT)
    if found.action == 'DELETE':
        return hook.Run(hook.RunState.LEAVING)
    # The deployment itself, not the stack: it is there to be answered when the engine that
    # waits for the stack is dead.
    deployment_id = _deployment_id(context, found.id)
    if deployment_id is not None:
        deployment = policy.rpc_client().show_software_deployment(context, deployment_id)
        status = deployment[rpc_api.SOFTWARE_DEPLOYMENT_STATUS]
        wording = deployment[rpc_api.SOFTWARE_DEPLOYMENT_STATUS_REASON] or ''
        if status == 'FAILED':
            return hook.Run(hook.RunState.FAILED, _with_output(deployment, wording))
        if status == 'COMPLETE':
            return hook.Run(hook.RunState.COMPLETE, wording)
        return hook.Run(hook.RunState.IN_PROGRESS, beats=_beats(context, found.id))
    if found.status == 'FAILED':
        return hook.Run(hook.RunState.FAILED, found.status_reason or '')
    return hook.Run(hook.RunState.STARTING)


def _deployment_id(context: Any, stack_id: str) -> str | None:
    try:
        row = resource_object.Resource.get_by_name_and_stack(context, DEPLOYMENT, stack_id)
    except heat_exception.NotFound:
        return None
    return row.physical_resource_id if row is not None else None


def _beats(context: Any, stack_id: str) -> int:
    try:
        row = resource_object.Resource.get_by_name_and_stack(context, HEARTBEAT, stack_id)
    except heat_exception.NotFound:
        return 0
    return len(row.rsrc_metadata or {}) if row is not None else 0


def _with_output(deployment: dict[str, Any], wording: str) -> str:
    """The reason with the last line that the script wrote to stderr."""
    outputs = deployment.get(rpc_api.SOFTWARE_DEPLOYMENT_OUTPUT_VALUES) or {}
    lines = str(outputs.get('deploy_stderr') or '').strip().splitlines()
    return f'{wording}; {lines[-1]}'[:250] if lines else wording


def start(policy: Any, name: str, wanted: model.Hook, server: str) -> None:
    """Let Heat bring the software config to the server; harmless where it does so already."""
    inputs = dict(wanted.input_values)
    resources: dict[str, Any] = {}
    if wanted.heartbeat:
        # An address of the run's own: a heartbeat that comes late, or looks like something else,
        # can do nothing to the policy.
        resources[HEARTBEAT] = {
            'type': 'OS::Heat::WaitConditionHandle',
            'properties': {'signal_transport': 'CFN_SIGNAL'},
        }
        # The attribute is the text {"alarm_url": "http..."}.
        inputs[HEARTBEAT_URL] = {'str_split': ['"', {'get_attr': [HEARTBEAT, 'signal']}, 3]}
    properties = {'config': wanted.config, 'server': server, 'input_values': inputs}
    if wanted.signal_transport:
        properties['signal_transport'] = wanted.signal_transport
    template = {
        'heat_template_version': '2016-10-14',
        'resources': resources
        | {DEPLOYMENT: {'type': 'OS::Heat::SoftwareDeployment', 'properties': properties}},
    }
    stack = policy.stack
    try:
        policy.rpc_client()._create_stack(
            policy.context,
            stack_name=name,
            template=template,
            params={},
            files={},
            args={
                rpc_api.PARAM_TIMEOUT: int(wanted.timeout // 60) + SPARE_MINUTES,
                rpc_api.PARAM_DISABLE_ROLLBACK: True,
            },
            owner_id=stack.id,
            nested_depth=stack.nested_depth + 1,
            user_creds_id=stack.user_creds_id,
            stack_user_project_id=stack.stack_user_project_id,
            parent_resource_name=policy.name,
        )
    except Exception as exc:
        if type(exc).__name__.startswith('StackExists'):
            return
        raise exceptions.CouldNotAsk('heat', f'the run {name}', str(exc)) from exc


def end(policy: Any, name: str) -> None:
    """Remove the run, and with it the work that waits for the server; harmless without a run."""
    found = stack_object.Stack.get_by_name_and_owner_id(policy.context, name, policy.stack.id)
    if found is None or (found.action, found.status) == ('DELETE', 'IN_PROGRESS'):
        return
    identity = identifier.HeatIdentifier(policy.context.project_id, name, found.id)
    try:
        policy.rpc_client().delete_stack(policy.context, dict(identity), cast=False)
    except Exception as exc:
        if not type(exc).__name__.startswith(('EntityNotFound', 'StackNotFound', 'NotFound')):
            # It is found, and taken away, at the end of the plan or with the policy.
            LOG.warning('The run %s could not be taken away: %s', name, exc)


class Removal:
    """A run that is on its way out, until it is gone; ``end`` has been called for it.

    :param found: the id of the run's stack.
    """

    def __init__(self, policy: Any, name: str, found: str) -> None:
        self._name = name
        self._deletion = nested_stack.Deletion(policy.context, found, lambda: end(policy, name))

    def is_gone(self) -> bool:
        """Look once; whether Heat has ended taking the run away, one way or the other."""
        try:
            return self._deletion.is_gone()
        except nested_stack.NestedFailed as exc:
            LOG.warning('The run %s is left over: %s', self._name, exc)
            return True
        except Exception as exc:
            LOG.info('The run %s could not be looked at: %s', self._name, exc)
            return False


def removal(policy: Any, name: str) -> Removal | None:
    """The removal of the run of this name, None where there is no such run."""
    found = stack_object.Stack.get_by_name_and_owner_id(policy.context, name, policy.stack.id)
    return Removal(policy, name, found.id) if found is not None else None


def remove_all(policy: Any) -> list[Removal]:
    """Remove every run that the policy has, also what a dead engine left of earlier plans."""
    own = name_of(policy, '')
    children = stack_object.Stack.get_all_by_owner_id(policy.context, policy.stack.id)
    names = [(child.name, child.id) for child in children if child.name.startswith(own)]
    for name, _id in names:
        end(policy, name)
    return [Removal(policy, name, found) for name, found in names]
