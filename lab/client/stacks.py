# SPDX-License-Identifier: Apache-2.0
"""Stacks of a tenant: create, look at, signal and delete them through Heat's API."""

import json
import pathlib
import urllib.request
from typing import Any

from heatclient.common import template_utils

from lab.client import access, waiting

EXAMPLES = access.ROOT / 'examples'

# The smallest server of the lab, as a template has it.
SERVER = (
    '{type: OS::Nova::Server, '
    'properties: {image: tiny, flavor: m1.tiny, networks: [{network: private}]}}'
)


class Stack:
    """One stack of a tenant, from a template under ``examples`` or given as text."""

    def __init__(self, cloud: Any, name: str, template: str | pathlib.Path) -> None:
        self.cloud = cloud
        self.name = name
        self.template = template
        self.id = ''

    # --- actions -----------------------------------------------------------------------------

    def _body(self, parameters: dict[str, Any] | None) -> dict[str, Any]:
        path = self.template if isinstance(self.template, pathlib.Path) else self._written()
        files, template = template_utils.get_template_contents(str(path))
        return {
            'stack_name': self.name,
            'template': template,
            'files': {k: _text(v) for k, v in files.items()},
            'parameters': parameters or {},
            'timeout_mins': 15,
        }

    def _written(self) -> pathlib.Path:
        # Beside the examples, so that the text may name their files.
        path = EXAMPLES / f'.{self.name}.tmp.yaml'
        path.write_text(str(self.template))
        return path

    def _send(self, method: str, path: str, parameters: dict[str, Any] | None) -> Any:
        try:
            body = self._body(parameters)
        finally:
            (EXAMPLES / f'.{self.name}.tmp.yaml').unlink(missing_ok=True)
        return self.cloud.orchestration.request(path, method, json=body)

    def create(self, parameters: dict[str, Any] | None = None, *, wait: bool = True) -> 'Stack':
        """Create the stack. :raises AssertionError: it was refused or failed."""
        answer = self._send('POST', '/stacks', parameters)
        assert answer.status_code == 201, answer.text
        self.id = answer.json()['stack']['id']
        if wait:
            self.wait('CREATE')
        return self

    def refusal(self, parameters: dict[str, Any] | None = None) -> str:
        """The reason with which Heat refuses to create the stack."""
        answer = self._send('POST', '/stacks', parameters)
        if answer.status_code == 201:
            self.id = answer.json()['stack']['id']
        assert answer.status_code == 400, f'not refused: {answer.text}'
        return str(answer.json()['error']['message'])

    def refusal_of_update(self, parameters: dict[str, Any] | None = None) -> str:
        """The reason with which Heat refuses to update the stack."""
        answer = self._send('PUT', f'/stacks/{self.name}/{self.id}', parameters)
        assert answer.status_code == 400, f'not refused: {answer.text}'
        return str(answer.json()['error']['message'])

    def update(self, parameters: dict[str, Any] | None = None, *, wait: bool = True) -> 'Stack':
        """Update the stack with its template as it is now."""
        answer = self._send('PUT', f'/stacks/{self.name}/{self.id}', parameters)
        assert answer.status_code == 202, answer.text
        if wait:
            self.wait('UPDATE')
        return self

    def action(self, name: str) -> None:
        """Suspend, resume or check the stack and wait for the end."""
        answer = self.cloud.orchestration.post(
            f'/stacks/{self.name}/{self.id}/actions', json={name: None}
        )
        assert answer.status_code in (200, 201, 202), answer.text
        self.wait(name.upper())

    def wait(self, action: str, seconds: float = 240, every: float = 0.5) -> None:
        """Wait until the action is complete. :raises AssertionError: it failed."""

        def look() -> bool:
            found = self.show()
            assert found['stack_status'] != f'{action}_FAILED', (
                f'{self.name}: {found["stack_status_reason"]}\n' + '\n'.join(self.events())
            )
            return bool(found['stack_status'] == f'{action}_COMPLETE')

        waiting.until(look, f'{self.name} {action}_COMPLETE', seconds=seconds, every=every)

    def wait_failed(self, action: str, seconds: float = 60) -> str:
        """Wait until the action has failed. :returns: why. :raises AssertionError: it did not."""

        def look() -> Any:
            found = self.show()
            assert found['stack_status'] != f'{action}_COMPLETE', f'{self.name}: it did not fail'
            return found['stack_status'] == f'{action}_FAILED' and found

        found = waiting.until(look, f'{self.name} {action}_FAILED', seconds=seconds)
        return str(found['stack_status_reason'])

    def is_there(self) -> bool:
        """Whether there is a stack of its name; then its id is known.

        Who was interrupted while the stack was asked for has not got its id.
        """
        found = self.cloud.orchestration.get(f'/stacks/{self.name}')
        if found.status_code != 200:
            return False
        self.id = found.json()['stack']['id']
        return True

    def delete(self, seconds: float = 240) -> None:
        """Delete the stack and wait until it is gone."""
        if not self.id:
            return
        asked = self.cloud.orchestration.delete(f'/stacks/{self.name}/{self.id}')
        assert asked.status_code in (204, 404), asked.text

        def look() -> bool:
            answer = self.cloud.orchestration.get(f'/stacks/{self.name}/{self.id}')
            if answer.status_code != 200:
                # Heat's API answers 5xx while an engine is being started again.
                return bool(answer.status_code == 404)
            found = answer.json()['stack']
            assert found['stack_status'] != 'DELETE_FAILED', found['stack_status_reason']
            # Heat shows DELETE_COMPLETE before it deletes the stack's trust and, last, its name.
            return bool(self.cloud.orchestration.get(f'/stacks/{self.name}').status_code == 404)

        waiting.until(look, f'{self.name} is gone', seconds=seconds, every=0.5)

    # --- looks -------------------------------------------------------------------------------

    def show(self) -> dict[str, Any]:
        """The stack as Heat shows it, outputs left out."""
        answer = self.cloud.orchestration.get(
            f'/stacks/{self.name}/{self.id}?resolve_outputs=False'
        )
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()['stack']
        return found

    def output(self, name: str) -> Any:
        """One output's value now."""
        answer = self.cloud.orchestration.get(f'/stacks/{self.name}/{self.id}/outputs/{name}')
        assert answer.status_code == 200, answer.text
        found = answer.json()['output']
        assert 'output_error' not in found, found
        return found['output_value']

    def attribute(self, resource: str, name: str) -> Any:
        """One attribute of one resource now."""
        return self.resource(resource)['attributes'].get(name)

    def resource(self, name: str) -> dict[str, Any]:
        """One resource as Heat shows it."""
        answer = self.cloud.orchestration.get(f'/stacks/{self.name}/{self.id}/resources/{name}')
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()['resource']
        return found

    def resources(self, depth: int = 4) -> list[dict[str, Any]]:
        """All resources, nested ones too."""
        answer = self.cloud.orchestration.get(
            f'/stacks/{self.name}/{self.id}/resources?nested_depth={depth}'
        )
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()['resources']
        return found

    def servers(self) -> list[str]:
        """Ids of all servers in the stack."""
        return [
            r['physical_resource_id']
            for r in self.resources()
            if r['resource_type'] == 'OS::Nova::Server' and r['physical_resource_id']
        ]

    def volumes(self) -> list[str]:
        """Ids of all volumes in the stack."""
        return [
            r['physical_resource_id']
            for r in self.resources()
            if r['resource_type'] == 'OS::Cinder::Volume'
        ]

    def members(self, group: str) -> list[str]:
        """Names of the group's members."""
        nested = self.resource(group)['physical_resource_id']
        answer = self.cloud.orchestration.get(f'/stacks/{nested}', allow_redirects=True)
        name = answer.json()['stack']['stack_name']
        found = self.cloud.orchestration.get(f'/stacks/{name}/{nested}/resources').json()
        return sorted(r['resource_name'] for r in found['resources'])

    def events(self, resource: str | None = None) -> list[str]:
        """The events of the stack's own resources, oldest first, as one line each."""
        path = f'/stacks/{self.name}/{self.id}/events?sort_dir=asc'
        if resource is not None:
            path = f'/stacks/{self.name}/{self.id}/resources/{resource}/events?sort_dir=asc'
        answer = self.cloud.orchestration.get(path)
        return [
            f'{e["resource_name"]} {e["resource_status"]} {e["resource_status_reason"]}'
            for e in answer.json()['events']
        ]

    def mark_unhealthy(self, resource: dict[str, Any], reason: str = 'the test says so') -> None:
        """Do what `openstack stack resource mark unhealthy` does, to one of ``resources``."""
        (link,) = [one['href'] for one in resource['links'] if one['rel'] == 'self']
        path = link.partition('/stacks/')[2]
        answer = self.cloud.orchestration.patch(
            f'/stacks/{path}',
            json={'mark_unhealthy': True, 'resource_status_reason': reason},
        )
        assert answer.status_code == 200, answer.text

    # --- signals -----------------------------------------------------------------------------

    def signal(self, resource: str, body: Any = None) -> None:
        """Signal a resource as `openstack stack resource signal` does."""
        answer = self.cloud.orchestration.post(
            f'/stacks/{self.name}/{self.id}/resources/{resource}/signal',
            json=body,
        )
        assert answer.status_code in (200, 201, 204), answer.text

    @staticmethod
    def post_alarm(url: str, body: Any = None) -> int:
        """Post to a pre-signed url as Aodh does; no credentials but those in the url."""
        request = urllib.request.Request(
            url,
            data=json.dumps(body or {}).encode(),
            method='POST',
            headers={'Content-Type': 'application/json'},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return int(answer.status)


def _text(content: Any) -> str:
    return content.decode() if isinstance(content, bytes) else str(content)
