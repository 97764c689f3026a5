# SPDX-License-Identifier: Apache-2.0
"""The tags of a remote stack, which say in its region whose stack it is."""

from heat_ha.regions import model

TAG = 'heat-ha'
MARK, REVISION = f'{TAG}:part:', f'{TAG}:rev:'
EPOCH, OWNER = f'{TAG}:epoch:', f'{TAG}:owner:'


def of(mark: str, revision: str, found: model.Record) -> tuple[str, ...]:
    """The tags of a part's stack: whose it is, what it holds, and who may change it."""
    # Heat accepts 80 characters, without commas.
    owner = (OWNER + found.owner.replace(',', '_'))[:80]
    return (TAG, MARK + mark, REVISION + revision, f'{EPOCH}{found.epoch}', owner)
