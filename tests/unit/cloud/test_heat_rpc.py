# SPDX-License-Identifier: Apache-2.0
"""The signal that makes the engines ready reaches each of them, over a bus in memory."""

import threading

import oslo_messaging
import pytest
from heat.common import exception as heat_exception
from heat.common import messaging
from heat.rpc import api as rpc_api
from heat.rpc import client
from oslo_config import cfg
from oslo_messaging._drivers import common as rpc_common

from heat_ha import exceptions
from heat_ha.cloud import heat_rpc


class Engine:
    """Takes signals as Heat's engine does."""

    target = oslo_messaging.Target(version='1.36')

    def __init__(self):
        self.got = []
        self.is_told = threading.Event()

    def resource_signal(self, cnxt, stack_identity, resource_name, details, sync_call=False):
        self.got.append((stack_identity['stack_name'], resource_name, details, sync_call))
        self.is_told.set()


@pytest.fixture
def engines():
    # Older libraries ask for files of rules, which a program has said where to find by then.
    cfg.CONF([], project='heat', default_config_files=[])
    messaging.setup('fake:/')
    made, servers = [Engine(), Engine()], []
    for number, engine in enumerate(made):
        target = oslo_messaging.Target(
            topic=rpc_api.ENGINE_TOPIC, server=f'engine-{number}', version='1.36'
        )
        # Not by Heat's own function, whose servers run on eventlet in the older releases.
        server = oslo_messaging.get_rpc_server(
            messaging.TRANSPORT, target, [engine],
            serializer=messaging.RequestContextSerializer(oslo_messaging.JsonPayloadSerializer()),
        )  # fmt: skip
        server.start()
        servers.append(server)
    yield made
    for server in servers:
        server.stop()
        server.wait()
    messaging.cleanup()


def test_every_engine_is_made_ready_and_none_is_waited_for(engines):
    heat_rpc.prepare('p', 'web', 'id-1', 'rescue')
    for engine in engines:
        assert engine.is_told.wait(10)
        assert engine.got == [('web', 'rescue', {'action': 'prepare'}, False)]


def test_a_bus_that_is_not_there_is_told_by_an_error():
    messaging.cleanup()
    with pytest.raises(exceptions.CouldNotAsk):
        heat_rpc.prepare('p', 'web', 'id-1', 'rescue')


@pytest.mark.parametrize(
    ('error', 'kind'),
    [
        (heat_exception.ActionInProgress(stack_name='s', action='UPDATE'), heat_rpc.SignalRefused),
        (ValueError('the engine has an error'), heat_rpc.SignalRefused),
        (heat_exception.ResourceNotFound(resource_name='r', stack_name='s'), heat_rpc.NotThere),
        (heat_exception.ResourceNotAvailable(resource_name='r'), heat_rpc.NotThere),
        (heat_exception.EntityNotFound(entity='Stack', name='s'), heat_rpc.SignalRefused),
        (None, exceptions.CouldNotAsk),
    ],
)
def test_a_refusal_of_an_engine_is_told_from_no_answer(monkeypatch, error, kind):
    def call(_client, _context, _message, version, timeout):
        if error is None:
            raise oslo_messaging.MessagingTimeout
        text = rpc_common.serialize_remote_exception((type(error), error, None))
        raise rpc_common.deserialize_remote_exception(text, ['heat.common.exception'])

    monkeypatch.setattr(client.EngineClient, '__init__', lambda _client: None)
    monkeypatch.setattr(client.EngineClient, 'call', call)
    with pytest.raises(exceptions.CouldNotAsk) as found:
        heat_rpc.signal('p', 'web', 'id-1', 'policy', {'action': 'resume'})
    assert type(found.value) is kind
