# SPDX-License-Identifier: Apache-2.0
"""The table of what Prometheus reads of heat-ha-agent, made from its registry.

``.. agent-metrics::`` has a row for each metric, under the names with which it is exposed: a
counter has ``_total`` behind its name in the code, and a histogram is several series.
"""

from docutils import nodes
from heat_properties import table
from sphinx.util import docutils

COLUMNS = (('Metric', 40), ('Kind', 10), ('Labels', 18), ('Meaning', 48))

# What a metric of each kind is exposed as, behind its name.
SUFFIXES = {'counter': ('_total',), 'gauge': ('',), 'histogram': ('_bucket', '_count', '_sum')}


def exposed():
    """Each metric of ours: the names that Prometheus sees, its kind, its labels, its meaning."""
    from heat_ha.agent import metrics

    made = [one for one in vars(metrics).values() if hasattr(one, '_labelnames')]
    for name, one in sorted((one._name, one) for one in made):
        names = [f'{name}{suffix}' for suffix in SUFFIXES[one._type]]
        yield names, one._type, list(one._labelnames), one._documentation


class AgentMetrics(docutils.SphinxDirective):
    """The directive."""

    def run(self):
        return [table(COLUMNS, list(_rows()))]


def _rows():
    for names, kind, labels, text in exposed():
        yield (
            nodes.literal('', ' '.join(names)),
            nodes.Text(kind),
            nodes.literal('', ' '.join(labels)) if labels else nodes.Text(''),
            nodes.Text(text if text.endswith('.') else f'{text}.'),
        )


def setup(app):
    app.add_directive('agent-metrics', AgentMetrics)
    return {'parallel_read_safe': True}
