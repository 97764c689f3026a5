# SPDX-License-Identifier: Apache-2.0
"""Which properties a template gives: a null is none, and what is not known yet is no null.

A template leaves a property out on a condition by giving it a null, or by an ``if`` without an
else. Heat makes of a null an empty text, a zero or an empty list, as if somebody had written that.
For our types it is the same as leaving the property out. A list has no item for a null in it.

While a template is validated a value may not be known, because it refers to what is not made yet.
Then a property reads as None, or as its default.
"""

from heat.common.i18n import _
from heat.engine import function, properties, resource


class NullIsNotGiven(resource.Resource):
    """The first base of a type of ours."""

    @property
    def properties(self):
        return self._properties

    @properties.setter
    def properties(self, found):
        # Heat sets them when it loads a resource, and again for those of the last action.
        self._properties = _without_nulls(found)

    def translate_properties(self, properties, *args, **kwargs):
        # Those of an update, before and after it.
        super().translate_properties(_without_nulls(properties), *args, **kwargs)


def is_given(res, name):
    """Whether the template gives the property of a resource a value, known by now or not."""
    written = res.properties.data.get(name)
    return function.resolve(written) is not None or _is_unknown(written)


def known(res, name):
    """The value of a property of a resource of any type, None while it is not known."""
    written = res.properties.data.get(name)
    if function.resolve(written) is None and _is_unknown(written):
        return None
    return res.properties[name]


def _is_unknown(written):
    """Whether a value refers to a resource that is not made yet."""
    return any(made.action == made.INIT for made in function.dependencies(written))


def _without_nulls(found):
    if isinstance(found, properties.Properties):
        found.props = {name: _Property.of(prop) for name, prop in found.props.items()}
    return found


class _Property(properties.Property):
    """A property of Heat's, with another meaning of null."""

    @classmethod
    def of(cls, prop):
        if isinstance(prop, cls):
            return prop
        made = cls(prop.schema, None, prop.context)
        made.name, made.path = prop.name, prop.path
        return made

    def get_value(self, value, validate=False, translation=None):
        if value is not None or self.has_default():
            return super().get_value(value, validate, translation=translation)
        if validate and self.required():
            raise ValueError(_('Property %s not assigned') % self.name)
        return None

    def _get_list(self, value, validate=False, translation=None):
        if isinstance(value, (list, tuple)):
            value = [item for item in value if item is not None]
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
        _without_nulls(children)
        if validate:
            children.validate()
        return ((name, children[name]) for name in names)
