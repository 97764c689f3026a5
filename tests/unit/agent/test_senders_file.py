# SPDX-License-Identifier: Apache-2.0
import pathlib

import pytest

from heat_ha import exceptions
from heat_ha.agent import senders_file

SAMPLE = pathlib.Path(__file__).parents[3] / 'etc/heat_ha/senders.yaml.sample'


def test_the_sample_is_read():
    found = senders_file.read(str(SAMPLE), ['alertmanager', 'pacemaker', 'other'])
    assert found['alertmanager'].means_a_death({'alertname': 'HostDown'})
    assert found['alertmanager'].host_labels == ('hostname', 'host')
    assert not found['pacemaker'].lost_is_down


def test_without_a_file_all_senders_have_the_defaults():
    assert senders_file.read('', ['a']) == {}


@pytest.mark.parametrize(
    ('content', 'reason'),
    [
        (b'am: {}', "names 'am', which has no token"),
        (b'[', 'not valid YAML'),
        (b'\xff\xfe\xff', 'senders_file'),
        (b'a: 7', 'sender a in the senders file'),
        # The first one would be lost: its alerts, or the labels of its hosts.
        (b'a: {}\na: {lost_is_down: true}', "'a' is there twice"),
        (b'a:\n  down_alerts: [X]\n  down_alerts: []', "'down_alerts' is there twice"),
        (b'{[a]: 1}', 'not valid YAML'),
        (None, 'cannot be read'),
    ],
)
def test_a_wrong_file_is_refused(tmp_path, content, reason):
    path = tmp_path / 'senders.yaml'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(exceptions.Refused, match=reason):
        senders_file.read(str(path), ['a'])
