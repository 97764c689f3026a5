# SPDX-License-Identifier: Apache-2.0
"""OS::Heat::Stack and OS::Heat::RemoteStack side by side while a region is down: `make regions`.

The templates differ in the name of the type only. What is true is read from RegionOne's Cinder
and from the far region's Heat.
"""

import uuid

import pytest

from lab.client import access, regions, stacks, waiting
from lab.client.cut import Mode

pytestmark = pytest.mark.regions

TEMPLATE = """
heat_template_version: 2016-10-14
parameters:
  volume: {type: string}
  region: {type: string}
resources:
  here:
    type: OS::Cinder::Volume
    properties: {size: 1, name: {get_param: volume}}
  remote:
    type: TYPE
    properties:
      context: {region_name: {get_param: region}}
      template: |
        TEMPLATE
""".replace('TEMPLATE', regions.TEMPLATE.strip().replace('\n', '\n        '))


class Beside:
    """A parent with a volume of its own and a part in the far region, of one of the two types."""

    def __init__(self, kind, far):
        self._far = far
        # Heat's own type finds a region only in the catalogue of a login that is newer.
        tenant = access.connect('demo')
        name = f'beside-{uuid.uuid4().hex[:6]}'
        self.stack = stacks.Stack(tenant, name, TEMPLATE.replace('TYPE', kind))

    def wanted(self, text):
        """The parameters with which the volume is called so."""
        return {'volume': f'{self.stack.name}-{text}', 'region': self._far.name}

    def volumes(self):
        """What the volumes are called that Cinder has of it."""
        found = self.stack.cloud.block_storage.get('/volumes').json()['volumes']
        begin = f'{self.stack.name}-'
        return [v['name'].removeprefix(begin) for v in found if v['name'].startswith(begin)]

    def there(self):
        """The ids of the stacks that the far region has of it."""
        return [s['id'] for s in self._far.stacks(f'{self.stack.name}-')]

    def here(self):
        """The names of the stacks that RegionOne has of it."""
        found = self.stack.cloud.orchestration.get('/stacks').json()['stacks']
        return [s['stack_name'] for s in found if s['stack_name'].startswith(self.stack.name)]


@pytest.fixture
def both(far):
    """Heat's own, and ours."""
    made = [Beside(kind, far) for kind in ('OS::Heat::Stack', 'OS::Heat::RemoteStack')]
    yield made
    far.cut.be(Mode.OPEN)
    for one in made:
        one.stack.delete()
        far.wait_gone(f'{one.stack.name}-')


def test_a_region_that_is_down_at_create_refuses_heats_own_and_nothing_of_ours(both, far):
    own, ours = both
    far.cut.be(Mode.REFUSED)
    assert far.name in own.stack.refusal(own.wanted('one'))
    assert not own.here() and not own.volumes(), 'not even what is local is made'
    ours.stack.create(ours.wanted('one'))
    assert ours.volumes() == ['one'] and ours.stack.attribute('remote', 'pending') == [far.name]
    far.cut.be(Mode.OPEN)
    far.cut.forget()
    ours.stack.signal('remote', {'action': 'sync'})
    waiting.until(lambda: not ours.stack.attribute('remote', 'pending'), 'the region has got it')
    assert len(ours.there()) == 1 and not own.there()
    assert [w.split()[0] for w in far.cut.writes] == ['POST']


def test_a_region_that_is_down_refuses_heats_own_an_update_of_local_things(both, far):
    own, ours = both
    for one in both:
        one.stack.create(one.wanted('one'))
    before = own.there(), ours.there()
    assert [len(ids) for ids in before] == [1, 1]
    far.cut.be(Mode.REFUSED)
    far.cut.forget()
    assert far.name in own.stack.refusal_of_update(own.wanted('two'))
    assert own.volumes() == ['one'] and own.stack.show()['stack_status'] == 'CREATE_COMPLETE'
    ours.stack.update(ours.wanted('two'))
    assert ours.volumes() == ['two'] and ours.stack.attribute('remote', 'pending') == []
    far.cut.be(Mode.OPEN)
    # It was the cut, and nothing else, that refused it.
    own.stack.update(own.wanted('two'))
    ours.stack.update(ours.wanted('three'))
    assert own.volumes() == ['two'] and ours.volumes() == ['three']
    assert (own.there(), ours.there()) == before
    assert far.cut.writes and not any(f'/{ours.stack.name}-' in w for w in far.cut.writes)
