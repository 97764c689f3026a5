# SPDX-License-Identifier: Apache-2.0
import pytest

from lab import golden, layout, problems, regions
from lab.real import kind


@pytest.fixture
def copies(tmp_path, monkeypatch):
    monkeypatch.setattr(layout, 'GOLDEN', tmp_path)
    for name in ('a-one', 'a-one-two', 'b-one-real', 'making'):
        (tmp_path / name).mkdir()
    return tmp_path


@pytest.mark.parametrize(('is_real', 'suffix'), [(False, 'one'), (True, 'one-real')])
def test_a_kind_of_lab_has_a_copy_of_its_own(monkeypatch, is_real, suffix):
    monkeypatch.setattr(kind, 'is_real', lambda: is_real)
    assert golden._suffix([regions.ONE]) == suffix
    assert ('real' in golden._folders()) == is_real


@pytest.mark.parametrize(
    ('suffix', 'left'), [('one', {'b-one-real'}), ('one-real', {'a-one', 'a-one-two'})]
)
def test_a_new_copy_takes_the_place_of_older_ones_of_its_kind(copies, suffix, left):
    golden._forget_others(suffix)
    assert {path.name for path in copies.iterdir()} == left


def test_a_hole_in_a_file_stays_a_hole(tmp_path):
    source = tmp_path / 'source'
    source.mkdir()
    with (source / 'disk').open('wb') as disk:
        disk.write(b'begin')
        disk.truncate(2**30)
    golden._copy(source, tmp_path / 'target')
    copied = (tmp_path / 'target' / 'disk').stat()
    assert copied.st_size == 2**30
    assert copied.st_blocks * 512 < 2**20


def test_a_copy_that_fails_says_why(tmp_path):
    with pytest.raises(problems.Problem, match='could not be copied'):
        golden._copy(tmp_path / 'missing', tmp_path / 'target')
