# SPDX-License-Identifier: Apache-2.0
"""Snapshots of a stack whose parts are in several regions."""

from lab.client import waiting


class Snapshots:
    """The snapshots of a parent, asked for as the tenant."""

    def __init__(self, parent):
        self._parent = parent
        self._api = parent.stack.cloud.orchestration
        self._path = f'/stacks/{parent.stack.name}/{parent.stack.id}/snapshots'

    def show(self):
        """All of them by id: the status, and its reason."""
        found = self._api.get(self._path).json()['snapshots']
        return {s['id']: (s['status'], s['status_reason']) for s in found}

    def take(self, status='COMPLETE'):
        """Take one and wait for its end. :returns: its id, and the reason of its status."""
        answer = self._api.post(self._path, json={'name': 'before'})
        assert answer.status_code < 300, answer.text
        taken = answer.json()['id']
        waiting.until(
            lambda: self.show()[taken][0] != 'IN_PROGRESS', 'the snapshot ends', seconds=90
        )
        found, reason = self.show()[taken]
        assert found == status, reason
        return taken, reason

    def restore(self, taken):
        """Go back to one and wait for the end."""
        answer = self._api.post(f'{self._path}/{taken}/restore')
        assert answer.status_code < 300, answer.text
        self._parent.stack.wait('RESTORE', seconds=90)

    def delete(self, taken):
        """Delete one and wait until it is gone."""
        answer = self._api.delete(f'{self._path}/{taken}')
        assert answer.status_code < 300, answer.text
        waiting.until(lambda: taken not in self.show(), 'the snapshot is gone', seconds=90)


def in_region(api, prefix):
    """The status of each snapshot of the part in one region, as that region shows them."""
    stacks = [s for s in api.get('/stacks').json()['stacks'] if s['stack_name'].startswith(prefix)]
    found = []
    for stack in stacks:
        path = f'/stacks/{stack["stack_name"]}/{stack["id"]}/snapshots'
        found += [s['status'] for s in api.get(path).json()['snapshots']]
    return found
