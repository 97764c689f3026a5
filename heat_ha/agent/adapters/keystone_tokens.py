# SPDX-License-Identifier: Apache-2.0
"""Letting only those in who have a token of Keystone, by keystonemiddleware, which Heat brings."""

from collections.abc import Callable, Collection, Iterable
from typing import Any

from keystonemiddleware import auth_token

from heat_ha import exceptions

# Seconds after which Keystone counts as not answering.
TIMEOUT = 10

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def guard(application: Wsgi, conf: Any) -> Wsgi:
    """Put the middleware in front of an application; ``[keystone_authtoken]`` configures it.

    :raises exceptions.Refused: it does not.
    """
    made: Wsgi = auth_token.AuthProtocol(
        application, {'oslo_config_config': conf, 'http_connect_timeout': TIMEOUT}
    )
    if not conf.keystone_authtoken.www_authenticate_uri:
        raise exceptions.Refused(
            '[keystone_authtoken] has no www_authenticate_uri',
            'Configure it as for the API of Heat, or unset masakari_notifications',
        )
    return made


def has_role(environ: dict[str, Any], wanted: Collection[str]) -> bool:
    """Whether the token that the middleware has checked has one of these roles."""
    if environ.get('HTTP_X_IDENTITY_STATUS') != 'Confirmed':
        return False
    own = {name.strip().lower() for name in str(environ.get('HTTP_X_ROLES', '')).split(',')}
    return not own.isdisjoint(name.lower() for name in wanted)
