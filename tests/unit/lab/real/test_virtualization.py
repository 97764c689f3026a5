# SPDX-License-Identifier: Apache-2.0
import itertools

import pytest

from lab import stamps
from lab.real import paths, virtualization
from lab.real.virtualization import SIGN_OF_LIFE, Kind

CONSOLES = {
    'nothing': '',
    'emulated too slowly': "qemu-system-x86_64: warning: host doesn't support requested feature",
    'gave up': 'KVM internal error. Suberror: 1',
    'came up and gave up': f'{SIGN_OF_LIFE}:\nKVM internal error. Suberror: 1',
    'came up': f'{SIGN_OF_LIFE}: 4f2e\nreboot: Power down',
}


def test_kvm_is_chosen_only_when_the_guest_came_up_and_ended_by_itself():
    for exists, name, code in itertools.product((True, False), CONSOLES, (0, 1, None)):
        works = exists and name.startswith('came up') and code == 0
        wanted = Kind.KVM if works else Kind.TCG
        assert virtualization.choose(exists, CONSOLES[name], code) is wanted, (exists, name, code)


@pytest.fixture
def built(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, 'BUILT', tmp_path)
    return tmp_path


def test_a_guest_is_booted_once_on_a_kernel(built, monkeypatch):
    boots = []
    monkeypatch.setattr(virtualization.os, 'access', lambda *_: True)

    def boot(*files):
        boots.append(files)
        return CONSOLES['came up'], 0

    monkeypatch.setattr(virtualization, '_boot', boot)
    assert virtualization.known() is Kind.TCG
    assert [virtualization.find_out('k', 'i') for _ in range(2)] == [Kind.KVM] * 2
    assert virtualization.known() is Kind.KVM
    assert boots == [('k', 'i')]
    # After a start with another kernel all is open again.
    stamps.put(built, 'virtualization', 'kvm another')
    assert virtualization.known() is Kind.TCG
    assert virtualization.find_out('k', 'i') is Kind.KVM
    assert len(boots) == 2


def test_without_the_device_nothing_is_booted(built, monkeypatch):
    monkeypatch.setattr(virtualization.os, 'access', lambda *_: False)
    monkeypatch.setattr(virtualization, '_boot', None)
    assert virtualization.find_out('k', 'i') is Kind.TCG


def test_only_tcg_limits_the_memory_for_what_it_translates():
    assert 'tb_cache_size' in Kind.TCG.settings
    assert Kind.KVM.settings == ''
