# SPDX-License-Identifier: Apache-2.0
"""Two regions with a way between them that can be cut.

A region is added to the catalogue whose Heat is RegionTwo's behind a proxy. What is true is
read from RegionTwo itself.
"""

import contextlib
import os
import urllib.parse
import uuid

from lab.client import access, cut, stacks, waiting

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
        facts = access.environment()['regions']
        self._admin = admin
        self.url = facts[there]['urls']['orchestration']
        parsed = urllib.parse.urlsplit(self.url)
        self.cut = cut.Cut((parsed.hostname, parsed.port))
        self.name = f'Far-{os.getpid()}-{uuid.uuid4().hex[:6]}'
        self.tenant = access.connect(facts[there]['cloud'])
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
        waiting.until(lambda: not self.stacks(prefix), f'{prefix}* is gone', seconds=seconds)


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


PARENT = """
heat_template_version: 2016-10-14
parameters:
  text: {type: string, default: one}
  local: {type: string, default: ''}
  delay: {type: number, default: 0}
  regions: {type: json}
  partition: {type: json, default: {}}
  more: {type: json, default: {}}
resources:
  here:
    type: OS::Heat::Value
    properties: {value: {get_param: local}}
  remote:
    type: OS::Heat::RemoteStack
    properties:
      regions: {get_param: regions}
      partition: {get_param: partition}
      parameters:
        map_merge:
          - {text: {get_param: text}, delay: {get_param: delay}}
          - {get_param: more}
      template: |
        TEMPLATE
outputs:
  outputs: {value: {get_attr: [remote, outputs]}}
  local: {value: {get_attr: [here, value]}}
""".replace('TEMPLATE', TEMPLATE.strip().replace('\n', '\n        '))


class Parent:
    """A parent stack with one RemoteStack, called ``remote``."""

    def __init__(self, stack, far):
        self.stack = stack
        self.far = far
        self.wanted = {'regions': ['RegionOne', far.name]}

    @property
    def prefix(self):
        """How the names of the stacks in the regions begin."""
        return f'{self.stack.name}-remote-'

    def create(self, **changes):
        """Create the parent and wait for the end."""
        self.wanted |= changes
        self.stack.create(self.wanted)
        return self

    def update(self, **changes):
        """Update the parent and wait for the end."""
        self.wanted |= changes
        self.stack.update(self.wanted)

    def sync(self, seconds=30):
        """Tell the RemoteStack that the region is back, and wait until nothing is pending."""
        self.stack.signal('remote', {'action': 'sync'})
        waiting.until(lambda: not self.attributes['pending'], 'nothing is pending', seconds=seconds)

    @property
    def attributes(self):
        """All attributes of the RemoteStack now."""
        return self.stack.resource('remote')['attributes']

    def wait_state(self, region, state, seconds=60):
        """Wait until a part is in a state, while the parent may still be at its beginning."""
        waiting.until(
            lambda: (self.attributes['state'] or {}).get(region) == state,
            f'{region} is {state}',
            seconds=seconds,
        )

    def of_far(self, name):
        """One attribute, of the far region."""
        return self.attributes[name][self.far.name]

    def assert_settled(self):
        """Applied is wanted everywhere, nothing is twice, and a second pass writes nothing."""
        found = self.attributes
        for name, revision in found['revision'].items():
            assert revision['applied'] == revision['desired'] != '', (name, found['reason'])
        assert self.far.show(self.prefix)['id'] == found['stack_ids'][self.far.name]
        self.far.cut.forget()
        self.stack.signal('remote')
        waiting.until(lambda: self.far.cut.requests, 'the region is asked')
        waiting.until(lambda: not self.attributes['pending'], 'nothing is pending')
        assert not self.far.cut.writes

    def tombstones(self):
        """The stacks that keep this parent's tombstones."""
        found = self.stack.cloud.orchestration.get('/stacks').json()['stacks']
        made = []
        for one in found:
            if one['stack_name'].startswith(f'{self.stack.name}-tombstone-'):
                made.append(stacks.Stack(self.stack.cloud, one['stack_name'], ''))
                made[-1].id = one['id']
        return made

    def clean(self):
        """Take away what a test has left; the way is open again."""
        self.far.cut.be(cut.Mode.OPEN)
        self.stack.delete()
        for stack in self.tombstones():
            stack.delete()
        for left in self.far.stacks(self.prefix):
            self.far.tenant.orchestration.delete(f'/stacks/{left["stack_name"]}/{left["id"]}')
        self.far.wait_gone(self.prefix)
