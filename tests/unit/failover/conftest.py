# SPDX-License-Identifier: Apache-2.0
"""What tests of failovers share. None has Heat's database: one transaction of it is none here."""

import contextlib

import pytest

from heat_ha.cloud import heat_db
from tests.unit.failover import policies


@pytest.fixture(autouse=True)
def no_database(monkeypatch):
    """Let reads and writes go to whatever stands for the database."""
    for name in ('reading', 'writing'):
        monkeypatch.setattr(heat_db, name, lambda _context: contextlib.nullcontext())


@pytest.fixture
def made(monkeypatch):
    """A policy's work with a clock of its own, whose decisions are what ``answers`` says."""
    return policies.at_work(monkeypatch)
