# SPDX-License-Identifier: Apache-2.0
"""The tables of senders, and of what they may ask for, are those of the code."""

from heat_ha import senders
from heat_ha.agent import web
from heat_ha.agent.rules import report_senders
from heat_ha.senders import others, parts
from tests.unit.docs.tables import documented


def about_servers():
    def words(sender, state):
        return ', '.join(f'``{word}``' for word in sender.words if sender.words[word] is state)

    return [
        [
            sender.name,
            sender.recognised_by,
            *(words(sender, state) for state in senders.AlarmState),
            sender.member_at,
        ]
        for sender in senders.SENDERS
    ]


def around_bodies():
    return [[one.name, one.recognised_by, f'``{one.body_at}``'] for one in senders.ENVELOPES]


def about_hosts():
    return [
        [row.name, row.recognised_by, row.host_at, row.down, row.up, row.ignored]
        for row in report_senders.SENDERS
    ]


def test_the_documented_table_about_servers_is_the_one_in_the_code():
    assert documented('user/alarms.rst', 'senders') == about_servers()


def test_the_documented_table_of_envelopes_is_the_one_in_the_code():
    assert documented('user/alarms.rst', 'envelopes') == around_bodies()


def test_the_documented_keys_and_words_of_other_bodies_are_those_in_the_code():
    for title, words in documented('user/alarms.rst', 'other-bodies'):
        known = {
            'State': others.STATE_KEYS,
            'Occasion': others.OCCASION_KEYS,
            'Asks for nothing': others.QUIET_FLAGS,
            'Asks for nothing yet, if SOFT': others.STATE_TYPE_KEYS,
            'Test': others.TEST_FLAGS,
            'Server': others.SERVER_KEYS,
            'Labels': others.LABEL_KEYS,
            'Several servers': others.LIST_KEYS,
            'Server, if it is an id': parts.ID_KEYS,
            'Says nothing of a state': [
                key for key in others.SILENT_KEYS if key not in others.SERVER_KEYS
            ],
        }[title]
        assert words == ', '.join(f'``{word}``' for word in known), title


def test_the_documented_table_about_hosts_is_the_one_in_the_code():
    assert documented('admin/agent.rst', 'report-senders') == about_hosts()


def test_the_documented_requests_are_those_that_are_answered():
    assert documented('admin/agent.rst', 'routes') == [
        [f'``{route.method} {route.path}``', route.who, route.what] for route in web.ROUTES
    ]
