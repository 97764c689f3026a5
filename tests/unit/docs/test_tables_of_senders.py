# SPDX-License-Identifier: Apache-2.0
"""The tables of senders, and of what they may ask for, are those of the code."""

from heat_ha import senders
from heat_ha.agent import web
from heat_ha.agent.rules import report_senders
from tests.unit.docs.tables import documented


def about_servers():
    def words(sender, state):
        return ', '.join(f'``{word}``' for word in sender.words if senders.WORDS[word] is state)

    return [
        [
            sender.name,
            sender.recognised_by,
            *(words(sender, state) for state in senders.AlarmState),
            sender.member_at,
        ]
        for sender in senders.SENDERS
    ]


def about_hosts():
    return [
        [row.name, row.recognised_by, row.host_at, row.down, row.up, row.ignored]
        for row in report_senders.SENDERS
    ]


def test_the_documented_table_about_servers_is_the_one_in_the_code():
    assert documented('user/alarms.rst', 'senders') == about_servers()


def test_the_documented_table_about_hosts_is_the_one_in_the_code():
    assert documented('admin/agent.rst', 'report-senders') == about_hosts()


def test_the_documented_requests_are_those_that_are_answered():
    assert documented('admin/agent.rst', 'routes') == [
        [f'``{route.method} {route.path}``', route.who, route.what] for route in web.ROUTES
    ]
