# SPDX-License-Identifier: Apache-2.0
"""A metric that a page or a sample names is exposed under that very name."""

import pathlib
import re

import prometheus_client.parser
import pytest

from heat_ha.agent import metrics

ROOT = pathlib.Path(__file__).resolve().parents[3]
PAGES = sorted(
    str(path.relative_to(ROOT))
    for folder in ('doc/source', 'etc', 'examples')
    for path in (ROOT / folder).rglob('*.*')
    if path.suffix in ('.rst', '.sample', '.yaml', '.md', '.json')
)
NAME = re.compile(r'heat_ha_agent_[a-z_]+')


def exposed():
    """The names of all series that Prometheus gets once everything has happened."""
    names = set()
    for one in vars(metrics).values():
        if getattr(one, '_labelnames', ()):
            # Before that it has no series.
            one.labels(*['x'] * len(one._labelnames))
    text = prometheus_client.generate_latest(metrics.REGISTRY).decode()
    for family in prometheus_client.parser.text_string_to_metric_families(text):
        names |= {sample.name for sample in family.samples}
    return names


@pytest.fixture
def names():
    found = exposed()
    yield found
    for one in vars(metrics).values():
        if getattr(one, '_labelnames', ()):
            one.remove(*['x'] * len(one._labelnames))


@pytest.mark.parametrize('page', [*PAGES, 'README.rst'])
def test_every_metric_that_is_named_is_exposed(page, names):
    named = set(NAME.findall((ROOT / page).read_text()))
    # The group of the configuration has such a name, too.
    assert not named - names - {'heat_ha_agent_'}, sorted(named - names)


def test_the_reference_has_every_metric(monkeypatch, names):
    monkeypatch.syspath_prepend(ROOT / 'doc/ext')
    agent_metrics = pytest.importorskip('agent_metrics')
    shown = {name for row in agent_metrics.exposed() for name in row[0]}
    ours = {name for name in names if name.startswith('heat_ha_agent_')}
    assert shown == {name for name in ours if not name.endswith('_created')}
    assert all(text for _names, _kind, _labels, text in agent_metrics.exposed())
