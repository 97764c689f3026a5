# SPDX-License-Identifier: Apache-2.0
"""Which standby takes over: of five, with a dead host among them and one that says it is sick."""

import contextlib
import http.server
import subprocess
import threading

import pytest

from lab.client import failover_policy, hosts, waiting

# It gives this machine addresses of the lab's servers, which takes root and iproute2.
pytestmark = pytest.mark.thorough

PORT = 8008


class Watchdog(http.server.BaseHTTPRequestHandler):
    status = 200

    def do_GET(self):
        self.send_response(self.status if self.path == '/standby' else 404)
        self.end_headers()

    def log_message(self, *_args):
        pass


@contextlib.contextmanager
def inside(address, status):
    """Be the server at this address: there is nobody else, without a hypervisor."""
    subprocess.run(['ip', 'address', 'add', f'{address}/32', 'dev', 'lo'], check=True)
    try:
        handler = type('Handler', (Watchdog,), {'status': status})
        with http.server.ThreadingHTTPServer((address, PORT), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield
            server.shutdown()
    finally:
        subprocess.run(['ip', 'address', 'del', f'{address}/32', 'dev', 'lo'], check=True)


@pytest.fixture
def no_way_to_servers():
    """Whatever else listens behind this machine's gateway is not a server of the lab."""
    subprocess.run(['ip', 'route', 'replace', 'unreachable', '10.20.0.0/16'], check=True)
    yield
    subprocess.run(['ip', 'route', 'del', 'unreachable', '10.20.0.0/16'], check=True)


def address_of(tenant, server):
    (network,) = tenant.compute.get(f'/servers/{server}').json()['server']['addresses'].values()
    return network[0]['addr']


def test_the_plan_of_five_names_the_choice_and_the_reason_for_each_of_the_others(
    make_stack,
    admin,
    tenant,
    dead_host,
    no_way_to_servers,
):
    stack = make_stack('failover_with_health.yaml')
    active = failover_policy.attributes(stack)['active_server']
    places = {s: hosts.host_of(admin, s) for s in stack.servers()}
    # The host that dies is one that does not have the active.
    victim = next(s for s, h in places.items() if h != places[active])
    dead = {s for s, h in places.items() if h == places[victim]}
    living = [s for s in places if s not in dead and s != active]
    assert len(living) >= 2, 'five servers are on three hosts'
    dead_host(victim)
    sick, well = living[0], living[-1]
    with (
        inside(address_of(tenant, sick), 503),
        inside(address_of(tenant, well), 204),
    ):
        stack.signal('failover', {'action': 'plan'})
        waiting.until(
            lambda: [e for e in stack.events('failover') if 'Signal: plan: failover' in e],
            'the dry run is answered',
            every=0.5,
        )
        answer = ' '.join(e for e in stack.events('failover') if 'plan: ' in e)
        assert failover_policy.attributes(stack)['epoch'] == 1, 'a dry run moves nothing'
        stack.signal('failover', {'action': 'switchover'})
        found = failover_policy.after_epoch(stack, 2)
    considered = found['plan']['considered']
    names = {}
    for row in stack.resources():
        if row['resource_type'] == 'OS::Nova::Server':
            names[row['physical_resource_id']] = row['resource_name']
    assert considered.keys() == set(names.values())
    # The only one that proved its health, though it may be the youngest.
    assert found['active_server'] == well
    assert considered[names[well]].startswith('chosen: ') and '204' in considered[names[well]]
    assert considered[names[active]] == 'not eligible: it is the active'
    assert considered[names[sick]].startswith('not eligible: its health check fails')
    for server in dead:
        assert considered[names[server]].startswith('not eligible: its host does not answer')
    for server in set(living) - {sick, well}:
        # Nobody could be asked, which says nothing against it.
        assert considered[names[server]].startswith('eligible')
    for name in names.values():
        assert f'{name}: ' in answer, 'the dry run named each member as well'
