# SPDX-License-Identifier: Apache-2.0
"""The stacks of the handoff benchmark: two servers on two hosts and some volumes each."""

PROVIDER = 'volumes.yaml'

_HEAD = """\
heat_template_version: 2016-10-14

resources:
  apart:
    type: OS::Nova::ServerGroup
    properties:
      policies: [anti-affinity]
"""

# The mark is how all of them are found in Cinder with one request.
_VOLUME = """
  volume_INDEX:
    type: OS::Cinder::Volume
    properties:
      size: 1
      metadata: {bench: MARK}
"""

# Servers depend on the volumes so that they are deleted first, which frees the volumes.
_SERVER = """
  server_LETTER:
    type: OS::Nova::Server
    depends_on: [VOLUMES]
    properties:
      image: tiny
      flavor: m1.tiny
      networks: [{network: private}]
      scheduler_hints: {group: {get_resource: apart}}
"""

_ATTACHMENT = """
  attachment_INDEX:
    type: OS::Cinder::VolumeAttachment
    properties:
      volume_id: {get_resource: volume_INDEX}
      instance_uuid: {if: [a_is_holder, {get_resource: server_a}, {get_resource: server_b}]}
"""

_HOLDER = """
parameters:
  holder:
    type: string
    default: a

conditions:
  a_is_holder: {equals: [{get_param: holder}, a]}
"""

_GROUP = """
  group:
    type: OS::Heat::AutoScalingGroup
    depends_on: [VOLUMES]
    properties:
      min_size: 2
      max_size: 2
      resource:
        type: OS::Nova::Server
        properties:
          image: tiny
          flavor: m1.tiny
          networks: [{network: private}]
          scheduler_hints: {group: {get_resource: apart}}
"""

_POLICY_OF_ONE = """
  policy:
    type: OS::Heat::FailoverPolicy
    properties:
      auto_scaling_group_id: {get_resource: group}
      resource:
        type: OS::Cinder::VolumeAttachment
        properties:
          instance_uuid: '%active%'
          volume_id: {get_resource: volume_0}
"""

_POLICY_OF_SEVERAL = """
  policy:
    type: OS::Heat::FailoverPolicy
    properties:
      auto_scaling_group_id: {get_resource: group}
      resource:
        type: PROVIDER
        properties:
          server: '%active%'
          volumes: [IDS]
"""

_PROVIDER_HEAD = """\
heat_template_version: 2016-10-14

parameters:
  server:
    type: string
  volumes:
    type: comma_delimited_list

resources:
"""

_PROVIDER_ATTACHMENT = """
  attachment_INDEX:
    type: OS::Cinder::VolumeAttachment
    properties:
      instance_uuid: {get_param: server}
      volume_id: {get_param: [volumes, INDEX]}
"""


def bare(count: int, mark: str) -> str:
    """Two servers and the volumes, and nothing that attaches them."""
    return _HEAD + _volumes(count, mark) + _servers(count)


def peer(count: int, mark: str) -> str:
    """The same with stock attachments, on server a or b as the parameter ``holder`` says."""
    return bare(count, mark) + _times(count, _ATTACHMENT) + _HOLDER


def ours(count: int, mark: str) -> str:
    """A group of two servers, and a policy that hands the volumes over."""
    ids = ', '.join(f'{{get_resource: volume_{index}}}' for index in range(count))
    policy = _POLICY_OF_ONE if count == 1 else _POLICY_OF_SEVERAL
    return (
        _HEAD
        + _volumes(count, mark)
        + _after_volumes(count, _GROUP)
        + policy.replace('PROVIDER', PROVIDER).replace('IDS', ids)
    )


def provider(count: int) -> str:
    """The attachments that ``ours`` hands over as one resource."""
    return _PROVIDER_HEAD + _times(count, _PROVIDER_ATTACHMENT)


def _times(count: int, text: str) -> str:
    return ''.join(text.replace('INDEX', str(index)) for index in range(count))


def _volumes(count: int, mark: str) -> str:
    return _times(count, _VOLUME).replace('MARK', mark)


def _servers(count: int) -> str:
    return ''.join(_after_volumes(count, _SERVER).replace('LETTER', letter) for letter in 'ab')


def _after_volumes(count: int, text: str) -> str:
    return text.replace('VOLUMES', ', '.join(f'volume_{index}' for index in range(count)))
