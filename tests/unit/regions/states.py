# SPDX-License-Identifier: Apache-2.0
"""The parts and the observations over which the rules of regions are walked."""

import datetime
import itertools

from heat_ha.regions.model import ErrorClass, Part
from heat_ha.regions.rules.answers import Present, Silent

NOW = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.timezone.utc)
EARLIER, JUST_NOW = '2026-01-01T11:00:00+00:00', '2026-01-01T11:59:59+00:00'

ACTIONS = ('CREATE', 'UPDATE', 'DELETE', 'ROLLBACK', 'CHECK', 'SUSPEND', 'RESUME')
STATUSES = ('IN_PROGRESS', 'COMPLETE', 'FAILED')

PARTS = [
    Part(
        'B', 'mark', 'name', stack_id, desired='new', sent=told, applied=applied, attempt=attempt,
        doubtful_since=doubt, silent_since=silent, changed='then', adopts=adopts,
    )
    for stack_id, (told, applied), attempt, doubt, silent, adopts in itertools.product(
        ('', 'id'),
        (('', ''), ('new', ''), ('new', 'old'), ('old', 'old'), ('new', 'new')),
        ('', 'this'),
        ('', EARLIER, JUST_NOW),
        ('', EARLIER, JUST_NOW),
        ('', 'theirs'),
    )
]  # fmt: skip

SILENT = [
    Silent(error, 'no', is_known)
    for error in (ErrorClass.UNREACHABLE, ErrorClass.AUTH, ErrorClass.INVALID)
    for is_known in (True, False)
]

PRESENT = [
    Present('id', 'name', action, status, '', changed, mark, revision)
    for action, status, changed, (mark, revision) in itertools.product(
        ACTIONS,
        STATUSES,
        ('then', 'since'),
        (('mark', 'new'), ('mark', 'old'), ('mark', 'other'), ('', '')),
    )
]
