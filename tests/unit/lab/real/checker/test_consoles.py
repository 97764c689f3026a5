# SPDX-License-Identifier: Apache-2.0
from lab.real.checker import consoles
from tests.unit.lab.real.checker import written
from tests.unit.lab.real.checker.written import line


def sessions(*lines):
    return consoles.sessions(consoles.parse(''.join(lines)), written.VOLUME)


def test_acknowledged_is_what_the_last_report_says():
    (session,) = sessions(
        line('start', first=5, seq=5),
        line('ack', first=5, seq=5, slowest=3, t=77),
        line('ack', first=5, seq=9, slowest=3),
        line('ack', first=5, seq=19, slowest=3),
    )
    assert (session.first, session.acknowledged, session.unknown) == (5, 19, ())
    assert session.first_acknowledged_at == 77


def test_error_means_that_those_before_were_acknowledged_and_this_one_is_unknown():
    (session,) = sessions(
        line('start', first=0, seq=0), line('err', first=0, seq=4, op='write', errno=5)
    )
    assert (session.acknowledged, session.unknown, session.errors) == (3, (4,), 1)


def test_error_that_a_later_try_mends_is_not_unknown():
    (session,) = sessions(
        line('err', first=0, seq=4, op='write', errno=5), line('ack', first=0, seq=9)
    )
    assert (session.acknowledged, session.unknown, session.errors) == (9, (), 1)


def test_write_under_way_when_the_device_goes_is_unknown():
    (session,) = sessions(line('start', first=0, seq=0), line('gone', first=0, seq=8, pending=1))
    assert (session.acknowledged, session.unknown) == (7, (8,))
    (session,) = sessions(line('start', first=0, seq=0), line('gone', first=0, seq=8, pending=0))
    assert (session.acknowledged, session.unknown) == (7, ())


def test_each_attachment_and_each_boot_is_a_session():
    found = sessions(
        line('start', first=0, seq=0),
        line('gone', first=0, seq=8, pending=1),
        line('start', first=9, seq=9),
        line('start', first=9, seq=9, boot='b2'),
    )
    assert [(each.writer.boot, each.first) for each in found] == [('b1', 0), ('b1', 9), ('b2', 9)]


def test_session_before_it_knows_its_number_says_nothing():
    assert sessions(line('err', first=-1, seq=0, op='read', errno=5)) == []


def test_other_volumes_are_left_out():
    assert sessions(line('ack', vol='another', first=0, seq=9)) == []


def test_line_that_is_torn_or_mixed_is_left_out():
    whole = line('ack', first=0, seq=9)
    torn = whole[:40] + '[   12.3] a word of the kernel\r\n' + whole[40:]
    assert consoles.parse(torn) == []
    assert consoles.parse(whole.replace('seq=9', 'seq=99')) == []
    # What stands before it in the line is no part of it.
    assert len(consoles.parse(f'a prompt {whole}')) == 1


def test_clock_is_compared_by_the_last_line_alone():
    text = 'init\n' + line('ack', t=1500, first=0, seq=9)
    assert consoles.clock_offset(text, 1200) == 300
    assert consoles.clock_offset(text + 'agent: runs\n', 1200) is None
    assert consoles.clock_offset(text + 'HACON by=', 1200) is None
    assert consoles.clock_offset('', 1200) is None
