# SPDX-License-Identifier: Apache-2.0
"""The guest with a file system, with QEMU alone: what asks for the deployments is real, and what
answers is a stand-in for Keystone and Heat."""

import http.server
import json
import os
import pathlib
import shutil
import socket
import threading
import time
import urllib.error
import urllib.request
import uuid

import pytest

from lab.real.checker import __main__ as checker
from lab.real.guest import build, machine

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(shutil.which('qemu-system-x86_64') is None, reason='there is no QEMU'),
]

VOLUME = 'aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee'
NICE = 10

QUIESCE = (build.CONFIGS / 'quiesce.sh').read_text()
ACTIVATE = (build.CONFIGS / 'activate.sh').read_text()
MOUNTED_AT = {'mount_point': '/srv/data'}


class HeatStandIn(http.server.ThreadingHTTPServer):
    """What a guest asks of Keystone and Heat, and no more: a stand-in, not proof of the real ones.

    :ivar deployments: what the server's metadata name.
    :ivar answers: what came for each deployment, per name.
    """

    def __init__(self):
        super().__init__(('127.0.0.1', 0), _Handler)
        self.deployments, self.answers, self.asked = {}, {}, []
        # As a lab on one machine names it; the guest finds it at its gateway.
        self.base = f'http://127.0.0.1:{self.server_address[1]}'

    def user_data(self, server):
        """What Heat gives a server with ``user_data_format: SOFTWARE_CONFIG``, made by Heat."""
        nova = pytest.importorskip('heat.engine.clients.os.nova')
        settings = {
            'auth_url': f'{self.base}/v3',
            'user_id': 'a-user',
            'password': 'a $ecret "word"',
            'project_id': 'a-project',
            'stack_id': 'pair/11111111-2222-3333-4444-555555555555',
            'resource_name': server,
            'region_name': 'RegionOne',
        }
        metadata = {'os-collect-config': {'heat': settings}, 'deployments': []}
        # For this format it asks nothing of the plugin itself.
        return nova.NovaClientPlugin.build_userdata(
            None, metadata, '', user_data_format='SOFTWARE_CONFIG'
        )

    def deploy_to(self, guest, name, script, **inputs):
        """Let a guest run a script; return its answer."""
        inputs = {
            'deploy_signal_transport': 'CFN_SIGNAL',
            'deploy_signal_id': f'{self.base}/v1/signal/{name}?Signature=x%3D',
            'deploy_signal_verb': 'POST',
        } | inputs
        self.deployments.setdefault(guest.uuid, []).append(
            {
                'id': f'id-of-{name}',
                'name': name,
                'group': 'script',
                'config': script,
                'inputs': [{'name': key, 'value': value} for key, value in inputs.items()],
                'outputs': [],
            }
        )
        deadline = time.monotonic() + 120
        while name not in self.answers:
            assert time.monotonic() < deadline, (name, self.asked[-5:])
            time.sleep(0.1)
        return self.answers[name]


class _Handler(http.server.BaseHTTPRequestHandler):
    server: HeatStandIn

    def log_message(self, *_words):
        pass

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
        self.server.asked.append(self.path)
        if self.path == '/v3/auth/tokens':
            user = body['auth']['identity']['password']['user']
            assert user == {'id': 'a-user', 'password': 'a $ecret "word"'}
            assert body['auth']['scope'] == {'project': {'id': 'a-project'}}
            endpoint = {'interface': 'public', 'region': 'RegionOne', 'url': self.server.base}
            catalog = [{'type': 'orchestration', 'endpoints': [endpoint]}]
            self._answer(201, {'token': {'catalog': catalog}}, {'X-Subject-Token': 'a-token'})
        else:
            place = self.path.removesuffix('/signal').split('?')[0]
            self.server.answers[place.split('/')[-1]] = body
            self._answer(200, {})

    def do_PUT(self):
        self.server.asked.append(f'PUT {self.path} {self.headers.get("Content-Type")!r}')
        self._answer(200, {})

    def do_GET(self):
        self.server.asked.append(self.path)
        assert self.headers['X-Auth-Token'] == 'a-token'
        server = self.path.split('/')[-2]
        deployments = self.server.deployments.get(server, [])
        self._answer(200, {'metadata': {'deployments': deployments}})

    def _answer(self, status, body, headers=None):
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header('Content-Length', str(len(content)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def heat():
    server = HeatStandIn()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def ask(port, page):
    try:
        with urllib.request.urlopen(
            f'http://127.0.0.1:{port}/cgi-bin/{page}', timeout=30
        ) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as exc:
        return exc.code, exc.read().decode()


@pytest.fixture(scope='session')
def images(tmp_path_factory):
    return build.build(
        pathlib.Path(os.environ.get('GUEST_FOLDER') or tmp_path_factory.mktemp('guest'))
    )


@pytest.fixture
def volume(tmp_path):
    path = tmp_path / 'volume.raw'
    with path.open('wb') as opened:
        opened.truncate(64 * 2**20)
    return path


def unused_port():
    with socket.socket() as opened:
        opened.bind(('127.0.0.1', 0))
        return opened.getsockname()[1]


@pytest.fixture
def make_guest(images, heat, tmp_path):
    def make():
        name, port = str(uuid.uuid4()), unused_port()
        drive = machine.make_config_drive(tmp_path / f'{name}.iso', name, heat.user_data(name))
        return machine.Machine(
            images,
            name,
            command_line=build.COMMAND_LINE_FILES,
            config_drive=drive,
            http_port=port,
            nice=NICE,
        ), port

    return make


def test_scripts_of_heat_hand_a_file_system_over(make_guest, heat, volume):
    (old, port), (new, new_port) = make_guest(), make_guest()
    with old, new:
        for each in (old, new):
            each.wait_for('agent: asks Heat')
        old.attach(volume, VOLUME)
        answer = heat.deploy_to(old, 'activate', ACTIVATE, **MOUNTED_AT)
        assert answer['deploy_status_code'] == 0, answer
        assert 'is mounted on /srv/data' in answer['deploy_stdout']
        old.wait_for('seq=49 ')
        status, page = ask(port, 'writing')
        assert status == 200 and 'file=writing' in page
        answer = heat.deploy_to(old, 'quiesce', QUIESCE, **MOUNTED_AT)
        assert answer['deploy_status_code'] == 0, answer
        assert ask(port, 'writing')[0] == 503
        assert ask(port, 'health')[0] == 200
        old.detach(VOLUME)
        new.attach(volume, VOLUME)
        answer = heat.deploy_to(new, 'activate-new', ACTIVATE, volume=VOLUME, **MOUNTED_AT)
        assert answer['deploy_status_code'] == 0, answer
        new.wait_for('event=start')
        new.wait_for('event=ack', after=new.console().index('event=start'))
        assert ask(new_port, 'writing')[0] == 200
        texts = [old.console(), new.console()]
        found = checker.check(VOLUME, volume.read_bytes(), texts)
    assert not found.faults
    assert [run.writer.by for run in found.runs] == [old.uuid, new.uuid]
    assert not found.unknown


def test_power_cut_leaves_a_file_system_that_the_next_one_mends(make_guest, heat, volume):
    (old, _), (new, _) = make_guest(), make_guest()
    with old, new:
        old.wait_for('agent: asks Heat')
        old.attach(volume, VOLUME)
        heat.deploy_to(old, 'activate', ACTIVATE, **MOUNTED_AT)
        old.wait_for('seq=29 ')
        old.cut_power()
        new.wait_for('agent: asks Heat')
        new.attach(volume, VOLUME)
        answer = heat.deploy_to(new, 'activate-new', ACTIVATE, **MOUNTED_AT)
        assert answer['deploy_status_code'] == 0, answer
        new.wait_for('event=ack')
        texts = [old.console(), new.console()]
        found = checker.check(VOLUME, volume.read_bytes(), texts)
    assert not found.faults and len(found.runs) == 2


def test_volume_that_was_taken_without_being_asked_is_used_again_later(make_guest, heat, volume):
    (old, _), (new, _) = make_guest(), make_guest()
    with old, new:
        for turn, guest in enumerate((old, new, old)):
            guest.wait_for('agent: asks Heat')
            guest.attach(volume, VOLUME)
            began = len(guest.console())
            answer = heat.deploy_to(guest, f'activate-{turn}', ACTIVATE, **MOUNTED_AT)
            assert answer['deploy_status_code'] == 0, answer
            guest.wait_for('event=ack', after=began)
            if turn < 2:
                guest.detach(VOLUME)
        texts = [old.console(), new.console()]
        found = checker.check(VOLUME, volume.read_bytes(), texts)
    assert not found.faults
    assert [run.writer.by for run in found.runs] == [old.uuid, new.uuid, old.uuid]


@pytest.fixture
def guest(make_guest):
    with make_guest()[0] as guest:
        yield guest


def test_answers_of_scripts_reach_heat(guest, heat):
    answer = heat.deploy_to(
        guest,
        'odd',
        '#!/bin/sh\necho "$one"\necho why >&2\necho 7 > $heat_outputs_path.result\nexit 3\n',
        one='it\'s "two"\nlines',
        work='a name that the agent has too',
    )
    assert answer == {
        'deploy_stdout': 'it\'s "two"\nlines\n',
        'deploy_stderr': 'why\n',
        'deploy_status_code': 3,
        'result': '7',
    }
    # A heartbeat, as a wait condition takes it, and the answer through Heat's API.
    answer = heat.deploy_to(
        guest,
        'beat',
        '#!/bin/sh\nset -e\necho "{}" > body\nrequest PUT "$heartbeat_url" body\n',
        heartbeat_url=f'{heat.base}/v1/waitcondition/one?Signature=x%3D',
        deploy_signal_transport='HEAT_SIGNAL',
        deploy_auth_url=f'{heat.base}/v3',
        deploy_user_id='a-user',
        deploy_password='a $ecret "word"',
        deploy_project_id='a-project',
        deploy_stack_id='run/2222',
        deploy_resource_name='beat',
    )
    assert answer['deploy_status_code'] == 0, answer
    assert "PUT /v1/waitcondition/one?Signature=x%3D ''" in heat.asked
    assert '/stacks/run/2222/resources/beat/signal' in heat.asked
    # Each was run once.
    time.sleep(5)
    assert guest.console().count('agent: runs ') == 2
