# SPDX-License-Identifier: Apache-2.0
import os
import pathlib
import time

import pytest

from heat_ha.fencing import driver, program


def shell(text, **kwargs):
    return program.run(['/bin/sh', '-c', text], **{'limit': 10.0, **kwargs})


def is_running(pid):
    try:
        status = pathlib.Path(f'/proc/{pid}/stat').read_text()
    except OSError:
        return False
    return status.rpartition(')')[2].split()[0] not in 'ZX'


def test_what_a_program_says_and_how_it_ends():
    said = shell('cat; echo bad >&2; exit 3', stdin='a=b\n')
    assert (said.code, said.out, said.err, said.is_whole) == (3, 'a=b', 'bad', True)
    assert shell('kill -9 $$').code == -9
    assert shell('echo $NAME', environment={'NAME': 'x'}).out == 'x'


def test_a_program_that_does_not_read_what_it_is_told_may_end():
    assert shell('exec <&-; exit 2', stdin='x' * 1_000_000).code == 2


def test_a_program_that_is_missing_is_no_fence():
    with pytest.raises(driver.NotFenced, match='/no/such/program'):
        program.run(['/no/such/program'], limit=1)


def test_output_is_bounded_and_that_it_was_cut_is_known():
    said = shell(f'head -c {program.OUTPUT_LIMIT} /dev/zero')
    assert said.is_whole
    said = shell(f'head -c {program.OUTPUT_LIMIT * 40} /dev/zero | tr "\\0" x')
    assert len(said.out) == program.OUTPUT_LIMIT and not said.is_whole and said.code == 0


@pytest.mark.parametrize('end', ['wait', 'exit 0'], ids=['it waits for them', 'it leaves them'])
def test_no_child_is_left_behind(tmp_path, end):
    begin = time.monotonic()
    text = f'sleep 60 & echo $! > {tmp_path}/child; {end}'
    if end == 'wait':
        with pytest.raises(driver.NotFenced, match='was killed'):
            shell(text, limit=0.5)
    else:
        assert shell(text).code == 0
    child = int((tmp_path / 'child').read_text())
    while is_running(child):
        assert time.monotonic() - begin < 20
        time.sleep(0.05)
    assert time.monotonic() - begin < 20
    with pytest.raises(ChildProcessError):
        os.waitpid(child, os.WNOHANG)
