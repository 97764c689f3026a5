# SPDX-License-Identifier: Apache-2.0
"""How the properties of our types are read: what means nothing is none, a time has a longest value.

A template leaves a property out on a condition by giving it a null, by an ``if`` without an else,
or, as before there were nulls, by an empty text or an empty map. Heat makes of a null an empty
text, a zero or an empty list, as if somebody had written that. For our types:

=========================== ======================================================================
What the template gives     How it is read
=========================== ======================================================================
a null                      As if it were left out, whatever the property is.
an empty text               The same: no text of ours may be empty, and it is no number, no truth
                            value and no map.
a null, an empty text or an The list has no item for it; an empty map only where its keys are ours.
empty map in a list
an empty text for a list    Refused: without a list, RescuePolicy protects every server, and a
                            RemoteStack leaves its regions.
an empty map whose keys we  As if it were left out. So is one whose keys are all of this table.
know, such as ``health``
an empty map whose keys are A value: no parameters, an environment that overrides nothing.
the user's, an empty list
a zero, false               A value.
=========================== ======================================================================

What nothing can do without is refused when it is empty, and the error says so.

While a template is validated a value may not be known, because it refers to what is not made yet.
Then a property reads as None, or as its default.

A time that is longer than ``limits`` allow is refused with the template, unless the resource is
there already with such a time, which an earlier release took. It reads as the longest one.
"""

import contextlib
from collections.abc import Mapping

from heat.common import exception
from heat.common.i18n import _
from heat.engine import function, properties, resource
from heat.objects import resource as resource_object
from heat.objects import stack as stack_object

from heat_ha.plugin import limits


class OwnProperties(resource.Resource):
    """The first base of a type of ours."""

    @property
    def properties(self):
        return self._properties

    @properties.setter
    def properties(self, found):
        # Heat sets them when it loads a resource, and again for those of the last action.
        self._properties = _as_ours(found)

    def translate_properties(self, properties, *args, **kwargs):
        # Those of an update, before and after it.
        super().translate_properties(_as_ours(properties, self._figures()), *args, **kwargs)

    def validate_template(self):
        try:
            return super().validate_template()
        except exception.StackValidationFailed:
            known = self._figures() or self._figures_on_record()
            if not known:
                raise
            _as_ours(self.properties, known)
            return super().validate_template()

    def _figures(self):
        """The figures that the last action of this resource had, by their paths."""
        return dict(_figures_in(getattr(self, '_stored_properties_data', None), ''))

    def _figures_on_record(self):
        """The same before an update, whose stack is validated as one that is not stored."""
        try:
            found = stack_object.Stack.get_by_name(self.context, self.stack.name)
            row = found and resource_object.Resource.get_by_name_and_stack(
                self.context, self.name, found.id
            )
        except exception.NotFound:
            return {}
        return dict(_figures_in(row.properties_data, '')) if row else {}


def is_given(res, name):
    """Whether the template gives the property of a resource a value, known by now or not."""
    written = res.properties.data.get(name)
    value = function.resolve(written)
    return not _means_nothing(value, res.properties.props[name].schema) or _is_unknown(written)


def known(res, name):
    """The value of a property of a resource of any type, None while it is not known."""
    written = res.properties.data.get(name)
    if function.resolve(written) is None and _is_unknown(written):
        return None
    return res.properties[name]


def _means_nothing(value, schema):
    """Whether a value is as none, for a property of this schema; see the table above."""
    if value is None:
        return True
    if isinstance(value, str):
        return not value and schema.type != schema.LIST
    if schema.type != schema.MAP or not schema.schema or not isinstance(value, Mapping):
        return False
    known_keys = properties.schemata(schema.schema)
    return all(
        name in known_keys and _means_nothing(inner, known_keys[name])
        for name, inner in value.items()
    )


def _is_unknown(written):
    """Whether a value refers to a resource that is not made yet."""
    return any(made.action == made.INIT for made in function.dependencies(written))


def _figures_in(value, path):
    if isinstance(value, Mapping):
        value = value.items()
    elif isinstance(value, (list, tuple)):
        value = enumerate(value)
    elif isinstance(value, (int, float, str)):
        with contextlib.suppress(ValueError):
            yield path, float(value)
        return
    else:
        return
    for step, inner in value:
        yield from _figures_in(inner, f'{path}.{step}' if path else str(step))


def _as_ours(found, known=None):
    """Let properties be read as this module says.

    :param known: figures by their paths that are longer than they may be, and were taken before.
    """
    if isinstance(found, properties.Properties):
        found.props = {name: _Property.of(prop, known) for name, prop in found.props.items()}
    return found


_ANY = properties.Schema(properties.Schema.ANY)


class _Property(properties.Property):
    """A property of Heat's that is read in our way."""

    known: Mapping[str, float] = {}

    @classmethod
    def of(cls, prop, known):
        made = prop
        if not isinstance(prop, cls):
            made = cls(prop.schema, None, prop.context)
            made.name, made.path = prop.name, prop.path
        if known:
            made.known = known
        return made

    def get_value(self, value, validate=False, translation=None):
        # An item of a list is there once it is written: what it lacks is refused.
        is_item = isinstance(self.name, int)
        if value is not None and not is_item and _means_nothing(value, self.schema):
            if validate and self.required():
                raise ValueError(_('Property %s is empty: give it a value') % self.name)
            value = None
        if value is None and not self.has_default():
            if validate and self.required():
                raise ValueError(_('Property %s not assigned') % self.name)
            return None
        longest = limits.of(self.schema)
        if longest is None or value is None:
            return super().get_value(value, validate, translation=translation)
        found = super().get_value(value, False, translation=translation)
        if validate:
            was_taken = longest.max < found <= self.known.get(self.path, 0)
            self.schema.validate_constraints(
                found, self.context, skipped=[limits.Within] if was_taken else None
            )
        return longest.bounded(found)

    def _get_list(self, value, validate=False, translation=None):
        if value == '':
            raise ValueError(
                _('Property %s is an empty text, no list: give a list, or a null to leave it out')
                % self.name
            )
        if isinstance(value, (list, tuple)):
            items = self.schema.schema[0] if self.schema.schema else _ANY
            has_our_keys = items.type == items.MAP and bool(items.schema)
            value = [i for i in value if not (i is None or i == '' or (has_our_keys and i == {}))]
        return super()._get_list(value, validate=validate, translation=translation)

    def _get_children(self, child_values, keys=None, validate=False, translation=None):
        if self.schema.schema is None:
            return child_values
        names = list(self.schema.schema) if keys is None else keys
        children = properties.Properties(
            {name: self.schema.schema[name] for name in names},
            dict(child_values),
            context=self.context,
            parent_name=self.path,
            translation=translation,
        )
        _as_ours(children, self.known)
        if validate:
            children.validate()
        return ((name, children[name]) for name in names)
