# SPDX-License-Identifier: Apache-2.0
"""A trust that lets another region's Heat make a stack while its owner is away.

A stack that Heat makes needs a trust of its own. The other region's Heat makes it with the token
that it is sent, and can do so with the owner's own token. A signal acts with a token from the
parent's trust, and Keystone makes a trust from that only if the first trust allows it; Heat's does
not. So a RemoteStack makes a trust that does, while it has the owner's own token. It uses that
trust for signals, and when the token ends before an action does.
"""

from typing import Any

from keystoneauth1 import exceptions as keystone_exceptions
from keystoneauth1 import loading
from oslo_config import cfg
from oslo_log import log as logging

LOG = logging.getLogger(__name__)

KEY = 'ha_delegation'

# Heat's section with the credential of the user that trusts are made for.
TRUSTEE = 'trustee'


def delegate(resource: Any) -> None:
    """Make the trust if there is none; without one, signals cannot have stacks made."""
    context = resource.context
    if resource.data().get(KEY) or context.trust_id or cfg.CONF.deferred_auth_method != 'trusts':
        return
    try:
        session = context.keystone_session
        trust = resource.client('keystone').client.trusts.create(
            trustor_user=context.auth_plugin.get_user_id(session),
            trustee_user=context.trusts_auth_plugin.get_user_id(session),
            project=context.auth_plugin.get_project_id(session),
            impersonation=True,
            allow_redelegation=True,
            **_roles(context),
        )
    except keystone_exceptions.ClientException as exc:
        # An application credential, for example, may not make trusts.
        LOG.warning('%s: no trust that can be delegated further: %s', resource.name, exc)
        return
    resource.data_set(KEY, trust.id, redact=True)


def _roles(context: Any) -> dict[str, list[str]]:
    """The roles that Heat would delegate."""
    if cfg.CONF.trusts_delegated_roles:
        return {'role_names': cfg.CONF.trusts_delegated_roles}
    found = ((context.auth_token_info or {}).get('token') or {}).get('roles')
    if found:
        return {'role_ids': [r['id'] for r in found]}
    return {'role_names': context.roles}


def auth(resource: Any) -> Any:
    """A login by the trust, which a signal needs, and a token that has ended; None without it."""
    trust = resource.data().get(KEY)
    if trust is None:
        return None
    return loading.load_auth_from_conf_options(cfg.CONF, TRUSTEE, trust_id=trust)


def revoke(resource: Any) -> None:
    """Take the trust back. The trusts that were made from it go with it."""
    trust = resource.data().get(KEY)
    if trust is not None:
        resource.client('keystone').delete_trust(trust)
        resource.data_delete(KEY)
