# SPDX-License-Identifier: Apache-2.0
"""Prometheus' Alertmanager, the real program, told of alerts as Prometheus tells it."""

import contextlib
import datetime
import json
import pathlib
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from lab.client import bmc, waiting

PROGRAM = '/usr/bin/prometheus-alertmanager'


class Alertmanager:
    """One that runs."""

    def __init__(self, address: str) -> None:
        self._address = address

    def answers(self) -> bool:
        """Whether it takes alerts."""
        try:
            with urllib.request.urlopen(f'{self._address}/-/ready', timeout=2):
                return True
        except (urllib.error.URLError, OSError):
            return False

    def notified(self) -> int:
        """How many webhooks it has sent that were taken."""
        counts = {}
        with urllib.request.urlopen(f'{self._address}/metrics', timeout=5) as answer:
            for line in answer.read().decode().splitlines():
                name, _, value = line.rpartition(' ')
                if '{integration="webhook"' in name:
                    counts[name.partition('{')[0]] = int(float(value))
        sent = counts.get('alertmanager_notifications_total', 0)
        return sent - counts.get('alertmanager_notifications_failed_total', 0)

    def tell(self, labels: Mapping[str, str], *, is_over: bool = False) -> None:
        """Tell it that an alert fires, or is over."""
        now = datetime.datetime.now(datetime.timezone.utc)
        alert: dict[str, Any] = {'labels': dict(labels), 'annotations': {'summary': 'of a test'}}
        if is_over:
            alert['endsAt'] = now.isoformat()
        request = urllib.request.Request(
            f'{self._address}/api/v2/alerts',
            data=json.dumps([alert]).encode(),
            headers={'Content-Type': 'application/json'},
        )
        with urllib.request.urlopen(request, timeout=10):
            pass


def receiver(url: str, token: str = '') -> dict[str, Any]:
    """A configuration that sends each alert by itself to a url at once."""
    webhook: dict[str, Any] = {'url': url, 'send_resolved': True}
    if token:
        webhook['http_config'] = {'authorization': {'credentials': token}}
    return {
        'route': {
            'receiver': 'heat-ha',
            'group_by': ['...'],
            'group_wait': '0s',
            'group_interval': '1s',
            'repeat_interval': '1h',
        },
        'receivers': [{'name': 'heat-ha', 'webhook_configs': [webhook]}],
    }


@contextlib.contextmanager
def running(folder: pathlib.Path, configuration: Mapping[str, Any]) -> Iterator[Alertmanager]:
    """Run it alone, without a cluster, with its configuration."""
    config, port = folder / 'alertmanager.yml', bmc.free_port()
    config.write_text(yaml.safe_dump(dict(configuration)))
    command = [
        PROGRAM,
        f'--config.file={config}',
        f'--storage.path={folder}/alertmanager',
        f'--web.listen-address=127.0.0.1:{port}',
        '--cluster.listen-address=',
    ]
    log = folder / 'alertmanager.log'
    with open(log, 'w') as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder)
    found = Alertmanager(f'http://127.0.0.1:{port}')
    try:
        waiting.until(found.answers, f'Alertmanager works: {log}', seconds=30)
        yield found
    finally:
        process.terminate()
        process.wait(timeout=10)
