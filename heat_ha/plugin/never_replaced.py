# SPDX-License-Identifier: Apache-2.0
"""For resources that stand for a connection: they are mended where they are, never replaced.

Heat replaces a resource that failed, or that is marked unhealthy: it makes a second one, and
deletes the first when that is complete. Of an attachment the second finds what it wants in place
already, and the deletion of the first then takes it away from under the new active.
"""

from heat.common import exception
from heat.engine import resource
from heat.objects import resource as resource_object
from oslo_log import log as logging

from heat_ha.plugin import predecessors

LOG = logging.getLogger(__name__)


class NeverReplaced(resource.Resource):
    """The first base of such a type; its ``handle_update`` has to bring any state in order.

    :cvar CONNECTS: the names of its properties with the id of the thing, and of what that is
        connected to.
    """

    always_replace_on_check_failed = False

    CONNECTS = ('', '')

    def needs_replace_failed(self):
        return False

    def _needs_update(self, *args, **kwargs):
        # Heat takes a failed resource whose definition has not changed for complete.
        if super()._needs_update(*args, **kwargs) or self.status == self.FAILED:
            return True
        return predecessors.is_there(self, self.CONNECTS) or self.is_astray()

    def is_astray(self):
        """Whether the thing is at nobody, though the template has not changed."""
        return False

    def take_over(self):
        """Stand alone for the thing; see ``predecessors.take_over``."""
        return predecessors.take_over(self, self.CONNECTS)

    def left_with(self):
        """The servers that may still have the thing by the record of the policy above it."""
        return predecessors.left_with(self)

    def stands_for_nothing(self):
        """Whether there is nothing to delete: it never had the thing, or another one has it."""
        if self.resource_id is None or self.has_passed_on():
            return True
        return predecessors.give_back(self, self.CONNECTS)

    def values_of(self, name):
        """Every value that a property may have had when the last action began or ended.

        After an update that failed Heat has the old value on record, and the new one in the
        template: what was to change may be as either says.
        """
        found = {self.properties[name], (self._stored_properties_data or {}).get(name)}
        try:
            found.add(self.t.properties(self.properties_schema, self.context)[name])
        except Exception:
            LOG.debug('%s has no definition that can be read', self.name, exc_info=True)
        return found - {None}

    def has_passed_on(self):
        """Whether a successor, that Heat made all the same, stands for the very same thing."""
        if self.replaced_by is None or self.resource_id is None:
            return False
        try:
            successor = resource_object.Resource.get_obj(self.context, self.replaced_by)
        except exception.NotFound:
            return False
        return successor.physical_resource_id == self.resource_id
