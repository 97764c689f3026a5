# SPDX-License-Identifier: Apache-2.0
"""The table of senders, and what a body says by it."""

import dataclasses
from collections.abc import Sequence

from heat_ha import exceptions, quoting
from heat_ha.senders import (
    alertmanager,
    envelopes,
    model,
    monitors,
    openstack,
    others,
    parts,
    services,
)
from heat_ha.senders.model import AlarmState, Alert, Body, Reading, Sender

# The first row that recognises a body reads it.
SENDERS = (
    openstack.AODH,
    alertmanager.GRAFANA,
    alertmanager.ALERTMANAGER,
    others.ONE_ALERT,
    alertmanager.GRAFANA_LEGACY,
    openstack.MONASCA,
    monitors.ZABBIX,
    monitors.CONSUL,
    monitors.PACEMAKER,
    openstack.VITRAGE,
    monitors.KAPACITOR,
    monitors.INFLUXDB,
    monitors.SENSU,
    services.OPSGENIE,
    services.PAGERDUTY,
    services.PAGERDUTY_OF_OLD,
    services.PAGERDUTY_EVENT,
    services.DATADOG,
    services.UPTIME_KUMA,
    services.CLOUDWATCH,
    services.VICTOROPS,
    openstack.WAIT_CONDITION,
    others.OTHER,
)


def read(body: Body) -> Reading:
    """Read what a body says, of one server at most.

    :raises exceptions.Refused: a known sender's body is not understood, has an unknown word for a
        state, or asks for something of several servers; an unknown one's says nothing of a state,
        and has more than names and reasons, or comes in an envelope.
    """
    inside = envelopes.opened(body)
    sender = sender_of(inside)
    is_named = envelopes.is_of_a_program(body) and parts.server(inside, ('member',)) is not None
    if (
        inside is not body
        and sender is others.OTHER
        and not (others.says_a_state(inside) or is_named)
    ):
        # What tells of a server that has started names it as well.
        raise exceptions.Refused(
            'what is in the envelope is of no known sender and has no state',
            'Send {"state": "alarm", "server_id": ID} in it, "ok" when it is over',
        )
    alerts = sender.read(sender, inside)
    one = _as_one(alerts, sender)
    if sender is not others.OTHER and (member := parts.server(inside, ('member',))):
        # Added by whoever wrote the body for one server.
        one = dataclasses.replace(one, member=member, host=None)
    return _reading(one, alerts)


def _reading(one: Alert, alerts: Sequence[Alert]) -> Reading:
    """What all alerts ask for, with each of them by itself: one may end before the others."""
    asking = [each for each in alerts if each.state is one.state]
    ended = [each for each in alerts if each.state is AlarmState.OK]
    still = model.sources(each for each in alerts if each.state is not AlarmState.OK)
    known = model.sources(asking)
    is_known = all(each.source for each in asking) and len(known) <= model.MOST_SOURCES
    return Reading(
        one,
        asking=known if is_known else (),
        over=tuple(each for each in model.sources(ended) if each not in still),
    )


def is_of_a_known_sender(body: Body) -> bool:
    """Whether a body has the form of one of the rows, and not of any body at all."""
    return sender_of(body) is not others.OTHER


def sender_of(body: Body) -> Sender:
    """The first row that recognises a body; the last one recognises any."""
    return next(s for s in SENDERS if s.is_from(body))


def _as_one(alerts: Sequence[Alert], sender: Sender) -> Alert:
    """Return the one thing that all alerts of a body ask for.

    A signal is about one member. If some alerts were left out, nobody would ask for them again
    before the sender repeats itself, which may take hours, and nobody would know (S3). So a body
    about several servers is refused whole. An alert that names no server is about another one too:
    it asks for whichever member the policy finds.
    """
    if not alerts:
        raise exceptions.Refused('the body has no alert', 'Send at least one')
    for state in (AlarmState.ALARM, AlarmState.INSUFFICIENT_DATA):
        asking = [alert for alert in alerts if alert.state is state]
        if not asking:
            continue
        names = list(dict.fromkeys(alert.member for alert in asking))
        if len(names) > 1:
            first, second = (quoting.shown(n) if n else 'none' for n in names[:2])
            raise exceptions.Refused(
                f'the body names {len(names)} different servers: {first}, {second}'
                + (' ...' if len(names) > 2 else ''),
                sender.one_server,
            )
        return _in_common(asking)
    return _in_common(alerts)


def _in_common(alerts: Sequence[Alert]) -> Alert:
    """The first of some alerts, without the server and the host where they are of several."""
    one = alerts[0]
    return dataclasses.replace(
        one,
        member=one.member if len({each.member for each in alerts}) == 1 else None,
        host=one.host if len({each.host for each in alerts}) == 1 else None,
    )
