# SPDX-License-Identifier: Apache-2.0
"""What each word for a state means, whichever sender has it.

Those that ask for nothing (yet, or any more) count as ok: a warning, an alarm that is pending or
paused, one that somebody has acknowledged or silenced, maintenance, a state that flaps. Only what
says that nobody could look counts as insufficient data.
"""

from heat_ha.senders.model import AlarmState, Words

WORDS: Words = {
    # Aodh, administrator guide: alarms. Monasca, API specification: alarms.
    'alarm': AlarmState.ALARM,
    'ok': AlarmState.OK,
    'insufficient data': AlarmState.INSUFFICIENT_DATA,
    'undetermined': AlarmState.INSUFFICIENT_DATA,
    # Heat, the CloudWatch that it had before Aodh.
    'normal': AlarmState.OK,
    'insufficient_data': AlarmState.INSUFFICIENT_DATA,
    'nodata': AlarmState.INSUFFICIENT_DATA,
    # Prometheus Alertmanager, configuration: webhook_config.
    'firing': AlarmState.ALARM,
    'resolved': AlarmState.OK,
    # Grafana 7, alert notifications: webhook.
    'alerting': AlarmState.ALARM,
    'pending': AlarmState.OK,
    'paused': AlarmState.OK,
    'no_data': AlarmState.INSUFFICIENT_DATA,
    # Consul, health checks. A service with a warning is still handed out to clients.
    'critical': AlarmState.ALARM,
    'warning': AlarmState.OK,
    'passing': AlarmState.OK,
    'maintenance': AlarmState.OK,
    # Kapacitor, alert node: levels. InfluxDB, checks: levels.
    'info': AlarmState.OK,
    'crit': AlarmState.ALARM,
    'warn': AlarmState.OK,
    # Nagios, list of macros: HOSTSTATE, SERVICESTATE and NOTIFICATIONTYPE; Icinga has the same. A
    # host is unreachable when it cannot be seen behind another one.
    'down': AlarmState.ALARM,
    'problem': AlarmState.ALARM,
    'up': AlarmState.OK,
    'recovery': AlarmState.OK,
    'acknowledgement': AlarmState.OK,
    'flappingstart': AlarmState.OK,
    'flappingstop': AlarmState.OK,
    'flappingend': AlarmState.OK,
    'flappingdisabled': AlarmState.OK,
    'downtimestart': AlarmState.OK,
    'downtimeend': AlarmState.OK,
    'downtimecancelled': AlarmState.OK,
    'downtimeremoved': AlarmState.OK,
    'custom': AlarmState.OK,
    'unreachable': AlarmState.INSUFFICIENT_DATA,
    'unknown': AlarmState.INSUFFICIENT_DATA,
    # Datadog, webhooks: ALERT_TRANSITION.
    'triggered': AlarmState.ALARM,
    're-triggered': AlarmState.ALARM,
    'recovered': AlarmState.OK,
    're-warn': AlarmState.OK,
    'no data': AlarmState.INSUFFICIENT_DATA,
    're-no data': AlarmState.INSUFFICIENT_DATA,
    # New Relic, PagerDuty, Alerta, Netdata and others, for what is over or seen to.
    'closed': AlarmState.OK,
    'clear': AlarmState.OK,
    'cleared': AlarmState.OK,
    'acknowledged': AlarmState.OK,
    'suppressed': AlarmState.OK,
    'silenced': AlarmState.OK,
    'flapping': AlarmState.OK,
    # Zabbix, supported macros: EVENT.VALUE of an event of a trigger.
    '1': AlarmState.ALARM,
    '0': AlarmState.OK,
    # Pacemaker, alert agents: CRM_alert_desc of an alert about a node.
    'lost': AlarmState.ALARM,
    'member': AlarmState.OK,
    # Vitrage, notifier: the types of notifications about alarms.
    'vitrage.alarm.activate': AlarmState.ALARM,
    'vitrage.deduced_alarm.activate': AlarmState.ALARM,
    'vitrage.alarm.deactivate': AlarmState.OK,
    'vitrage.deduced_alarm.deactivate': AlarmState.OK,
    # CloudFormation's helper scripts: cfn-signal.
    'failure': AlarmState.ALARM,
    'success': AlarmState.OK,
}

# What only one sender means so.
_OF_ONE = ('1', '0', 'lost', 'member', 'failure', 'success')

COMMON: Words = {
    word: state for word, state in WORDS.items() if word not in _OF_ONE and 'vitrage' not in word
}


def some(*words: str) -> Words:
    """Return the meaning of some of the words."""
    return {word: WORDS[word] for word in words}
