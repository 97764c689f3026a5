# SPDX-License-Identifier: Apache-2.0
"""The group ``heat_ha_agent``: how the program beside Heat works."""

from typing import Any

from oslo_config import cfg

GROUP = 'heat_ha_agent'

# As many fences of a host are kept on record: a higher limit would never be reached.
MAX_FENCES = 20

OPTIONS = [
    cfg.StrOpt(
        'name',
        help='The name of this agent in logs and proofs; by default the name of the machine. Not '
        '"hand", nor one with "nova_forced_down" in it: in proofs these mean a person and a mark.',
    ),
    cfg.StrOpt(
        'coordination_url',
        default='file:///var/lib/heat-ha/locks',
        help='Where the agents of a region share their locks: a URL of tooz. The default is for '
        'one machine; several agents need etcd3+http://, redis:// or mysql://.',
    ),
    cfg.ListOpt(
        'sources',
        default=['services_api', 'nova_notifications'],
        help='What reports about hosts: services_api, nova_notifications, webhook.',
    ),
    cfg.ListOpt(
        'confirm',
        default=['services_api'],
        help='When a host counts as down: alternatives, in each of which all sources that are '
        'joined by + must agree. An example: "services_api+webhook, nova_notifications".',
    ),
    cfg.ListOpt(
        'fail_open',
        default=[],
        help='Sources that count as agreeing while they cannot be asked. All others are '
        'fail-closed. At least one source must still report the host as down.',
    ),
    cfg.ListOpt(
        'certain',
        default=[],
        help='Sources whose senders have made sure before they report a host as down, as a '
        'cluster manager with a quorum does. Where one of them is among the sources that agree, '
        'the agent does not wait for settle. Do not name a source that may flap, or that reports '
        'what it merely sees. The storm guard and the fence come first in any case.',
    ),
    cfg.FloatOpt(
        'settle',
        default=5.0,
        min=0,
        help='Seconds for which a host must be down without a break before the agent acts, where '
        'no certain source reports it. Where services_api is among the sources that agree, and '
        "all other hosts have gone on reporting, they count from the host's last heartbeat. For a "
        'host that Nova shows as forced_down the agent does not wait.',
    ),
    cfg.FloatOpt(
        'poll_interval',
        default=3.0,
        min=0.2,
        help="Seconds between two looks at Nova's services. Keep it below service_down_time.",
    ),
    cfg.FloatOpt(
        'report_valid',
        default=300.0,
        min=1,
        help='Seconds for which a report to the webhook counts, and after which a notification '
        'that the broker kept is too old.',
    ),
    cfg.StrOpt(
        'fencing_file',
        default='',
        help='The YAML file that says which driver fences which host. Without it others must '
        'fence, and set forced_down afterwards.',
    ),
    cfg.FloatOpt(
        'fence_check_interval',
        default=600.0,
        min=0,
        help='Seconds between two questions of the agent to each fence, so that a fence that is '
        'dead or belongs to another host is known before it is needed. Nothing is switched off. '
        '0: each fence is asked only at the start.',
    ),
    cfg.FloatOpt(
        'proof_valid',
        default=300.0,
        min=1,
        help='Seconds for which a fence is relied on. Then the host is fenced again before it is '
        'marked in Nova, and before further policies are signalled: somebody may have switched it '
        'on. Much less than an evacuation takes only costs requests.',
    ),
    cfg.IntOpt(
        'fences_per_incident',
        default=3,
        min=1,
        max=MAX_FENCES,
        help='How many times a host is fenced in one incident. Each sign of life after a fence '
        'leads to another one, before anything else is done. A host that lives after so many is '
        'held back for a person: its entry in the fencing file may be that of another host.',
    ),
    cfg.IntOpt(
        'fences_at_once',
        default=2,
        min=1,
        help='Hosts that are fenced at the same time. The fewer, the more can be seen between two '
        'fences that speaks against the next one. A host whose fence does not succeed within a '
        'minute keeps no other one waiting.',
    ),
    cfg.FloatOpt(
        'old_silence',
        default=86400.0,
        min=60,
        help='Seconds. A host that has been silent for longer when the agent first sees it down '
        'has not failed just now, and is left alone until somebody marks it as forced_down. '
        'Longer than the agents are ever stopped for.',
    ),
    cfg.FloatOpt(
        'deferred_valid',
        default=86400.0,
        min=60,
        help='Seconds for which a host is held back for a person, with a reminder in the log each '
        'hour. Then it is dropped: it rests until it is back, as after heat-ha-agent drop. By '
        'then others will have seen to its servers.',
    ),
    cfg.FloatOpt(
        'storm_host_share',
        default=0.2,
        min=0,
        max=1,
        help='Share of the hosts that may fail within storm_period. One host always may. Hosts '
        'that an operator has disabled do not count among all hosts.',
    ),
    cfg.IntOpt(
        'storm_together',
        default=3,
        min=0,
        help='Hosts that may fail within storm_together_seconds; 0: no limit. Hosts die one by '
        'one. When more fall silent in one moment, a switch or what observes them has rather '
        'failed than they. A rack with one supply of power may really have died: a person decides.',
    ),
    cfg.FloatOpt(
        'storm_together_seconds',
        default=30.0,
        min=0,
        help="Seconds within which failures count as one moment: some of Nova's report_interval.",
    ),
    cfg.IntOpt(
        'storm_per_host',
        default=3,
        min=0,
        max=MAX_FENCES,
        help='How many times one host may be fenced within storm_period, over all its incidents; '
        '0: no limit. A host that returns and fails again and again is for a person to look at. A '
        'fence that only renews the proof of the same failure is not counted.',
    ),
    cfg.IntOpt(
        'storm_per_domain',
        default=0,
        min=0,
        help='Hosts of one failure domain that may fail within storm_period; 0: no limit. Set it '
        'where a domain has one switch: what takes part of a domain away may take all of it.',
    ),
    cfg.ListOpt(
        'storm_domains',
        default=[],
        help='Failure domains, each a name and patterns of hosts as Nova names them, for example '
        '"rack1=compute-1?, rack2=compute-2? gpu-2?". Host aggregates are not read: name their '
        'hosts here.',
    ),
    cfg.BoolOpt(
        'storm_zones',
        default=False,
        help='Whether each availability zone is a failure domain as well.',
    ),
    cfg.FloatOpt(
        'storm_period', default=3600.0, min=1, help='Seconds over which failures are counted.'
    ),
    cfg.IntOpt(
        'storm_per_project',
        default=0,
        min=0,
        help='Servers of one project that may be rescued within storm_period; 0: no limit. So many '
        'may also fail over because their guests ended by themselves, by what one agent signals.',
    ),
    cfg.IntOpt(
        'storm_per_stack',
        default=0,
        min=0,
        help='The same for the servers of one stack.',
    ),
    cfg.IntOpt(
        'servers_at_once',
        default=32,
        min=1,
        help='Servers of one host whose rescue may be under way at once. A policy with more '
        'servers than that is signalled alone.',
    ),
    cfg.IntOpt(
        'servers_per_destination',
        default=16,
        min=0,
        help='Servers that may be rebuilt on one host before further policies are signalled, '
        'whoever evacuates them; 0: no limit. Nova chooses the host, so all hosts that take '
        'servers count together. One policy of a failed host is always signalled when none of '
        'that host is under way.',
    ),
    cfg.BoolOpt(
        'reopen_when_clean',
        default=True,
        help='Let a host that is back take servers again once no evacuated guest is left on it. '
        'Otherwise an operator unsets forced_down.',
    ),
    cfg.ListOpt(
        'notification_urls',
        default=[],
        help="The URLs of the message buses with Nova's versioned notifications; by default "
        "Heat's own.",
    ),
    cfg.StrOpt(
        'notification_topic',
        default='versioned_notifications',
        help="The topic of Nova's notifications: its [notifications] "
        'versioned_notifications_topics.',
    ),
    cfg.StrOpt(
        'notification_exchange',
        default='nova',
        help="The exchange of Nova's notifications: its control_exchange.",
    ),
    cfg.ListOpt(
        'listen',
        default=['127.0.0.1'],
        help='The addresses of the webhook, the metrics and what else the agent answers by HTTP: '
        'names or addresses, each with a port or without, such as "127.0.0.1, [::1]:9643". '
        'There is no TLS: for other machines put a proxy with TLS in front of it.',
    ),
    cfg.PortOpt('port', default=9642, help='The port of the addresses in listen without one.'),
    cfg.StrOpt(
        'tokens_file',
        default='',
        help='The file that says who may report to the webhook: one or more lines NAME:TOKEN.',
    ),
    cfg.StrOpt(
        'operators_file',
        default='',
        help='The file that says who may ask for the hosts by HTTP, and decide about them: one or '
        'more lines NAME:TOKEN. Without it nobody may.',
    ),
    cfg.BoolOpt(
        'masakari_notifications',
        default=False,
        help="Take what Masakari's monitors post to /v1/notifications with a token of Keystone. "
        'The source webhook must be enabled, and [keystone_authtoken] configured, as Heat has it. '
        'The endpoint of the service instance-ha must be the address of the agent, with /v1.',
    ),
    cfg.ListOpt(
        'notifier_roles',
        default=['admin', 'service'],
        help='The roles of which one suffices to post to /v1/notifications.',
    ),
    cfg.StrOpt(
        'senders_file',
        default='',
        help='The YAML file that says how the bodies of the senders in tokens_file are read: '
        'which labels name the host, and which alerts mean that it is dead. Without it no alert '
        'of Alertmanager or Grafana does.',
    ),
]


def register(conf: Any) -> None:
    """Make the group known; harmless when it is already."""
    conf.register_opts(OPTIONS, group=GROUP)


def list_opts() -> list[tuple[str, list[Any]]]:
    """The group as oslo.config's generator wants it."""
    return [(GROUP, OPTIONS)]
