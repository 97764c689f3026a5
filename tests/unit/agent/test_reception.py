# SPDX-License-Identifier: Apache-2.0
import gzip
import json
import logging

import pytest

from heat_ha import exceptions
from heat_ha.agent import metrics, reception, web_server
from heat_ha.agent.model import Claimed
from heat_ha.agent.report_table import Arrival
from heat_ha.agent.rules import host_names
from heat_ha.agent.rules.sender_settings import SenderSettings
from tests.unit.sender_bodies import alert, alertmanager

HOSTS = ('c1', 'c2.example.org', 'c2.example.net')


class Taken:
    def __init__(self):
        self.told = []
        self.arrival = Arrival.NEWS
        self.hosts = HOSTS

    def __call__(self, one):
        if not self.hosts:
            raise exceptions.CouldNotAsk('nova', 'its hosts', 'they have not been read yet')
        if one.host == 'hidden':
            raise exceptions.CouldNotAsk('nova', 'host hidden', 'it does not show it now')
        self.told.append((one.sender, host_names.match(one.host, self.hosts), one.claimed))
        return self.arrival


@pytest.fixture
def taken():
    return Taken()


@pytest.fixture
def received(taken):
    declared = SenderSettings(down_alerts=({'alertname': 'HostDown'},))
    return reception.Reception(taken, {'am': declared})


def post(received, body, sender='am'):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = received.post(sender, raw)
    json.dumps(answer.body)
    return answer


def dead(**labels):
    return alert('firing', **{'alertname': 'HostDown', **labels})


def count(counter, *labels):
    return counter.labels(*labels)._value.get()


def test_each_part_of_a_body_counts_by_itself_and_the_answer_says_so(received, taken):
    others = count(metrics.IGNORED, 'am')
    body = alertmanager(
        dead(host='C1'), dead(host='c9'), None, alert('firing', host='c1'), dead(host='c2')
    )
    answer = post(received, body)
    assert answer.status == 202
    assert taken.told == [('am', 'c1', Claimed.DOWN)]
    assert answer.body['reports'] == [{'host': 'C1', 'says': 'down', 'is': 'news'}]
    assert len(answer.body['ignored']) == 1
    refused = ' '.join(answer.body['refused'])
    assert "'c9' is not one" in refused and "'c2' may be c2.example.net or c2" in refused
    assert 'an item of alerts' in refused and len(answer.body['refused']) == 3
    assert count(metrics.IGNORED, 'am') == others + 1


# W4
@pytest.mark.parametrize(('name', 'reason'), [('c9', "'c9' is not one of"), ('c2', "'c2' may be")])
def test_a_name_that_means_no_host_is_refused_with_the_name_and_told_in_the_log(
    received, taken, name, reason, caplog
):
    with caplog.at_level(logging.WARNING):
        answer = post(received, {'host': name, 'state': 'down'})
    assert answer.status == 400 and reason in answer.body['message'] and taken.told == []
    assert reason in caplog.text


@pytest.mark.parametrize('body', [b'', b'{', b'\xff', b'[' * 5000, {'text': 'x'}, [7], 3])
def test_a_body_that_is_not_understood_is_refused_with_the_reason(received, taken, body):
    before = count(metrics.REFUSED, 'webhook', 'form')
    answer = post(received, body)
    assert answer.status == 400 and answer.body['message'] and taken.told == []
    assert count(metrics.REFUSED, 'webhook', 'form') > before


def test_a_body_that_is_too_deep_for_what_is_done_with_it_is_refused(received, taken, monkeypatch):
    def too_deep(body, settings):
        raise RecursionError

    monkeypatch.setattr(reception.report_senders, 'read', too_deep)
    answer = post(received, {'host': 'c1', 'state': 'down'})
    assert answer.status == 400 and 'nested too deeply' in answer.body['message']
    assert taken.told == []


@pytest.mark.parametrize(
    ('length', 'status'),
    [('', 400), ('0', 400), ('-1', 400), ('x', 400), (str(web_server.MAX_BODY_BYTES + 1), 413)],
)
def test_a_body_that_is_empty_is_not_called_too_large(length, status):
    answer = reception.body_of({'CONTENT_LENGTH': length})
    assert (answer.status, 'empty' in answer.body['message']) == (status, length in ('', '0', '-1'))


DOUBLED = [
    b'{"host": "c1", "state": "up", "state": "down"}',
    b'{"host": "c9", "host": "c1", "state": "down"}',
    b'{"host": "c1", "state": "down", "state": "down"}',
    b'{"alerts": [], "alerts": [{"status": "firing", "labels": {"alertname": "HostDown", '
    b'"host": "c1"}}]}',
    b'{"alerts": [{"status": "resolved", "status": "firing", "labels": {"alertname": "HostDown", '
    b'"host": "c1"}}]}',
    b'[{"CheckID": "serfHealth", "Node": "c9", "Node": "c1", "Status": "critical"}]',
    b'{"notification": {"type": "COMPUTE_HOST", "hostname": "c1", "payload": {"event": "STARTED", '
    b'"event": "STOPPED", "cluster_status": "OFFLINE", "host_status": "NORMAL"}}}',
    b'{"event_type": "service.update", "payload": {"nova_object.data": {"host": "c1", "binary": '
    b'"nova-compute", "forced_down": false, "forced_down": true}}}',
]


@pytest.mark.parametrize('body', DOUBLED, ids=range(len(DOUBLED)))
def test_a_key_that_is_there_twice_hides_nothing(received, taken, body):
    answer = post(received, body)
    assert answer.status == 400 and 'twice' in answer.body['message'] and taken.told == []


def test_an_item_with_a_key_twice_takes_no_other_along(received, taken):
    good = json.dumps(dead(host='c1'))
    bad = good.replace('"status"', '"status": "resolved", "status"', 1)
    answer = post(received, f'{{"alerts": [{bad}, {good}]}}'.encode())
    assert answer.status == 202 and taken.told == [('am', 'c1', Claimed.DOWN)]
    assert "the key 'status' twice" in answer.body['refused'][0]


PLAIN = '{"host": "c1", "state": "down"}'


@pytest.mark.parametrize(
    'raw',
    [
        gzip.compress(PLAIN.encode()),
        b'host=c1&state=down',
        b'payload=%7B%22host%22%3A+%22c1%22%7D',
        PLAIN[:-1].encode(),
        f'{PLAIN}\n{PLAIN}'.encode(),
        '{"host": "c1\u00e9", "state": "down"}'.encode('latin-1'),
        b'{"host": "c1", "state": "down", "time": NaN}',
        b'{"host": "c1", "state": "down", "time": -Infinity}',
        b'{"host": "c1", "state": "down", "time": ' + b'9' * 5000 + b'}',
        b'{"host": ' + b'[' * 50_000,
    ],
    ids=range(10),
)
def test_what_is_no_json_is_refused_with_what_to_send(received, taken, raw):
    answer = post(received, raw)
    assert answer.status == 400 and 'is not valid JSON. Send a JSON' in answer.body['message']
    assert taken.told == []


@pytest.mark.parametrize('code', ['utf-8', 'utf-8-sig', 'utf-16', 'utf-16-le', 'utf-32'])
def test_json_in_each_of_its_encodings_is_read(received, taken, code):
    assert post(received, PLAIN.encode(code)).status == 202
    assert taken.told == [('am', 'c1', Claimed.DOWN)]


def test_a_sender_without_settings_has_the_defaults(received, taken):
    answer = post(received, alertmanager(dead(host='c1')), sender='other')
    assert answer.status == 202 and taken.told == [] and 'down_alerts' in answer.body['ignored'][0]


def test_what_is_late_is_answered_as_late(received, taken):
    taken.arrival = Arrival.LATE
    answer = post(received, {'host': 'c1', 'state': 'down'})
    assert answer.status == 202 and answer.body['reports'][0]['is'] == 'late'


def test_before_the_hosts_are_known_the_sender_is_asked_to_send_it_again(received, taken):
    taken.hosts = ()
    answer = post(received, {'host': 'c1', 'state': 'down'})
    assert answer.status == 503 and 'Send it again' in answer.body['message']


def test_a_host_that_nova_does_not_show_now_takes_no_other_part_along(received, taken):
    body = alertmanager(dead(host='c1'), dead(host='hidden'), dead(host='c2.example.org'))
    answer = post(received, body)
    assert answer.status == 503 and 'host hidden' in answer.body['message']
    assert [host for _sender, host, _claimed in taken.told] == ['c1', 'c2.example.org']


def test_an_answer_lists_no_more_than_a_person_reads(received):
    answer = post(received, alertmanager(dead(host='c1'), *[None] * 4000))
    assert answer.status == 202 and len(answer.body['refused']) == reception.MAX_LISTED
