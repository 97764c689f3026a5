# SPDX-License-Identifier: Apache-2.0
"""Check a volume against the consoles of the guests that wrote to it.

For instance::

    python -m lab.real.checker --volume ID --ceph-conf CEPH.CONF --console one.log two.log
    python -m lab.real.checker --volume ID --file volume.raw --console one.log

The exit code is 0 when all is well, 1 when something is wrong, 2 when it could not be read.
"""

import argparse
import pathlib
import sys
from collections.abc import Mapping

from lab.real.checker import console_files, consoles, images, records, report

POOL = 'volumes'
# Milliseconds: a report takes its time from the guest to the host's file.
COMPARED_TOLERANCE = 200


def check(
    volume: str,
    content: bytes,
    texts: list[str],
    clock_offsets: Mapping[str, int] | None = None,
) -> report.Report:
    """Check a volume.

    :param volume: its id.
    :param content: what the volume holds, with records on it or in a file system.
    :param texts: what is on each console, read before the volume was.
    :param clock_offsets: see :func:`report.decide`.
    :raises images.Unreadable: when the file system has no file of records.
    """
    lines = [line for text in texts for line in consoles.parse(text)]
    if images.is_ext4(content):
        content = images.records_in_ext4(content)
    reported = consoles.sessions(lines, volume)
    found = records.parse(content)
    # Clocks that were compared do not differ by seconds.
    all_compared = {record.writer.by for record in found.records} <= set(clock_offsets or {})
    tolerance = COMPARED_TOLERANCE if all_compared else report.CLOCK_TOLERANCE
    return report.decide(found, reported, clock_offsets=clock_offsets, tolerance=tolerance)


def describe(found: report.Report) -> list[str]:
    """Put a report into sentences, for a person."""
    lines = [f'{found.count} records']
    for run in found.runs:
        seconds = (run.last_t - run.first_t) / 1000
        lines.append(f'{run.writer} wrote {run.first} to {run.last} in {seconds:.1f} s')
    for each in found.interruptions:
        lines.append(f'{each.milliseconds / 1000:.1f} s from {each.old} to {each.new}')
        if each.until_acknowledged is not None:
            lines[-1] += f', {each.until_acknowledged / 1000:.1f} s until a write was acknowledged'
    if found.longest_pause is not None:
        pause = found.longest_pause
        lines.append(
            f'the longest pause is {pause.milliseconds / 1000:.1f} s, before {pause.before}'
        )
    for doubt in found.unknown:
        where = 'on the volume' if doubt.is_there else 'not on the volume'
        lines.append(f'{doubt.writer} does not know of {doubt.seq}, which is {where}')
    for writer in found.without_console:
        lines.append(f'{writer} has no console: whether it lost records is not known')
    return [*lines, *(f'FAULT: {fault}' for fault in found.faults)]


def main(arguments: list[str] | None = None) -> int:
    """Read, decide, print. :returns: the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--volume', required=True, help='its id')
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument('--file', type=pathlib.Path, help='the volume as a plain file')
    source.add_argument('--ceph-conf', help='where Ceph is; the image is volumes/volume-ID')
    parser.add_argument('--user', default='cinder', help='for Ceph')
    parser.add_argument('--console', type=pathlib.Path, nargs='*', default=[])
    parser.add_argument(
        '--compare-clocks',
        action='store_true',
        help='by the time of the last write to each console, a file that its host writes',
    )
    options = parser.parse_args(arguments)
    try:
        read = [console_files.read(path) for path in options.console]
        offsets = {by: ahead for _, each in read for by, ahead in each.items()}
        if options.file:
            content = images.read_file(options.file)
        else:
            image = f'volume-{options.volume}'
            content = images.read_rbd(options.ceph_conf, POOL, image, options.user)
        texts = [text for text, _ in read]
        found = check(options.volume, content, texts, offsets if options.compare_clocks else None)
    except (images.Unreadable, OSError) as exc:
        print(exc, file=sys.stderr)
        return 2
    print('\n'.join(describe(found)))
    return 1 if found.faults else 0


if __name__ == '__main__':
    sys.exit(main())
