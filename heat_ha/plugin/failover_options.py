# SPDX-License-Identifier: Apache-2.0
"""The properties of an OS::Heat::FailoverPolicy as values of ``heat_ha.failover``."""

from heat.common import exception
from heat.common.i18n import _

from heat_ha.failover import model, options
from heat_ha.failover.adapters import handoff_template


def read(policy):
    """All of them as the failover uses them; see :class:`options.Options` for the units."""
    quiesce = model.Quiesce((policy.properties[policy.QUIESCE] or {}).get(policy.SERVER_ACTION))
    fencing = model.Fencing(policy.properties[policy.FENCING])
    if fencing is model.Fencing.REQUIRED:
        quiesce = model.Quiesce.STOP
    timeout = float(policy.properties[policy.FENCING_TIMEOUT])
    return options.Options(
        limits=model.Limits(
            cooldown=float(policy.properties[policy.COOLDOWN] or 0),
            max_failovers=policy.properties[policy.MAX_FAILOVERS],
            period=float(policy.properties[policy.PERIOD]),
            holds_repeats=policy.properties[policy.COOLDOWN] is None,
        ),
        quiesce=quiesce,
        on_dead_host=model.OnDeadHost(policy.properties[policy.ON_DEAD_HOST]),
        fencing_timeout=0.0 if fencing is model.Fencing.NONE else timeout,
        quiesce_hook=hook(policy, policy.QUIESCE),
        activate_hook=hook(policy, policy.ACTIVATE),
        health=health(policy),
        fail_back=model.FailBack(policy.properties[policy.FAIL_BACK]),
        keep_seconds=float(policy.properties[policy.KEEP_FAILED]) * 60,
        shuts_out=fencing is model.Fencing.STORAGE,
    )


def check_fencing(policy, definition):
    """Refuse ``fencing: storage`` where it can do nothing.

    :param definition: of what is handed over.
    :raises StackValidationFailed: naming the property and the remedy.
    """
    if policy.properties[policy.FENCING] != model.Fencing.STORAGE.value:
        return
    if handoff_template.is_taken_by_host(definition.get('type')):
        raise exception.StackValidationFailed(
            message=_('%(prop)s of %(name)s is storage, which shuts a server out from volumes, and '
                      '%(type)s hands over something else. Use confirmed_by_nova')
            % {'prop': policy.FENCING, 'name': policy.name, 'type': definition.get('type')}
        )  # fmt: skip
    if not policy.properties[policy.FENCING_TIMEOUT]:
        raise exception.StackValidationFailed(
            message=_('%(prop)s of %(name)s is 0, so nobody waits for the fence that %(fencing)s: '
                      'storage asks for. Give it some seconds, 60 for instance')
            % {'prop': policy.FENCING_TIMEOUT, 'name': policy.name, 'fencing': policy.FENCING}
        )  # fmt: skip


def health(policy):
    """The health check of a standby, None without exactly one of its kinds."""
    found = policy.properties[policy.HEALTH] or {}
    given = [(k, found[k]) for k in policy._HEALTH_KEYS if found.get(k) is not None]
    if len(given) != 1:
        return None
    ((kind, check),) = given
    return model.HealthCheck(
        check[policy.PORT],
        check[policy.PATH] if kind == policy.HTTP else None,
        float(check[policy.TIMEOUT]),
    )


def hook(policy, prop):
    """The hook under a property, None without a config."""
    found = policy.properties[prop] or {}
    if not found.get(policy.CONFIG):
        return None
    return model.Hook(
        config=found[policy.CONFIG],
        input_values=found[policy.INPUT_VALUES] or {},
        timeout=float(found[policy.TIMEOUT]),
        heartbeat=float(found[policy.HEARTBEAT]),
        on_failure=model.OnFailure(found[policy.ON_FAILURE]),
        signal_transport=found[policy.SIGNAL_TRANSPORT] or '',
    )
