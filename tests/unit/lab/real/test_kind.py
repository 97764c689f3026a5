# SPDX-License-Identifier: Apache-2.0
import pathlib

import pytest

from lab import layout
from lab.real import kind


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setattr(layout, 'LAB', tmp_path)
    monkeypatch.setattr(layout, 'DATA', tmp_path / 'data')
    monkeypatch.setattr(kind, '_MARK', tmp_path / 'with-real-guests')
    return tmp_path / 'data'


def test_each_kind_finds_its_own_data_again(data):
    data.mkdir()
    (data / 'what').write_text('plain')
    kind.become(True, 27000)
    assert kind.is_real() and not data.exists()
    data.mkdir()
    (data / 'what').write_text('real')
    for _ in range(2):
        kind.become(False, 27000)
        assert not kind.is_real() and (data / 'what').read_text() == 'plain'
        kind.become(True, 27000)
        assert kind.is_real() and (data / 'what').read_text() == 'real'


def test_to_become_what_it_is_changes_nothing(data):
    kind.become(False, 27000)
    assert not data.exists() and not kind.is_real()
    kind.become(True, 27000)
    data.mkdir()
    (data / 'what').write_text('real')
    kind.become(True, 27000)
    assert (data / 'what').read_text() == 'real'


def test_data_with_other_addresses_are_not_taken(data):
    kind.become(True, 27000)
    data.mkdir()
    kind.become(False, 27000)
    kind.become(True, 28000)
    assert kind.is_real() and not data.exists()


def test_forgotten_data_leave_those_of_the_other_kind_alone(data):
    data.mkdir()
    (data / 'what').write_text('plain')
    kind.become(True, 27000)
    # As after a reset: the folder is there, and nothing is in it.
    data.mkdir()
    kind.become(True, 27000)
    assert kind.is_real() and not list(data.iterdir())
    kind.become(False, 27000)
    assert (data / 'what').read_text() == 'plain'


@pytest.mark.parametrize('step', ['rename', 'touch'])
@pytest.mark.parametrize('goes_on', [False, True])
def test_a_change_that_was_cut_off_loses_nothing(data, monkeypatch, step, goes_on):
    data.mkdir()
    (data / 'what').write_text('plain')
    with monkeypatch.context() as dying:
        dying.setattr(pathlib.Path, step, _then_die(getattr(pathlib.Path, step)))
        with pytest.raises(InterruptedError):
            kind.become(True, 27000)
    # The next command makes folders before anything else.
    data.mkdir(exist_ok=True)
    if goes_on:
        kind.become(True, 27000)
        assert kind.is_real() and not (data / 'what').exists()
    kind.become(False, 27000)
    assert (data / 'what').read_text() == 'plain'


def _then_die(method):
    def run(*args):
        method(*args)
        raise InterruptedError

    return run
