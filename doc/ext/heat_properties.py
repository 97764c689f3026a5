# SPDX-License-Identifier: Apache-2.0
"""Tables of a resource type's properties and attributes, read from its schemas.

``.. heat-resource-type:: OS::Heat::FailoverPolicy`` loads our plugin modules, as Heat's loader
does, and writes what the type's class says of itself: its docstring, its properties and its
attributes. A type that is not there gives a note. A type of ours that no page names is a warning,
so that ``make docs`` finds it.
"""

import importlib.util
import logging as std_logging
import pathlib

from docutils import nodes, statemachine
from heat.engine import attributes, properties, support
from sphinx.util import docutils, logging

LOG = logging.getLogger(__name__)
ROOT = pathlib.Path(__file__).resolve().parents[2]

PROPERTY_COLUMNS = (('Property', 22), ('Type', 8), ('Default', 12), ('Update', 10), ('Meaning', 48))
ATTRIBUTE_COLUMNS = (('Attribute', 22), ('Type', 8), ('Meaning', 70))


def load_types():
    """Load the plugin modules and return their types by name."""
    # It warns of each of Heat's own types that is out of use.
    std_logging.getLogger('heat.engine.environment').setLevel(std_logging.ERROR)
    types = {}
    for path in sorted([*ROOT.glob('policies/*.py'), *ROOT.glob('resources/*.py')]):
        spec = importlib.util.spec_from_file_location(f'heat_ha_docs_{path.stem}', path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        types.update(module.available_resource_mapping())
    return types


class HeatResourceType(docutils.SphinxDirective):
    """The directive: one type, by its name."""

    required_arguments = 1

    def run(self):
        name = self.arguments[0]
        self.env.metadata[self.env.docname].setdefault('heat_types', set()).add(name)
        cls = self.config.heat_types.get(name)
        if cls is None:
            text = nodes.paragraph('', f'{name} is not in this release.')
            return [nodes.note('', text)]
        return [
            *self._parsed(_docstring(cls)),
            *_status(cls),
            nodes.rubric('', 'Properties'),
            table(PROPERTY_COLUMNS, _property_rows(cls.properties_schema)),
            nodes.rubric('', 'Attributes'),
            table(ATTRIBUTE_COLUMNS, _attribute_rows(cls.attributes_schema)),
        ]

    def _parsed(self, lines):
        node = nodes.container()
        self.state.nested_parse(statemachine.StringList(lines, self.arguments[0]), 0, node)
        return node.children


def _docstring(cls):
    first, _, rest = (cls.__doc__ or '').strip().partition('\n')
    return [first, *(line[4:] for line in rest.splitlines())]


def _status(cls):
    status = cls.support_status
    if status.status == support.SUPPORTED or not status.message:
        return []
    return [nodes.paragraph('', '', nodes.emphasis('', str(status.message)))]


def _property_rows(schemata, prefix='', update=None):
    for name, schema in sorted(properties.schemata(schemata).items()):
        if not _is_shown(schema):
            continue
        full_name = f'{prefix}{name}'
        yield (
            nodes.literal('', full_name),
            nodes.Text(schema.type.lower()),
            _default(schema),
            # Heat looks only at the whole property to see what an update does.
            nodes.Text(update or _update(schema)),
            nodes.Text(_description(schema)),
        )
        if schema.schema:
            is_list = schema.type == properties.Schema.LIST
            inner = schema.schema['*'].schema if is_list else schema.schema
            mark = '[].' if is_list else '.'
            if inner:
                yield from _property_rows(inner, f'{full_name}{mark}', update or _update(schema))


def _attribute_rows(schemata):
    for name, schema in sorted(attributes.schemata(schemata).items()):
        if _is_shown(schema):
            yield (
                nodes.literal('', name),
                nodes.Text((schema.type or 'any').lower()),
                nodes.Text(str(schema.description)),
            )


def _is_shown(schema):
    return schema.support_status.status not in (support.HIDDEN, support.DEPRECATED)


def _default(schema):
    if schema.required:
        return nodes.emphasis('', 'required')
    if schema.default is None:
        return nodes.Text('')
    return nodes.literal('', str(schema.default))


def _update(schema):
    if schema.immutable:
        return 'refused'
    return 'in place' if schema.update_allowed else 'replaces'


def _description(schema):
    limits = [str(limit) for limit in schema.constraints]
    return ' '.join(
        text if text.endswith('.') else f'{text}.'
        for text in [str(schema.description or ''), *limits]
        if text
    )


def table(columns, rows):
    group = nodes.tgroup('', cols=len(columns))
    group += [nodes.colspec('', colwidth=width) for _, width in columns]
    group += nodes.thead('', _row(nodes.Text(title) for title, _ in columns))
    group += nodes.tbody('', *[_row(row) for row in rows])
    return nodes.table('', group, classes=['colwidths-given'])


def _row(cells):
    return nodes.row('', *[nodes.entry('', nodes.paragraph('', '', cell)) for cell in cells])


def _find_types(app, config):
    config.heat_types = load_types()


def _warn_of_missing(app, env):
    shown = set().union(*(found.get('heat_types', ()) for found in env.metadata.values()))
    for name in sorted(set(env.config.heat_types) - shown):
        LOG.warning('no page has ".. heat-resource-type:: %s"', name)


def setup(app):
    app.add_directive('heat-resource-type', HeatResourceType)
    app.connect('config-inited', _find_types)
    app.connect('env-check-consistency', _warn_of_missing)
    return {'parallel_read_safe': True}
