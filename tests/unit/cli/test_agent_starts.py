# SPDX-License-Identifier: Apache-2.0
"""heat-ha-agent itself, started as an operator would, with the libraries of whichever Heat is here.

It has no cloud: Nova refuses it, and nobody else is on its bus. It must start, say how it is, and
end when it is told to, all the same.
"""

import contextlib
import pathlib
import re
import socket
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request

import pytest

from heat_ha import exceptions
from heat_ha.cli import agent

MAIN = 'from heat_ha.cli import agent; raise SystemExit(agent.main())'
PROGRAM = [sys.executable, '-W', 'ignore', '-c', MAIN]
GUIDE = pathlib.Path(__file__).parents[3] / 'doc' / 'source' / 'admin' / 'agent.rst'

# The library of a scheme where the guide leaves it to the operator to install.
BY_HAND = {'redis': 'redis', 'mysql': 'pymysql'}


def free_port():
    with contextlib.closing(socket.socket()) as one:
        one.bind(('127.0.0.1', 0))
        return one.getsockname()[1]


def configuration(folder, port, more=''):
    text = f"""
    [DEFAULT]
    transport_url = fake://
    [database]
    connection = sqlite:///{folder}/heat.sqlite
    [heat_ha_rescue]
    auth_type = password
    auth_url = http://127.0.0.1:9/v3
    username = heat-ha-rescue
    password = secret
    project_name = service
    user_domain_name = Default
    project_domain_name = Default
    [heat_ha_agent]
    coordination_url = file://{folder}/locks
    port = {port}
    """
    path = folder / 'heat.conf'
    path.write_text(textwrap.dedent(text) + more)
    return path


def metrics(port):
    with urllib.request.urlopen(f'http://127.0.0.1:{port}/metrics', timeout=5) as answer:
        return answer.read().decode()


def test_it_starts_answers_and_ends(tmp_path):
    port = free_port()
    log = tmp_path / 'log'
    with open(log, 'w') as out:
        process = subprocess.Popen(
            [*PROGRAM, '--config-file', configuration(tmp_path, port)], stdout=out, stderr=out
        )
    try:
        text, until = '', time.monotonic() + 60
        while 'heat_ha_agent' not in text and time.monotonic() < until:
            assert process.poll() is None, log.read_text()
            with contextlib.suppress(OSError):
                text = metrics(port)
            time.sleep(0.2)
        assert 'heat_ha_agent' in text, log.read_text()
        process.terminate()
        assert process.wait(30) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()


def test_it_shows_what_is_on_record_and_refuses_an_unknown_host(tmp_path):
    config = configuration(tmp_path, free_port())
    shown = subprocess.run(
        [*PROGRAM, '--config-file', config, 'show'], capture_output=True, text=True, timeout=60
    )
    assert (shown.returncode, shown.stdout) == (0, ''), shown.stderr
    refused = subprocess.run(
        [*PROGRAM, '--config-file', config, 'drop', 'c9'],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert refused.returncode == 2 and "host 'c9' has no incident" in refused.stderr


def schemes_of_the_guide():
    return sorted(set(re.findall(r'^ *coordination_url = (\S+)', GUIDE.read_text(), re.M)))


def test_the_guide_names_a_lock_for_several_agents():
    assert any(url.startswith('etcd3+http://') for url in schemes_of_the_guide())


@pytest.mark.parametrize('url', [*schemes_of_the_guide(), 'redis://r:6379', 'mysql://u:p@h/db'])
def test_what_the_guide_names_for_locks_is_installed(url, tmp_path):
    if by_hand := BY_HAND.get(url.split(':')[0]):
        pytest.importorskip(by_hand)
    assert agent._locks(url, 'agent-1')


@pytest.mark.parametrize('url', ['', 'etcd9://h:1', 'no-url', 'redis+what://h'])
def test_a_url_for_locks_that_is_unknown_is_refused_with_the_remedy(url):
    with pytest.raises(exceptions.Refused, match=f'coordination_url {re.escape(url)}.*file://'):
        agent._locks(url, 'agent-1')


def test_a_missing_library_for_locks_is_named_with_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, 'redis', None)
    monkeypatch.delitem(sys.modules, 'tooz.drivers.redis', raising=False)
    with pytest.raises(exceptions.Refused, match=r'redis.*Install tooz with the extra'):
        agent._locks('redis://r:6379', 'agent-1')


@pytest.mark.parametrize(
    'url', ['file://', 'mysql://heat:secret@127.0.0.1:9/heat', 'etcd3+http://127.0.0.1:9']
)
def test_locks_that_do_not_work_are_refused_with_the_url_and_without_its_password(url):
    pytest.importorskip(BY_HAND.get(url.split(':')[0], 'tooz'))
    with pytest.raises(exceptions.Refused, match=r'not work: [^ .]') as told:
        agent._started_locks(url, 'agent-1')
    assert 'secret' not in str(told.value) and url.split('@')[-1] in str(told.value)
