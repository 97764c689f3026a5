# SPDX-License-Identifier: Apache-2.0
"""Stacks whose hosts die in the tests of the agent."""

from lab.client import stacks

# One member on the host that is to die, the other elsewhere.
PAIR = """
heat_template_version: 2016-10-14
parameters:
  image: {type: string, default: tiny}
  flavor: {type: string, default: m1.tiny}
  network: {type: string, default: private}
resources:
  apart:
    type: OS::Nova::ServerGroup
    properties: {policies: [anti-affinity]}
  volume:
    type: OS::Cinder::Volume
    properties: {size: 1}
  pair:
    type: OS::Heat::AutoScalingGroup
    properties:
      min_size: 2
      max_size: 2
      resource:
        type: ha_server.yaml
        properties:
          image: {get_param: image}
          flavor: {get_param: flavor}
          network: {get_param: network}
          server_group: {get_resource: apart}
  failover:
    type: OS::Heat::FailoverPolicy
    properties:
      auto_scaling_group_id: {get_resource: pair}
      resource:
        type: OS::Cinder::VolumeAttachment
        properties:
          instance_uuid: '%active%'
          volume_id: {get_resource: volume}
  replace:
    type: OS::Heat::ScalingPolicy
    properties:
      adjustment_type: replace_oldest
      auto_scaling_policy_id: {get_resource: failover}
      scaling_adjustment: 1
  rescue_pair:
    type: OS::Heat::RescuePolicy
    properties:
      servers: [{get_resource: pair}]
      methods: [{method: failover, attempts: 2}]
      failover_policy: {get_resource: replace}
      priority: 5
outputs:
  volume: {value: {get_resource: volume}}
"""

_RESCUE = """
  rescue_group:
    type: OS::Heat::RescuePolicy
    properties:
      servers: [{get_resource: group}]
      methods: [{method: failover, attempts: 2}]
      failover_policy: {get_resource: replace}
"""


def fenced_in_storage() -> str:
    """The example of a fence in the storage, whose members are rescued as well."""
    text = (stacks.EXAMPLES / 'failover_storage_fence.yaml').read_text()
    end = '\noutputs:\n'
    assert text.count(end) == 1, 'the example has another form'
    return text.replace(end, _RESCUE + end)


# Eleven servers, all of which are made on the host that is to die, under three policies.
ELEVEN = f"""
heat_template_version: 2016-10-14
resources:
  volume:
    type: OS::Cinder::Volume
    properties: {{size: 1}}
  database: {stacks.SERVER}
  data:
    type: OS::Cinder::VolumeAttachment
    properties:
      instance_uuid: {{get_resource: database}}
      volume_id: {{get_resource: volume}}
  readers:
    type: OS::Heat::ResourceGroup
    properties: {{count: 3, resource_def: {stacks.SERVER}}}
  web:
    type: OS::Heat::AutoScalingGroup
    properties:
      min_size: 4
      max_size: 5
      rolling_updates: {{max_batch_size: 4}}
      resource: {{type: ha_server.yaml}}
  batch:
    type: OS::Heat::ResourceGroup
    properties: {{count: 3, resource_def: {stacks.SERVER}}}
  rescue_databases:
    type: OS::Heat::RescuePolicy
    properties:
      servers: [{{get_resource: database}}, {{get_resource: readers}}]
      methods: [{{method: evacuate, attempts: 2}}]
      priority: 10
  rescue_web:
    type: OS::Heat::RescuePolicy
    properties:
      servers: [{{get_resource: web}}]
      methods: [{{method: recreate}}]
  leave_batch:
    type: OS::Heat::RescuePolicy
    properties:
      servers: [{{get_resource: batch}}]
      methods: [{{method: none}}]
outputs:
  volume: {{value: {{get_resource: volume}}}}
  database: {{value: {{get_resource: database}}}}
  readers: {{value: {{get_attr: [readers, refs]}}}}
  batch: {{value: {{get_attr: [batch, refs]}}}}
"""
