# SPDX-License-Identifier: Apache-2.0
import pytest

from lab import layout
from lab.real import kind


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setattr(layout, 'LAB', tmp_path)
    monkeypatch.setattr(layout, 'DATA', tmp_path / 'data')
    monkeypatch.setattr(kind, '_MARK', tmp_path / 'data' / 'real')
    return tmp_path / 'data'


def test_each_kind_finds_its_own_data_again(data):
    data.mkdir()
    (data / 'what').write_text('plain')
    kind.become(True, 27000)
    assert kind.is_real() and not (data / 'what').exists()
    (data / 'what').write_text('real')
    for _ in range(2):
        kind.become(False, 27000)
        assert not kind.is_real() and (data / 'what').read_text() == 'plain'
        kind.become(True, 27000)
        assert kind.is_real() and (data / 'what').read_text() == 'real'


def test_to_become_what_it_is_changes_nothing(data):
    kind.become(False, 27000)
    assert not data.exists()
    kind.become(True, 27000)
    (data / 'what').write_text('real')
    kind.become(True, 27000)
    assert (data / 'what').read_text() == 'real'


def test_data_with_other_addresses_are_not_taken(data):
    kind.become(True, 27000)
    (data / 'what').write_text('real')
    kind.become(False, 27000)
    kind.become(True, 28000)
    assert kind.is_real() and not (data / 'what').exists()


def test_forgotten_data_take_the_mark_with_them(data):
    kind.become(True, 27000)
    data.rename(data.with_name('gone'))
    assert not kind.is_real()
