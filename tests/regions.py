# SPDX-License-Identifier: Apache-2.0
"""Two regions with a way between them that can be cut.

A region is added to the catalogue whose Heat is RegionTwo's behind a proxy. What is true is
read from RegionTwo itself.
"""

import contextlib
import os
import urllib.parse
import uuid

from tests import cloud
from tests.scenario import cut

# A server and a volume, or nothing that costs time.
TEMPLATE = """
heat_template_version: 2016-10-14
parameters:
  text: {type: string, default: one}
  size: {type: number, default: 0}
  delay: {type: number, default: 0}
resources:
  thing:
    type: OS::Heat::TestResource
    properties:
      value: {get_param: text}
      action_wait_secs:
        create: {get_param: delay}
        update: {get_param: delay}
  random:
    type: OS::Heat::RandomString
outputs:
  text: {value: {get_attr: [thing, output]}}
  random: {value: {get_attr: [random, value]}}
"""


class Far:
    """A region behind a cut."""

    def __init__(self, admin, here='RegionOne', there='RegionTwo'):
        facts = cloud.environment()['regions']
        self._admin = admin
        self.url = facts[there]['urls']['orchestration']
        parsed = urllib.parse.urlsplit(self.url)
        self.cut = cut.Cut((parsed.hostname, parsed.port))
        self.name = f'Far-{os.getpid()}-{uuid.uuid4().hex[:6]}'
        self.tenant = cloud.connect(facts[there]['cloud'])
        self._region = admin.identity.create_region(id=self.name)
        self._endpoint = add_endpoint(
            admin, self.name, self.url.replace(f':{parsed.port}/', f':{self.cut.port}/')
        )

    def close(self):
        """Take the region out of the catalogue again."""
        self.cut.close()
        self._admin.identity.delete_endpoint(self._endpoint)
        self._admin.identity.delete_region(self._region)

    # --- what is true -------------------------------------------------------------------------

    def stacks(self, prefix):
        """The stacks there whose names begin so, as that region shows them."""
        found = self.tenant.orchestration.get('/stacks').json()['stacks']
        return [s for s in found if s['stack_name'].startswith(prefix)]

    def show(self, prefix):
        """The one stack there, with its outputs. :raises AssertionError: there is not one."""
        found = self.stacks(prefix)
        assert len(found) == 1, f'{len(found)} stacks {prefix}*: {found}'
        path = f'/stacks/{found[0]["stack_name"]}/{found[0]["id"]}'
        return self.tenant.orchestration.get(path).json()['stack']

    def output(self, prefix, name):
        """An output's value there now."""
        found = {o['output_key']: o['output_value'] for o in self.show(prefix)['outputs']}
        return found[name]

    def wait_gone(self, prefix, seconds=60):
        """Wait until there is no such stack."""
        cloud.until(lambda: not self.stacks(prefix), f'{prefix}* is gone', seconds=seconds)


def add_endpoint(admin, region, url):
    """Put a Heat into the catalogue."""
    service = next(s for s in admin.identity.services() if s.type == 'orchestration')
    return admin.identity.create_endpoint(
        service_id=service.id, interface='public', region_id=region, url=url
    )


@contextlib.contextmanager
def far(admin):
    """A region behind a cut, for the body."""
    made = Far(admin)
    try:
        yield made
    finally:
        made.close()
