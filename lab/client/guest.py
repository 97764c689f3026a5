# SPDX-License-Identifier: Apache-2.0
"""What runs inside a server that takes software configs, played from outside.

The lab has no hypervisor, so nobody is inside its servers. A guest here does what
os-collect-config, heat-config and heat-config-notify do there: it takes from the server's user
data where to ask and as whom, polls the server's metadata, runs each deployment that is new with
its inputs as environment, and answers in the way that the deployment wants. It can be slow, fail
or stay mute.
"""

import base64
import email
import json
import os
import subprocess
import tempfile
import threading
import time
from typing import Any

import requests
from keystoneauth1 import exceptions as keystone_exceptions
from keystoneauth1 import session as keystone_session
from keystoneauth1.identity import v3

POLL = 0.5

# What it means that there is no such server (any more).
GONE = (KeyError, keystone_exceptions.ClientException)


class Guest:
    """The inside of one server; a context in which it lives.

    :param admin: reads the server's user data, as the metadata service gives them to it.
    :param slow: seconds that it takes before it runs anything.
    :param fails: its scripts end with status 1, whatever they do.
    :param mute: it runs them and does not answer.
    :param poll: seconds between two questions whether there is anything to run.
    :ivar ran: the names of the configs that were run, with what they wrote.
    """

    def __init__(
        self,
        admin: Any,
        server: str,
        region: str = 'RegionOne',
        *,
        slow: float = 0.0,
        fails: bool = False,
        mute: bool = False,
        poll: float = POLL,
    ) -> None:
        self.server = server
        self._poll = poll
        self.slow, self.fails, self.mute = slow, fails, mute
        self.ran: list[tuple[str, str]] = []
        self.errors: list[str] = []
        self._last: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
        self._seen: set[str] = set()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._settings = _settings(admin, server)
        auth = v3.Password(
            auth_url=self._settings['auth_url'],
            user_id=self._settings['user_id'],
            password=self._settings['password'],
            project_id=self._settings['project_id'],
        )
        self._heat = keystone_session.Session(auth=auth, timeout=30)
        self._region = region

    def __enter__(self) -> 'Guest':
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._is_over.set()
        self._thread.join(timeout=30)

    def _live(self) -> None:
        while not self._is_over.wait(self._poll):
            try:
                found = self._deployments()
            except (requests.RequestException, keystone_exceptions.ClientException) as exc:
                self.errors.append(str(exc))
                continue
            for deployment in found:
                if deployment['id'] not in self._seen:
                    self._seen.add(deployment['id'])
                    try:
                        self._run(deployment)
                    except (OSError, subprocess.SubprocessError) as exc:
                        self.errors.append(str(exc))

    def _deployments(self) -> list[dict[str, Any]]:
        answer = self._heat.get(
            f'/stacks/{self._settings["stack_id"]}'
            f'/resources/{self._settings["resource_name"]}/metadata',
            endpoint_filter={'service_type': 'orchestration', 'region_name': self._region},
        )
        found: list[dict[str, Any]] = answer.json()['metadata'].get('deployments') or []
        return found

    def _run(self, deployment: dict[str, Any]) -> None:
        began = time.monotonic()
        while time.monotonic() < began + self.slow:
            if self._is_over.wait(self._poll):
                return
        if time.monotonic() > began + self._poll:
            # What was given up meanwhile is not run any more.
            known = {one['id'] for one in self._deployments()}
            if deployment['id'] not in known:
                return
        inputs = {i['name']: i.get('value') for i in deployment['inputs']}
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                ['/bin/sh', '-c', deployment['config']],
                env=os.environ | {k: str(v) for k, v in inputs.items()},
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
        status = 1 if self.fails else done.returncode
        body = {
            'deploy_stdout': done.stdout,
            'deploy_stderr': 'the guest fails on purpose' if self.fails else done.stderr,
            'deploy_status_code': status,
        }
        self._last = inputs, body
        self.ran.append((deployment['name'], done.stdout))
        if self.mute or inputs.get('deploy_signal_transport') == 'NO_SIGNAL':
            return
        self._answer(inputs, body)

    def answer_again(self) -> None:
        """Give the last answer, as a mute guest that finds its voice."""
        self._answer(*self._last)

    @staticmethod
    def _answer(inputs: dict[str, Any], body: dict[str, Any]) -> None:
        # Like heat-config-notify with a pre-signed address; it tries a few times.
        for _ in range(5):
            answer = requests.request(
                inputs['deploy_signal_verb'],
                inputs['deploy_signal_id'],
                data=json.dumps(body),
                headers={'Content-Type': 'application/json'},
                timeout=60,
            )
            if answer.ok:
                return
            time.sleep(1)


def _settings(admin: Any, server: str) -> dict[str, str]:
    """Where and as whom the server asks for its metadata, from its user data."""
    answer = admin.compute.get(f'/servers/{server}', microversion='2.3').json()['server']
    text = base64.b64decode(answer['OS-EXT-SRV-ATTR:user_data'])
    for part in email.message_from_bytes(text).walk():
        if part.get_filename() == 'cfn-init-data':
            content = part.get_payload(decode=True)
            assert isinstance(content, bytes)
            found: dict[str, str] = json.loads(content)['os-collect-config']['heat']
            return found
    raise AssertionError(f'server {server} has no user data for software configs')
