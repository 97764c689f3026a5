# SPDX-License-Identifier: Apache-2.0
import pytest

from lab.real.checker import records
from tests.unit.lab.real.checker import written


def test_records_are_read_up_to_the_last_one():
    found = records.parse(written.volume('a', 'a', 'b') + bytes(5120))
    assert [(r.place, r.seq, r.writer.by) for r in found.records] == [
        (0, 0, 'a'),
        (1, 1, 'a'),
        (2, 2, 'b'),
    ]
    assert not found.bad and not found.blank


def test_no_change_of_one_byte_before_the_padding_goes_unseen():
    good = written.sector(7)
    length = len(good.rstrip())
    for place in range(length):
        changed = bytearray(good)
        changed[place] ^= 1
        assert records.parse_record(bytes(changed), 7) is None, place
    assert records.parse_record(good, 7)


def test_blank_between_records_is_a_gap_and_garbage_is_bad():
    content = written.volume('a', None, 'a') + b'garbage'.ljust(512, b'\0') + written.sector(4)
    found = records.parse(content)
    assert found.blank == (1,) and found.bad == (3,)
    assert [record.seq for record in found.records] == [0, 2, 4]


def test_cut_record_at_the_end_is_bad():
    assert records.parse(written.sector(0) + written.sector(1)[:100]).bad == (1,)


def test_empty_volume_holds_nothing():
    assert records.parse(bytes(4096)) == records.parse(b'') == records.Found((), (), ())


@pytest.mark.parametrize(
    ('numbers', 'folded'),
    [([], ()), ([3], ((3, 3),)), ([1, 2, 3, 7, 9, 10], ((1, 3), (7, 7), (9, 10)))],
)
def test_neighbours_are_folded(numbers, folded):
    assert records.ranges(numbers) == folded
