# SPDX-License-Identifier: Apache-2.0
"""No test of a failover has Heat's database: what would be one transaction is none."""

import contextlib

import pytest

from heat_ha.cloud import heat_db


@pytest.fixture(autouse=True)
def no_database(monkeypatch):
    """Let reads and writes go to whatever stands for the database."""
    for name in ('reading', 'writing'):
        monkeypatch.setattr(heat_db, name, lambda _context: contextlib.nullcontext())
