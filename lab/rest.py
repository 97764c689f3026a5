# SPDX-License-Identifier: Apache-2.0
"""A minimal OpenStack client: one login, JSON in and out.

The real clients take seconds to be imported, and they are not there on a fresh machine.
"""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping

from lab import ports, problems, regions

Json = dict[str, object]


class Cloud:
    """A user's session in one project, with the addresses of one region's services."""

    def __init__(
        self, block: ports.Ports, user: str, region: str, keystone: str | None = None
    ) -> None:
        """Log in, at the Keystone of the region with that key, or at the shared one."""
        self._keystone = block.url('keystone', keystone, path='/v3')
        body = {
            'auth': {
                'identity': {
                    'methods': ['password'],
                    'password': {
                        'user': {
                            'name': user,
                            'domain': {'name': 'Default'},
                            'password': regions.PASSWORD,
                        }
                    },
                },
                'scope': {'project': {'name': user, 'domain': {'name': 'Default'}}},
            }
        }
        answer, headers = _call('POST', f'{self._keystone}/auth/tokens', body, {})
        token = answer['token']
        self._token = headers['X-Subject-Token']
        self.project_id = token['project']['id']
        self._addresses = {
            service['type']: endpoint['url']
            for service in token['catalog']
            for endpoint in service['endpoints']
            if endpoint['interface'] == 'public' and endpoint['region'] == region
        }

    def get(self, service: str, path: str) -> Json:
        """Read something."""
        return self._request('GET', service, path)

    def post(self, service: str, path: str, body: Json) -> Json:
        """Create something."""
        return self._request('POST', service, path, body)

    def put(self, service: str, path: str, body: Json | bytes | None = None) -> Json:
        """Set something; bytes are sent as they are."""
        return self._request('PUT', service, path, body)

    def patch(self, service: str, path: str, changes: list[Json]) -> Json:
        """Change something by a list of operations, in the form that Glance takes."""
        headers = {'Content-Type': 'application/openstack-images-v2.1-json-patch'}
        return self._request('PATCH', service, path, json.dumps(changes).encode(), headers)

    def _request(
        self,
        method: str,
        service: str,
        path: str,
        body: Json | bytes | None = None,
        more: Mapping[str, str] | None = None,
    ) -> Json:
        base = self._keystone if service == 'identity' else self._addresses[service]
        headers = {'X-Auth-Token': self._token, **(more or {})}
        return _call(method, base.rstrip('/') + path, body, headers)[0]


def _call(
    method: str, url: str, body: Json | bytes | None, headers: Mapping[str, str]
) -> tuple[Json, Mapping[str, str]]:
    """Send one request.

    :raises problems.Problem: when the answer is an error.
    """
    kind = 'application/octet-stream' if isinstance(body, bytes) else 'application/json'
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        url, data, {'Content-Type': kind, 'Accept': 'application/json', **headers}, method=method
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
            return (json.loads(text) if text else {}), answer.headers
    except urllib.error.HTTPError as error:
        said = error.read().decode(errors='replace')[:1000]
        raise problems.Problem(
            f'{method} {url} was answered with {error.code}', details=said
        ) from error
    except OSError as error:
        raise problems.Problem(f'{method} {url} was not answered: {error}') from error
