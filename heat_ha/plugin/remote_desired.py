# SPDX-License-Identifier: Apache-2.0
"""The properties of a RemoteStack as values: where its parts belong and what they hold."""

import dataclasses
from typing import Any

from heat.common import template_format
from oslo_config import cfg

from heat_ha import exceptions
from heat_ha.regions import interfaces
from heat_ha.regions.adapters import sessions
from heat_ha.regions.rules import revision, spec

_REGION_KEYS = ('region_name', 'context', 'parameters', 'peer_inputs')


@dataclasses.dataclass(frozen=True)
class Target:
    """One region as the template names it.

    ``peer_inputs`` maps a parameter to the region and the output that it gets its value from.
    """

    region: str
    address: sessions.RegionTarget
    parameters: dict[str, Any]
    peer_inputs: dict[str, Any]


def targets(resource, properties):
    """Read where the parts belong.

    :raises exceptions.Refused: naming the property and the remedy.
    """
    listed = properties[resource.REGIONS]
    context = properties[resource.CONTEXT]
    if listed is None:
        return (_target(resource, {'context': context or {}}),)
    if context:
        raise exceptions.Refused(
            'both context and regions are given',
            'Leave context out, or move it into the items of regions',
        )
    if not listed:
        raise exceptions.Refused('regions is empty', 'Name at least one region')
    found = tuple(
        _target(resource, {'region_name': i} if isinstance(i, str) else i) for i in listed
    )
    names = [t.region for t in found]
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise exceptions.Refused(f'regions names {twice[0]} twice', 'Name each region once')
    for target in found:
        _check_peers(target, names)
    return found


def _target(resource, item):
    if not isinstance(item, dict):
        raise exceptions.Refused(
            f'an item of regions is {item!r}', 'Give the name of a region, or a map'
        )
    unknown = sorted(set(item) - set(_REGION_KEYS))
    if unknown:
        raise exceptions.Refused(
            f'an item of regions has the unknown key {unknown[0]}',
            f'Known: {", ".join(_REGION_KEYS)}',
        )
    context = item.get('context') or {}
    name = item.get('region_name') or context.get('region_name')
    address = sessions.RegionTarget(
        region=name or (None if context.get('credential_secret_id') else _own_region(resource)),
        credential_secret_id=context.get('credential_secret_id') or '',
        ca_cert=context.get('ca_cert') or '',
        insecure=bool(context.get('insecure')),
    )
    return Target(
        region=address.region or address.credential_secret_id,
        address=address,
        parameters=dict(item.get('parameters') or {}),
        peer_inputs=dict(item.get('peer_inputs') or {}),
    )


def _check_peers(target, names):
    for parameter, source in target.peer_inputs.items():
        if not isinstance(source, list) or len(source) != 2:
            raise exceptions.Refused(
                f'peer_inputs of {target.region}: {parameter} is {source!r}',
                'Write [region, output]',
            )
        if source[0] not in names:
            raise exceptions.Refused(
                f'peer_inputs of {target.region}: {parameter} is of {source[0]}, which is not '
                'among regions',
                f'Known: {", ".join(names)}',
            )


def _own_region(resource):
    return resource.context.region_name or cfg.CONF.region_name_for_services or 'local'


def contents(resource, properties, store, found):
    """What each region is to hold, with the other parts' outputs as they are known now."""
    template = template_format.parse(properties[resource.TEMPLATE])
    environment = _environment(resource, properties)
    files = dict(resource.stack.t.files)
    base = {**(environment.get('parameters') or {}), **(properties[resource.PARAMETERS] or {})}
    wanted = {}
    for target in found:
        parameters, lacking = {**base, **target.parameters}, ''
        for name, (region, output) in sorted(target.peer_inputs.items()):
            outputs = store.outputs(region)
            value = None if outputs is None else outputs.values.get(output)
            if value is not None:
                parameters[name] = value
            elif not revision.has_default(template, name):
                lacking = f'waits for output {output} of {region}'
        wanted[target.region] = (
            spec.MissingInput(lacking)
            if lacking
            else revision.content(template, files, parameters, environment)
        )
    return wanted


def check_template(resource, properties, found):
    """Refuse what is wrong even without a look at a region.

    :raises exceptions.Refused: naming the property and the remedy.
    """
    try:
        template = template_format.parse(properties[resource.TEMPLATE])
    except ValueError as exc:
        raise exceptions.Refused(f'template cannot be read: {exc}', 'Correct it') from exc
    environment = _environment(resource, properties)
    base = properties[resource.PARAMETERS] or {}
    for target in found:
        problem = revision.problem(
            template, {**base, **target.parameters}, target.peer_inputs, environment
        )
        if problem:
            raise exceptions.Refused(f'template for {target.region}: {problem}')


def _environment(resource, properties):
    given = properties[resource.ENVIRONMENT]
    if given is not None:
        return given
    # The parameters of the parent are its own; of the rest, the part gets what it uses.
    inherited = dict(resource.stack.env.user_env_as_dict())
    inherited.pop('parameters', None)
    return inherited


def rollout(resource, properties, found):
    """In which order the regions are worked on.

    :raises exceptions.Refused: a region is missing or unknown.
    """
    given = properties[resource.ROLLOUT] or {}
    names = tuple(t.region for t in found)
    order, waves = given.get(resource.ORDER), given.get(resource.WAVES)
    if order and waves:
        raise exceptions.Refused('rollout has both order and waves', 'Leave one of them out')
    listed = [tuple(w) for w in waves] if waves else [tuple(order)] if order else [names]
    ordered = [n for wave in listed for n in wave]
    if sorted(ordered) != sorted(names):
        raise exceptions.Refused(
            f'rollout names {", ".join(map(str, ordered))}, and the regions are {", ".join(names)}',
            'Name each region once',
        )
    return spec.Rollout(
        tuple(listed),
        given.get(resource.MAX_IN_FLIGHT) or 0,
        given.get(resource.FAILURE_TOLERANCE) or 0,
    )


def rules(resource, properties, *, may_repair=True):
    """What the template wants to be done about partitions."""
    given = properties[resource.PARTITION] or {}
    on_unreachable = given.get(resource.ON_UNREACHABLE) or spec.OnUnreachable.DEFER.value
    if given.get(resource.ON_STALE_OUTPUTS) == 'block':
        on_unreachable = spec.OnUnreachable.WAIT.value
    adopt = properties[resource.ADOPT] or {}
    limits = sessions.limits()
    return spec.Rules(
        on_unreachable=spec.OnUnreachable(on_unreachable),
        on_delete=spec.OnDelete(given.get(resource.ON_DELETE) or spec.OnDelete.DEFER.value),
        drift=spec.Drift(properties[resource.DRIFT]),
        adopt_overwrites=adopt.get(resource.CONFLICT) == 'overwrite',
        patience=limits.patience,
        may_repair=may_repair,
        stalled_after=limits.stalled_after,
    )


def desired_state(resource, properties, store, *, may_repair=True):
    """All that the template wants, for a reconciler."""
    found = targets(resource, properties)
    stacks = (properties[resource.ADOPT] or {}).get(resource.STACKS) or {}
    options = {
        'timeout_mins': properties[resource.TIMEOUT],
        'disable_rollback': True,
    }
    return interfaces.DesiredState(
        contents=lambda: contents(resource, properties, store, found),
        rollout=rollout(resource, properties, found),
        rules=rules(resource, properties, may_repair=may_repair),
        base_name=resource.physical_resource_name(),
        is_single=properties[resource.REGIONS] is None,
        owner=_own_region(resource),
        places={t.region: t.address.to_text() for t in found},
        # Heat does not check what is in a map: a parameter that is not set makes a null of it.
        adopts={region: str(stack) for region, stack in stacks.items() if stack is not None},
        options={k: v for k, v in options.items() if v is not None},
    )
