# SPDX-License-Identifier: Apache-2.0
import gzip
import os
import shutil
import stat
import subprocess

import pytest

from lab.real.guest import build


@pytest.mark.skipif(shutil.which('cpio') is None, reason='there is no cpio')
def test_same_files_give_the_same_archive_whenever_they_were_made(tmp_path):
    packed = []
    for name, moment in (('one', 1_000_000_000), ('other', 1_700_000_000)):
        tree = tmp_path / name
        (tree / 'bin').mkdir(parents=True)
        (tree / 'init').write_text('#!/bin/sh\n')
        (tree / 'bin' / 'sh').symlink_to('busybox')
        os.utime(tree / 'init', (moment, moment))
        (tree / 'init').chmod(0o755 if name == 'one' else 0o700)
        packed.append(build._pack(tree))
    assert packed[0] == packed[1]
    assert b'TRAILER!!!' in gzip.decompress(packed[0])


def test_every_program_of_the_guest_may_be_executed():
    files = [*(build.FILES / 'bin').iterdir(), *(build.FILES / 'www' / 'cgi-bin').iterdir()]
    for path in [build.FILES / 'init', *files]:
        assert path.stat().st_mode & stat.S_IXUSR, path
        assert path.read_text().startswith('#!/bin/sh\n# SPDX-License-Identifier'), path


@pytest.mark.skipif(shutil.which('shellcheck') is None, reason='there is no shellcheck')
def test_programs_of_the_guest_have_no_known_traps_of_the_shell():
    scripts = [build.FILES / 'init', *(build.FILES / 'bin').iterdir(), *build.CONFIGS.iterdir()]
    done = subprocess.run(
        ['shellcheck', *scripts], capture_output=True, text=True, timeout=120, check=False
    )
    assert not done.stdout
