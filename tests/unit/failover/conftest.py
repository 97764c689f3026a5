# SPDX-License-Identifier: Apache-2.0
"""What tests of failovers share. None has Heat's database: one transaction of it is none here."""

import contextlib

import pytest

from heat_ha.cloud import compare_and_set, heat_db
from tests.unit.failover import policies


@pytest.fixture(autouse=True)
def no_database(monkeypatch):
    """Let reads and writes go to whatever stands for the database."""
    for name in ('reading', 'writing'):
        monkeypatch.setattr(heat_db, name, lambda _context: contextlib.nullcontext())
    monkeypatch.setattr(compare_and_set, 'swap', _swap)


def _swap(resource, key, before, after, lock=None):
    """``compare_and_set.swap`` over the data of a stand-in; the real one is tried with Heat's."""
    if lock is not None and not lock.is_held():
        return False
    if resource.data().get(key) != before:
        return False
    if after is not None:
        resource.data_set(key, after)
        return True
    while resource.data().get(key) == before:
        resource.data_delete(key)
    return True


@pytest.fixture
def made(monkeypatch):
    """A policy's work with a clock of its own, whose decisions are what ``answers`` says."""
    return policies.at_work(monkeypatch)
