# SPDX-License-Identifier: Apache-2.0
"""Log in to another region as the owner of a stack: which token, catalogue and CA are used.

With a region's name alone, the token and the catalogue are those of the parent stack. With a
credential from Barbican all three come from the Keystone that the credential names.
"""

import dataclasses
import functools
import hashlib
import json
import os
import tempfile
import threading
from typing import Any

from keystoneauth1 import exceptions as keystone_exceptions
from keystoneauth1 import loading
from keystoneauth1 import session as keystone_session
from oslo_config import cfg

from heat_ha.conf import regions as options
from heat_ha.regions.adapters import heat_client, transport, trust


@dataclasses.dataclass(frozen=True)
class RegionTarget:
    """Where a part belongs, as the template says it.

    ``region`` is None for the region of whatever Keystone is asked.
    """

    region: str | None
    credential_secret_id: str = ''
    ca_cert: str = ''
    insecure: bool = False

    def to_text(self) -> str:
        """What is put on record; empty where the region's name says all."""
        found = dataclasses.asdict(self)
        if found == dataclasses.asdict(RegionTarget(self.region)):
            return ''
        return json.dumps(found, sort_keys=True)

    @classmethod
    def of(cls, region: str, text: str) -> 'RegionTarget':
        """Read what ``to_text`` gave."""
        return cls(**json.loads(text)) if text else cls(region)

    @property
    def key(self) -> str:
        """The name of this target in the circuit breaker."""
        return f'{self.credential_secret_id}/{self.region}'


def limits() -> transport.Limits:
    """The limits of calls, from heat.conf."""
    options.register(cfg.CONF)
    group = cfg.CONF[options.GROUP]
    return transport.Limits(
        connect=group.connect_timeout,
        look=group.look_timeout,
        write=group.write_timeout,
        patience=group.patience,
        pause=group.pause,
        stalled_after=group.standstill,
    )


# A credential's plugin keeps its token; secrets are read once a process and project.
_CREDENTIALS: dict[tuple[str, str], Any] = {}
_LOCK = threading.Lock()


class Sessions:
    """The sessions of one Heat resource in other regions; each is made at its first use."""

    def __init__(self, resource: Any) -> None:
        self._context = resource.context
        # The owner's own token may do more, but may end before the action does.
        self._delegated = trust.auth(resource)
        self._uses_delegated = bool(resource.context.trust_id)
        self._limits = limits()
        self._made: dict[RegionTarget, transport.Access] = {}
        self._lock = threading.Lock()

    def heat(self, target: RegionTarget, *, is_asked_for: bool = False) -> heat_client.RemoteHeat:
        """The Heat of one target; nothing is asked yet."""
        return heat_client.RemoteHeat(
            target.key,
            lambda: self._access(target),
            self._limits,
            is_asked_for=is_asked_for,
        )

    def _access(self, target: RegionTarget) -> transport.Access:
        with self._lock:
            found = self._made.get(target)
        if found is None:
            found = self._make(target)
            with self._lock:
                self._made[target] = found
        return found

    def _make(self, target: RegionTarget) -> transport.Access:
        heats = self._context.keystone_session
        verify: Any = heats.verify
        if target.insecure:
            verify = False
        elif target.ca_cert:
            verify = _ca_file(target.ca_cert)
        interface = cfg.CONF.clients_heat.endpoint_type or cfg.CONF.clients.endpoint_type
        if not target.credential_secret_id:
            # The local Keystone has the certificate that Heat knows, the region its own.
            uses_delegated = self._uses_delegated and self._delegated is not None
            auth = self._delegated if uses_delegated else heats.auth
            session = self._session(auth, heats.verify, heats.cert)
            return transport.Access(
                session, target.region, interface, verify, lambda: self._delegate(uses_delegated)
            )
        auth = self._credential(target.credential_secret_id)
        return transport.Access(
            self._session(auth, verify, None),
            target.region,
            interface,
            verify,
            lambda: self._forget(target.credential_secret_id),
        )

    def _delegate(self, was_used: bool) -> bool:
        """Use what the owner has delegated from now on. :returns: whether that is something new."""
        if was_used or self._delegated is None:
            return False
        with self._lock:
            self._uses_delegated = True
            self._made.clear()
        return True

    def _session(self, auth: Any, verify: Any, cert: Any) -> keystone_session.Session:
        return keystone_session.Session(
            auth=auth, verify=verify, cert=cert, timeout=self._limits.look
        )

    # --- credentials ------------------------------------------------------------------------

    def _credential(self, secret: str) -> Any:
        key = (str(self._context.project_id), secret)
        with _LOCK:
            found = _CREDENTIALS.get(key)
        if found is None:
            found = _plugin(self._payload(secret))
            with _LOCK:
                _CREDENTIALS[key] = found
        return found

    def _forget(self, secret: str) -> bool:
        """Read the secret again at the next use: the credential was not accepted."""
        with _LOCK:
            _CREDENTIALS.pop((str(self._context.project_id), secret), None)
        with self._lock:
            self._made.clear()
        return False

    def _payload(self, secret: str) -> str:
        heats = self._context.keystone_session
        session = self._session(heats.auth, heats.verify, heats.cert)
        url = secret if '://' in secret else f'/v1/secrets/{secret}'
        try:
            answer = session.get(
                f'{url.rstrip("/")}/payload',
                headers={'Accept': 'text/plain'},
                endpoint_filter={
                    'service_type': 'key-manager',
                    'region_name': self._context.region_name or cfg.CONF.region_name_for_services,
                },
            )
        except keystone_exceptions.NotFound as exc:
            raise transport.BadCredential(
                'the secret that credential_secret_id names does not exist'
            ) from exc
        return str(answer.text)


def _plugin(payload: str) -> Any:
    try:
        found = json.loads(payload)
        loader: Any = loading.get_plugin_loader(found['auth_type'])
        return loader.load_from_options(**found['auth'])
    except (ValueError, KeyError, TypeError, keystone_exceptions.ClientException) as exc:
        # What the secret holds stays out of the message.
        raise transport.BadCredential(
            'the secret of credential_secret_id is not JSON with auth_type and auth, or lacks an '
            f'option of that type ({type(exc).__name__})'
        ) from None


@functools.cache
def _ca_file(text: str) -> str:
    """The certificate as a file, which requests needs; one for each certificate and process."""
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    handle, path = tempfile.mkstemp(prefix=f'heat-ha-ca-{digest}-', suffix='.pem')
    with os.fdopen(handle, 'w') as file:
        file.write(text)
    return path
