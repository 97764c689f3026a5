# SPDX-License-Identifier: Apache-2.0
"""What Prometheus Alertmanager posts, and Grafana, which has its form and an older one."""

import hashlib
import json
import re

from heat_ha import exceptions, quoting
from heat_ha.senders import parts
from heat_ha.senders.model import AlarmState, Alert, Body, Sender
from heat_ha.senders.words import some

# Grafana, no data and error states: it sends these as firing when it could not evaluate a rule.
NO_DATA_ALERTS = ('DatasourceNoData', 'DatasourceError')

# What the button "Test" of a contact point of Grafana sends, and many a guide by amtool; and the
# rule of Grafana's older one.
TEST_ALERTS = ('TestAlert',)
_TEST_RULE = 'Test notification'

# kube-prometheus and OpenShift have alerts that fire as long as all is well: they show that alerts
# arrive, or are there for other alerts. Elsewhere the first kind has many a name like a switch.
ALWAYS_FIRING = ('watchdog', 'infoinhibitor')
_SWITCH = re.compile('deadm[ae]ns?(switch|snitch)')


def lacks_data(labels: Body, annotations: object) -> bool:
    """Whether an alert of Grafana fires because its rule could not be evaluated.

    A rule may be told to fire then under its own name; the reason is in an annotation.
    """
    reason = parts.mapping(annotations).get('grafana_state_reason')
    first = reason.partition(',')[0].strip() if isinstance(reason, str) else ''
    return labels.get('alertname') in NO_DATA_ALERTS or first in ('NoData', 'Error')


def _alertmanager(sender: Sender, body: Body) -> list[Alert]:
    alerts = parts.objects(body['alerts'], 'alerts')
    if not alerts:
        raise exceptions.Refused('alerts is empty', 'Send at least one alert')
    truncated = body.get('truncatedAlerts')
    if truncated:
        raise exceptions.Refused(
            f'some alerts are left out: truncatedAlerts is {quoting.shown(truncated)}',
            f'Set no limit of alerts. {sender.one_server}',
        )
    # The state of a group follows from its alerts, so it is not believed; but it has to be known.
    for key, words in (('status', sender), ('state', GRAFANA_LEGACY)):
        if body.get(key) is not None:
            words.state(body[key], key)
    return _real([_labelled_alert(sender, alert) for alert in alerts])


def one_alert(sender: Sender, body: Body) -> list[Alert]:
    return _real([_labelled_alert(sender, body)])


def _real(found: list[Alert]) -> list[Alert]:
    """Return the alerts without those that only try something out.

    :raises exceptions.Refused: there are no others.
    """
    real = [one for one in found if one.name not in TEST_ALERTS]
    if not real and any(one.state is AlarmState.ALARM for one in found):
        raise _test(found[0].name)
    return real or found


def _test(name: str) -> exceptions.Refused:
    return exceptions.Refused(
        f'{quoting.shown(name)} is a test of its sender, so nothing follows',
        'It has arrived and was understood; to try a failover out, send {"action": "plan"}',
    )


def _labelled_alert(sender: Sender, alert: Body) -> Alert:
    state = sender.state(alert.get('status'), 'status of an alert')
    labels = parts.object_of(alert.get('labels'), 'labels of an alert')
    annotations = parts.mapping(alert.get('annotations'))
    if state is AlarmState.ALARM and lacks_data(labels, annotations):
        state = AlarmState.INSUFFICIENT_DATA
    if always_fires(labels):
        state = AlarmState.OK
    member, host = parts.named(labels)
    return Alert(
        state,
        member,
        host,
        parts.text(labels, 'alertname'),
        parts.text(annotations, 'summary', 'description', 'message'),
        labels=_digest(labels, host),
    )


def _digest(labels: Body, host: str | None) -> str:
    """What tells an alert from others of its rule: it is one for each set of labels.

    Empty where its name and its host are all that it has, so that these alone name it.
    """
    more = {key for key, value in labels.items() if key != 'alertname' and value != host}
    if not more:
        return ''
    text = json.dumps(labels, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def always_fires(labels: Body) -> bool:
    """Whether an alert fires as long as all is well, by its name or its severity."""
    name = parts.spelled(labels.get('alertname'))
    severity = labels.get('severity')
    is_none = isinstance(severity, str) and severity.strip().lower() == 'none'
    return is_none or name in ALWAYS_FIRING or _SWITCH.search(name) is not None


def _grafana_legacy(sender: Sender, body: Body) -> list[Alert]:
    state = sender.state(body['state'], 'state')
    name, reason = parts.text(body, 'ruleName', 'title'), parts.text(body, 'message')
    if name == _TEST_RULE and state is AlarmState.ALARM:
        raise _test(name)
    matches = parts.optional(body.get('evalMatches'), 'evalMatches')
    named = [parts.named(parts.tags(match)) for match in matches]
    of_rule = parts.named(parts.tags(body))
    if not any(one.member for one in named):
        # A server is surer than a host, and a match than the rule.
        named = [of_rule] if of_rule.member or not any(one.host for one in named) else named
    # What a rule has matched is there while it is alerting only.
    return [Alert(state, *one, name, reason, is_one=True) for one in named]


GRAFANA_LEGACY = Sender(
    'Grafana, legacy alerts',
    '``ruleName`` and ``state``',
    some('alerting', 'ok', 'pending', 'paused', 'no_data', 'unknown'),
    'a tag in ``evalMatches``, or of the rule, as labels',
    parts.has('ruleName', 'state'),
    _grafana_legacy,
    'Send one server an alert: a rule for each',
)
WORDS = some('firing', 'resolved')
GRAFANA = Sender(
    'Grafana',
    '``alerts`` and ``orgId``',
    WORDS,
    'a label of the alert',
    lambda body: 'alerts' in body and 'orgId' in body,
    _alertmanager,
    'Send one body a server: group by server_id in the notification policy',
)
ALERTMANAGER = Sender(
    'Prometheus Alertmanager',
    '``alerts``',
    WORDS,
    'a label of the alert',
    lambda body: 'alerts' in body,
    _alertmanager,
    'Send one body a server: group_by [server_id] in the route',
)
