# SPDX-License-Identifier: Apache-2.0
import configparser

import pytest

from lab import config as plain_config
from lab import layout
from lab.ports import Ports
from lab.real import ceph, config, kind, paths, virtualization
from lab.real.addresses import HOSTS, Link, Plan

BLOCK = Ports(27000)
PLAN = Plan(27000)


@pytest.fixture
def written(tmp_path, monkeypatch):
    """The folder of a lab for which the tier's files were written."""
    for place in ('ETC', 'DATA'):
        monkeypatch.setattr(paths, place, tmp_path / place.lower())
    monkeypatch.setattr(paths, 'CEPH_RUN', tmp_path / 'run')
    monkeypatch.setattr(paths, 'KEYRINGS', tmp_path / 'keyrings')
    for name in ('CEPH_CONF', 'CEPH_SERVER_CONF', 'RELAY_CONF'):
        monkeypatch.setattr(paths, name, tmp_path / name.lower())
    monkeypatch.setattr(virtualization, 'known', lambda: virtualization.Kind.TCG)
    config.write_all(BLOCK)
    return tmp_path


def test_a_host_s_nova_compute_has_its_own_name_address_and_folders(written):
    seen = set()
    for host in HOSTS:
        conf = _read(paths.compute_conf_of(host))
        assert conf['DEFAULT']['host'] == host
        assert conf['DEFAULT']['my_ip'] == PLAN.host(host, Link.MANAGEMENT)
        assert conf['libvirt']['virt_type'] == 'qemu'
        assert conf['libvirt']['tb_cache_size'] == '32'
        assert str(paths.compute_conf_of(host)) in conf['privsep_osbrick']['helper_command']
        seen |= {conf['DEFAULT']['state_path'], conf['DEFAULT']['instances_path']}
    assert len(seen) == 2 * len(HOSTS)


def test_each_host_s_libvirt_has_an_identity_of_its_own_and_the_same_secret(written):
    identities, secret = set(), ceph.cluster_id(PLAN)
    for host in HOSTS:
        etc = paths.of_host(host) / 'etc' / 'libvirt'
        identities.add((etc / 'libvirtd.conf').read_text())
        assert secret in (etc / 'secrets' / f'{secret}.xml').read_text()
        key = (etc / 'secrets' / f'{secret}.base64').read_text()
        assert key == ceph.key_of('client.cinder')
    assert len(identities) == len(HOSTS)


def test_clients_and_servers_of_ceph_agree_on_what_both_read(written):
    client, server = _read(paths.CEPH_CONF), _read(paths.CEPH_SERVER_CONF)
    for option in ('fsid', 'mon_host', 'keyring', 'osd_pool_default_size'):
        assert client['global'][option] == server['global'][option]
    # Each server and client finds its key by its own name.
    assert client['global']['keyring'] == f'{paths.KEYRINGS}/$name.keyring'
    names = {f'{user}.keyring' for user in ('mon', 'mgr.a', 'osd.0', 'client.cinder')}
    assert names <= {path.name for path in paths.KEYRINGS.iterdir()}


@pytest.mark.parametrize('is_real', [False, True])
def test_cinder_and_neutron_know_of_the_tier_only_where_there_is_one(
    tmp_path, monkeypatch, is_real
):
    for place in ('ETC', 'DATA', 'HOME', 'RUN', 'LOG'):
        monkeypatch.setattr(layout, place, tmp_path / place.lower())
    layout.HOME.mkdir()
    for name in ('CLOUDS', 'APART'):
        monkeypatch.setattr(layout, name, tmp_path / name.lower())
    monkeypatch.setattr(kind, 'is_real', lambda: is_real)
    monkeypatch.setattr(config, 'write_all', lambda block: None)
    plain_config.write_all(BLOCK)
    cinder = _read(layout.ETC / 'one' / 'cinder' / 'cinder.conf')
    assert ('rbd' in cinder['DEFAULT']['enabled_backends']) == cinder.has_section('rbd') == is_real
    driver = _read(layout.ETC / 'neutron' / 'ml2_conf.ini')['ml2']['mechanism_drivers']
    assert driver == ('heat_ha_lab_tap' if is_real else 'fake_agent')


def _read(path):
    conf = configparser.ConfigParser(interpolation=None, strict=False)
    conf.read_string(path.read_text())
    return conf
