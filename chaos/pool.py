# SPDX-License-Identifier: Apache-2.0
"""The stacks that fail over again and again: four shapes that have all kinds of step together."""

import contextlib
import dataclasses
import json
import urllib.error
import uuid
from typing import Any

from chaos import check
from chaos.choice import Trouble
from chaos.database import Database
from heat_ha import serialization
from heat_ha.failover import model, record
from lab.client import stacks

POLICY = 'failover'
GROUP = 'group'

# The policies that scale, and the one that replaces.
MORE, LESS, REPLACE = 'more', 'less', 'replace'

# Seconds in which a policy refuses further alarms. A burst and its late stragglers come within.
COOLDOWN = 90.0

_HEAD = """\
heat_template_version: 2021-04-16

parameters:
  fencing_timeout: {type: number, default: 45}
  is_beside: {type: boolean, default: false}

conditions:
  beside: {get_param: is_beside}

resources:
  apart:
    type: OS::Nova::ServerGroup
    properties:
      policies: [soft-anti-affinity]

  # Servers are made again to get into another group: so an update rolls through the members.
  beside:
    type: OS::Nova::ServerGroup
    properties:
      policies: [soft-anti-affinity]

  group:
    type: OS::Heat::AutoScalingGroup
    # Servers go first when the stack is deleted, which frees the volumes.
    depends_on: [VOLUMES]
    properties:
      min_size: SIZE
      max_size: MOST
      desired_capacity: SIZE
      resource:
        type: MEMBER
        properties:
          server_group: {if: [beside, {get_resource: beside}, {get_resource: apart}]}
"""

_VOLUME = """
  NAME:
    type: OS::Cinder::Volume
    properties: {size: 1}
"""

_POLICY = """
  failover:
    type: OS::Heat::FailoverPolicy
    properties:
      auto_scaling_group_id: {get_resource: group}
      cooldown: COOLDOWN
      fencing_timeout: {get_param: fencing_timeout}
      quiesce: QUIESCE
      activate: ACTIVATE
      resource: RESOURCE
"""

# What is asked of the servers, and the guests in them answer.
_CONFIG = """
  NAME:
    type: OS::Heat::SoftwareConfig
    properties: {group: script, config: echo NAME}
"""

_HOOK = '{config: {get_resource: NAME}, timeout: 60, on_failure: stop}'

_REPLACE = """
  replace:
    type: OS::Heat::ScalingPolicy
    properties:
      adjustment_type: replace_oldest
      auto_scaling_policy_id: {get_resource: failover}
      scaling_adjustment: 1
      replacement_order: ORDER
"""

# As a tenant has them for the load. The bounds of the group make a repeated signal harmless.
_SCALE = """
  NAME:
    type: OS::Heat::ScalingPolicy
    properties:
      adjustment_type: change_in_capacity
      auto_scaling_group_id: {get_resource: group}
      scaling_adjustment: COUNT
"""

_ONE_VOLUME = """
        type: OS::Cinder::VolumeAttachment
        properties: {instance_uuid: '%active%', volume_id: {get_resource: VOLUME}}"""

_THREE_VOLUMES = """
        type: three_volumes.yaml
        properties:
          server: '%active%'
          log_volume: {get_resource: log_volume}
          data_volume: {get_resource: data_volume}
          backup_volume: {get_resource: backup_volume}"""

_OUTPUT = """
outputs:
  alarm_url: {value: {get_attr: [POLICY, alarm_url]}}
"""

_MOVES = (model.StepKind.DETACH, model.StepKind.ATTACH, model.StepKind.HAND_OVER)


@dataclasses.dataclass(frozen=True)
class Shape:
    """What a stack of the pool looks like. ``order`` is None without a policy that replaces."""

    name: str
    size: int
    volumes: tuple[str, ...]
    quiesce: str
    order: str | None
    has_hooks: bool = False

    @property
    def steps(self) -> tuple[str, ...]:
        """The kinds of step that its failovers have."""
        kinds = list(_MOVES)
        if self.size == 1:
            kinds.append(model.StepKind.ADD_MEMBER)
        if self.quiesce == 'stop':
            kinds.append(model.StepKind.STOP_SERVER)
        if self.has_hooks:
            kinds += [model.StepKind.QUIESCE, model.StepKind.ACTIVATE]
        # A group of one replaces what it has moved everything off by itself.
        if self.order is not None or self.size == 1:
            kinds.append(model.StepKind.REPLACE)
        return tuple(k.value for k in kinds)

    @property
    def troubles(self) -> tuple[Trouble, ...]:
        """What may be done to its stacks besides, and can be told right from wrong."""
        found = [Trouble.OLD_LOCKED, Trouble.UPDATED]
        if self.size > 1:
            found += [Trouble.HEIR_LOCKED, Trouble.SCALED, Trouble.ROLLED, Trouble.SECOND_ALARM]
            found += [Trouble.SECOND_STOPPED, Trouble.SECOND_FROZEN]
        if self.size > 1 and not self.has_hooks:
            # No config runs in a server that is shut off.
            found.append(Trouble.NOBODY_CAN)
            if len(self.volumes) == 1:
                found.append(Trouble.VOLUME_DELETED)
        return tuple(found)

    @property
    def member(self) -> str:
        """The example that a member is made of."""
        return 'ha_configured_server' if self.has_hooks else 'ha_server'

    def template(self, generation: int = 1) -> str:
        """The text of the stack's template.

        :param generation: of the only volume's name; another one is a new volume to Heat.
        """
        names = self.volumes
        if len(names) == 1:
            names = (names[0] if generation == 1 else f'{names[0]}_{generation}',)
        definition = _ONE_VOLUME if len(names) == 1 else _THREE_VOLUMES
        quiesce, activate = f'{{server_action: {self.quiesce}}}', '{}'
        text = _HEAD + ''.join(_VOLUME.replace('NAME', name) for name in names)
        if self.has_hooks:
            for name in ('quiesce', 'activate'):
                text += _CONFIG.replace('NAME', f'{name}_config')
            quiesce, activate = (
                _HOOK.replace('NAME', f'{name}_config') for name in ('quiesce', 'activate')
            )
        text += (
            _POLICY.replace('RESOURCE', definition.replace('VOLUME}', f'{names[0]}}}'))
            .replace('QUIESCE', quiesce)
            .replace('ACTIVATE', activate)
        )
        if self.order is not None:
            text += _REPLACE.replace('ORDER', self.order)
        if self.size > 1:
            for name, count in ((MORE, '1'), (LESS, '-1')):
                text += _SCALE.replace('NAME', name).replace('COUNT', count)
        text += _OUTPUT.replace('POLICY', 'replace' if self.order else POLICY)
        return (
            text.replace('SIZE', str(self.size))
            .replace('MOST', str(self.size + 1 if self.size > 1 else 1))
            .replace('MEMBER', f'{self.member}.yaml')
            .replace('VOLUMES', ', '.join(names))
            .replace('COOLDOWN', f'{COOLDOWN:.0f}')
        )


PAIR = Shape('pair', 2, ('volume',), 'none', 'create_first')
STOPPED = Shape(
    'stopped', 2, ('log_volume', 'data_volume', 'backup_volume'), 'stop', 'delete_first'
)
SINGLE = Shape('single', 1, ('volume',), 'none', None)
HOOKED = Shape('hooked', 2, ('volume',), 'none', 'create_first', has_hooks=True)

SHAPES = (PAIR, STOPPED, SINGLE, HOOKED)


class Member:
    """One stack of the pool."""

    def __init__(self, cloud: Any, database: Database, number: int, shape: Shape) -> None:
        self.number = number
        self.shape = shape
        self._database = database
        self.stack = stacks.Stack(cloud, f'chaos-{uuid.uuid4().hex[:6]}-{number}', shape.template())
        self.nested = ''
        self.volumes: list[str] = []
        self.alarm_url = ''
        self._parameters: dict[str, Any] = {'fencing_timeout': 45, 'is_beside': False}
        self._generation = 1

    def create(self) -> None:
        """Make the stack and learn what does not change of it."""
        self.stack.create(self._parameters)
        self.learn_volumes()
        self.nested = self.stack.resource(POLICY)['physical_resource_id']
        self.alarm_url = self.stack.output('alarm_url')

    def learn_volumes(self) -> None:
        """Ask Heat which volumes there are."""
        self.volumes = sorted(self.stack.volumes())

    def alarm(self, body: object = None) -> None:
        """Post to the pre-signed url, as an alarm does."""
        # An engine that dies with the request in hand leaves the API without an answer.
        with contextlib.suppress(urllib.error.URLError, TimeoutError, ConnectionError):
            self.stack.post_alarm(self.alarm_url, body)

    def holders(self) -> dict[str, tuple[str, ...]]:
        """For each volume its servers, once for Cinder and once for Nova."""
        return self._database.holders(self.volumes)

    def change(self, trouble: Trouble) -> None:
        """Change what is wanted of the stack; ``update`` sends it."""
        if trouble is Trouble.VOLUME_DELETED:
            self._generation += 1
            self.stack.template = self.shape.template(self._generation)
        elif trouble is Trouble.ROLLED:
            self._parameters['is_beside'] = not self._parameters['is_beside']
        else:
            self._parameters['fencing_timeout'] = 91 - self._parameters['fencing_timeout']

    def update(self) -> None:
        """Send the template and parameters as they are now. :raises AssertionError: refused."""
        self.stack.update(self._parameters, wait=False)

    def status(self) -> str:
        """Action and status of the stack."""
        return str(self.stack.show()['stack_status'])

    def record(self) -> model.Record:
        """The policy's record as Heat's database has it now."""
        return serialization.decode(model.Record, self._data()[record.RECORD], 'the record')

    def look(self) -> check.Picture:
        """All that the checks want to know of the stack."""
        data = self._data()
        resources = self.stack.resources()
        template, status = self._nested_stack()
        servers = {
            r['physical_resource_id']: r.get('parent_resource', '')
            for r in resources
            if r['resource_type'] == 'OS::Nova::Server' and r['physical_resource_id']
        }
        return check.Picture(
            record=serialization.decode(model.Record, data[record.RECORD], 'the record'),
            history=tuple(data.get(record.HISTORY, ())),
            size=self.shape.size,
            members={
                r['resource_name']: r['resource_status']
                for r in resources
                if r.get('parent_resource') == GROUP
            },
            servers=servers,
            ports=frozenset(
                r['physical_resource_id']
                for r in resources
                if r['resource_type'] == 'OS::Neutron::Port'
            ),
            server_states=self._database.server_states(list(servers)),
            volumes=tuple(self.volumes),
            holders=self._database.holders(self.volumes),
            nested_status=status,
            nested_template=template,
        )

    def failed(self) -> list[str]:
        """The members of the group that Heat counts as failed."""
        return [
            r['resource_name']
            for r in self.stack.resources(depth=1)
            if r.get('parent_resource') == GROUP and r['resource_status'].endswith('FAILED')
        ]

    def _data(self) -> dict[str, Any]:
        rows = self._database.query(
            'SELECT d.`key`, d.value FROM heat_one.resource_data d'
            ' JOIN heat_one.resource r ON r.id = d.resource_id'
            " WHERE r.stack_id = %s AND r.name = %s AND d.`key` LIKE 'ha\\_%%'",
            self.stack.id,
            POLICY,
        )
        return {k: json.loads(v) for k, v in rows if k in (record.RECORD, record.HISTORY)}

    def _nested_stack(self) -> tuple[str, str]:
        ((template, action, status),) = self._database.query(
            'SELECT t.template, s.action, s.status FROM heat_one.stack s'
            ' JOIN heat_one.raw_template t ON t.id = s.raw_template_id WHERE s.id = %s',
            self.nested,
        )
        return template, f'{action}_{status}'
