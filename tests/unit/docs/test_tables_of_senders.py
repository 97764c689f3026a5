# SPDX-License-Identifier: Apache-2.0
"""The tables of senders, and of what they may ask for, are those of the code."""

import pathlib
import re

from heat_ha import senders
from heat_ha.agent import web
from heat_ha.agent.rules import report_senders

SOURCE = pathlib.Path(__file__).resolve().parents[3] / 'doc/source'


def documented(page, name):
    """The rows of the table, each a list of its cells, without the header."""
    table = (SOURCE / page).read_text().split(f':class: {name}\n')[1]
    rows = []
    for line in table.splitlines():
        if line and not line.startswith('   '):
            break
        if mark := re.match(r'   \* - (.*)', line):
            rows.append([mark[1]])
        elif mark := re.match(r'     -(.*)', line):
            rows[-1].append(mark[1].strip())
        elif line:
            rows[-1][-1] += f' {line.strip()}'
    return rows[1:]


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
