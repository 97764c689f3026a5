# SPDX-License-Identifier: Apache-2.0
import pytest

from lab import cli, problems, processes
from lab.ports import Ports
from lab.real import kind, network, power
from lab.real.addresses import Link

BLOCK = Ports(27000)


@pytest.fixture
def done(monkeypatch):
    """What is done to hosts and services of a lab with real guests, in order."""
    found = []

    def record(what):
        return lambda *names, **more: found.append((what, *names[-1:], *more.values())) or True

    monkeypatch.setattr(kind, 'is_real', lambda: True)
    monkeypatch.setattr(cli.ports, 'from_environment', lambda: BLOCK)
    for name in ('cut_off', 'shut_down', 'freeze', 'thaw'):
        monkeypatch.setattr(power, name, record(name))
    monkeypatch.setattr(processes, 'kill', record('kill'))
    monkeypatch.setattr(processes, 'stop', lambda names, _: found.append(('stop', *names)))
    monkeypatch.setattr(network, 'cut', record('cut'))
    monkeypatch.setattr(network, 'heal', record('heal'))
    return found


@pytest.mark.parametrize(
    ('verb', 'what'),
    [('kill', 'cut_off'), ('stop', 'shut_down'), ('freeze', 'freeze'), ('thaw', 'thaw')],
)
def test_a_host_s_name_means_all_of_the_host(done, verb, what):
    assert cli.main([verb, 'r2', 'r1']) == 0
    assert done == [(what, 'r1'), (what, 'r2')]


def test_one_service_of_a_host_is_that_one_alone(done):
    assert cli.main(['kill', 'libvirtd-r1', 'ceph-osd']) == 0
    assert done == [('kill', 'ceph-osd'), ('kill', 'libvirtd-r1')]


def test_what_is_started_first_is_stopped_last(done):
    assert cli.main(['stop', 'libvirtd-r1', 'nova-compute-r1']) == 0
    assert done == [('stop', 'nova-compute-r1'), ('stop', 'libvirtd-r1')]


def test_a_host_is_started_with_all_its_services(monkeypatch, done):
    names = [service.name for service in cli._chosen(BLOCK, ['r3'])]
    assert names == [
        f'{kind}-r3' for kind in ('host', 'relay', 'ports', 'libvirtd', 'nova-compute')
    ]


def test_a_cut_is_of_the_named_link_or_of_all(done):
    assert cli.main(['cut', 'r1', '--link', 'storage']) == 0
    assert cli.main(['cut', 'r1']) == 0
    assert cli.main(['heal', 'r1', 'r2']) == 0
    assert done == [
        ('cut', [Link.STORAGE]),
        ('cut', list(Link)),
        ('heal', 'r1'),
        ('heal', 'r2'),
    ]


def test_the_plain_lab_has_no_such_hosts(monkeypatch, capsys, done):
    monkeypatch.setattr(kind, 'is_real', lambda: False)
    assert cli.main(['kill', 'r1']) == 1
    assert 'there is no service r1' in capsys.readouterr().err
    assert cli.main(['cut', 'r1']) == 1
    assert 'make lab-real' in capsys.readouterr().err
    assert done == []
    with pytest.raises(problems.Problem):
        cli._chosen(BLOCK, ['r1'])
