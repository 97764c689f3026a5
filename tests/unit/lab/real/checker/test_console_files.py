# SPDX-License-Identifier: Apache-2.0
import os

import pytest

from lab.real.checker import console_files
from tests.unit.lab.real.checker.written import NEW, line


def test_clock_is_compared_with_the_time_of_the_last_write(tmp_path):
    path = tmp_path / 'console.log'
    path.write_text('init\n' + line('ack', by=NEW, t=5_500, first=0, seq=9))
    os.utime(path, ns=(0, 5_200_000_000))
    assert console_files.read(path)[1] == {NEW: 300}


def test_console_that_ends_with_something_else_says_nothing_of_the_clock(tmp_path):
    path = tmp_path / 'console.log'
    path.write_text(line('ack', first=0, seq=9) + 'agent: asks Heat\n')
    text, offsets = console_files.read(path)
    assert 'agent' in text and offsets == {}


def test_console_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(OSError, match='none'):
        console_files.read(tmp_path / 'none')
