# SPDX-License-Identifier: Apache-2.0
import itertools

from lab.real.checker import __main__ as checker
from lab.real.checker import consoles, records, report
from tests.unit.lab.real.checker import written
from tests.unit.lab.real.checker.written import NEW, OLD, line, sector


def decide(content, *lines, **options):
    reported = consoles.sessions(consoles.parse(''.join(lines)), written.VOLUME)
    return report.decide(records.parse(content), reported, **options)


def acknowledged(by, first, last):
    return line('start', by=by, first=first, seq=first) + line('ack', by=by, first=first, seq=last)


HANDED_OVER = written.volume(*[OLD] * 5, *[NEW] * 5)
BOTH_REPORTED = (acknowledged(OLD, 0, 4), acknowledged(NEW, 5, 9))


def test_handover_has_no_faults_and_says_how_long_nobody_wrote():
    late = b''.join(sector(seq, NEW, 1_004_000 + 100 * seq) for seq in range(5, 10))
    found = decide(written.volume(*[OLD] * 5) + late, *BOTH_REPORTED)
    assert found.faults == ()
    assert [(run.first, run.last) for run in found.runs] == [(0, 4), (5, 9)]
    assert [each.milliseconds for each in found.interruptions] == [4100]


def test_first_write_that_has_to_wait_counts_until_it_is_acknowledged():
    reported = line('ack', by=NEW, first=5, seq=5, t=1_024_400)
    (found,) = decide(HANDED_OVER, reported).interruptions
    assert (found.milliseconds, found.until_acknowledged) == (100, 24_000)
    (found,) = decide(HANDED_OVER, reported, clock_offsets={NEW: 1000}).interruptions
    assert (found.milliseconds, found.until_acknowledged) == (-900, 23_000)
    (found,) = decide(HANDED_OVER).interruptions
    assert found.until_acknowledged is None


def test_longest_pause_is_found_within_a_run_as_well():
    content = written.volume(*[OLD] * 3) + sector(3, t=1_009_000) + sector(4, t=1_009_100)
    assert decide(content).longest_pause == report.Pause(3, 8800)
    assert decide(sector(0)).longest_pause is None


def test_every_acknowledged_record_is_there_or_reported_as_lost():
    # Each sector of three may hold what the old wrote, the new wrote, or nothing.
    for writers in itertools.product((OLD, NEW, None), repeat=3):
        found = decide(written.volume(*writers), acknowledged(OLD, 0, 2))
        there = sum(by == OLD for by in writers)
        assert found.lost_count + there == 3, writers
        assert bool(found.lost) == (there < 3)
        assert not found.lost or found.faults


def test_two_writers_in_step_are_called_out_by_their_consoles_alone():
    content = written.volume(*[OLD] * 5, *[NEW] * 5)
    both = (acknowledged(OLD, 0, 9), acknowledged(NEW, 5, 9))
    found = decide(content, *both)
    assert [(lost.first, lost.last, lost.instead.by) for lost in found.lost] == [(5, 9, NEW)]
    assert [(each.first, each.last) for each in found.acknowledged_twice] == [(5, 9)]
    # The volume looks like a handover.
    assert decide(content).faults == ()


def test_writer_that_goes_on_where_it_did_not_begin_is_an_intrusion():
    content = written.volume(OLD, OLD, NEW, OLD, NEW)
    found = decide(content, acknowledged(OLD, 0, 1), acknowledged(NEW, 2, 2))
    assert [(run.writer.by, run.first) for run in found.intrusions] == [(OLD, 3), (NEW, 4)]


def test_same_guest_may_take_the_volume_again():
    content = written.volume(OLD, OLD, NEW, OLD)
    reported = acknowledged(OLD, 0, 1), acknowledged(NEW, 2, 2), acknowledged(OLD, 3, 3)
    assert decide(content, *reported).faults == ()


def test_failed_write_is_unknown_and_no_fault_wherever_its_record_is():
    for is_there in (True, False):
        content = written.volume(*[OLD] * (4 if is_there else 3), *[NEW])
        first = 4 if is_there else 3
        found = decide(
            content,
            line('start', first=0, seq=0),
            line('err', first=0, seq=3, op='write', errno=5),
            acknowledged(NEW, first, first),
        )
        assert found.faults == ()
        assert [(each.seq, each.is_there) for each in found.unknown] == [(3, is_there)]


def test_new_writer_that_begins_too_early_is_a_fault_beyond_the_tolerance():
    early = sector(1, NEW, t=1_000_000 - 2500)
    content = sector(0, OLD, t=1_000_000) + early
    assert decide(content).overlaps
    assert not decide(content, tolerance=3000).overlaps
    assert not decide(content, clock_offsets={NEW: -2500}).overlaps
    assert decide(content, clock_offsets={OLD: -2500}).interruptions[0].milliseconds == -5000


def test_gaps_bad_and_misplaced_records_are_faults():
    content = written.volume(OLD, None, None) + b'x' * 512 + sector(0) + sector(5)
    found = decide(content)
    assert (found.gaps, found.bad, found.misplaced) == (((1, 2),), ((3, 3),), ((4, 4),))
    assert found.doubled == (0,)
    assert len(found.faults) == 4


def test_writer_without_a_console_is_named():
    found = decide(HANDED_OVER, acknowledged(OLD, 0, 4))
    assert [writer.by for writer in found.without_console] == [NEW]
    assert found.faults == ()


def test_empty_volume_without_reports_is_well():
    found = decide(bytes(4096))
    assert found.count == 0 and found.faults == ()


def test_command_says_by_its_exit_code_what_it_found(tmp_path, capsys):
    volume, console = tmp_path / 'volume', tmp_path / 'console'
    volume.write_bytes(HANDED_OVER)
    arguments = ['--volume', written.VOLUME, '--file', str(volume), '--console', str(console)]
    console.write_text(''.join(BOTH_REPORTED))
    assert checker.main(arguments) == 0
    console.write_text(acknowledged(OLD, 0, 9))
    assert checker.main(arguments) == 1
    assert 'FAULT: 11111111/b1 had 5 to 9 acknowledged; there is what' in capsys.readouterr().out
    volume.unlink()
    assert checker.main(arguments) == 2


def test_clocks_that_were_compared_leave_less_tolerance():
    early = sector(0, OLD, t=1_000_000) + sector(1, NEW, t=999_000)
    assert not checker.check(written.VOLUME, early, []).faults
    assert checker.check(written.VOLUME, early, [], {OLD: 0, NEW: 0}).faults
    # Of one of the two nothing is known.
    assert not checker.check(written.VOLUME, early, [], {OLD: 0}).faults
