# SPDX-License-Identifier: Apache-2.0
"""The resource type OS::Heat::AutoScalingGroup: Heat's own, which looks after active members.

Whoever changes the members of a group, a policy that scales it, an update of the stack or a
replacement, comes through this class. So this is where an active member is spared, or handed over
first. A group that no FailoverPolicy watches is changed as Heat does it.
"""

from heat.common import grouputils, short_id
from heat.engine.resources.openstack.heat import autoscaling_group
from heat.scaling import template as scaling_template
from oslo_log import log as logging

from heat_ha import exceptions
from heat_ha.groups.adapters import changes, definitions, failure_masks
from heat_ha.groups.rules import removal
from heat_ha.plugin import watched_group

LOG = logging.getLogger(__name__)

HOT = ('heat_template_version', '2015-04-30')


class AutoScalingGroup(autoscaling_group.AutoScalingResourceGroup):
    """A group of resources whose number can be scaled.

    It does all that Heat's own group does. Where an `OS::Heat::FailoverPolicy` watches it, the
    active member is not the one that is removed when the group shrinks: the next one in Heat's
    order goes. A rolling update changes the active member last, and the policy hands over to
    another member before.
    """

    _is_rolling = False

    def _create_template(self, num_instances, num_replace=0, template_version=HOT):
        """The template of the nested stack after the next change; see Heat's own."""
        keep = self._active_members()
        if not keep:
            return super()._create_template(
                num_instances, num_replace, template_version=template_version
            )
        new = self._get_resource_definition()
        old, well = self._definitions(), frozenset(grouputils.get_member_names(self))
        if self._is_rolling:
            outdated = frozenset(name for name, defn in old.items() if defn != new)
            failed = old.keys() - well
            order = removal.order(list(old), keep, outdated, failed)
            num_replace = removal.left_of_batch(
                num_replace, order[-num_instances:], keep, outdated, failed
            )
        else:
            # A failed one goes first, as with Heat, and is handed over before.
            order = removal.order(list(old), keep & well)
        wanted = scaling_template.member_definitions(
            [(name, old[name]) for name in order],
            new,
            num_instances,
            num_replace,
            short_id.generate_id,
        )
        return changes.template_of(self, dict(wanted), template_version)

    def _definitions(self):
        """The definition of each member as it has it, in Heat's order; see ``definitions``."""
        inspector = grouputils.GroupInspector.from_parent_resource(self)
        current = inspector.template()
        if current is None:
            return {}
        found = definitions.as_they_are(self, current)
        return {n: found[n] for n in inspector.member_names(include_failed=True) if n in found}

    def _active_members(self):
        try:
            return watched_group.active_members(watched_group.watchers(self))
        except exceptions.Unreadable:
            # If anybody is to go, update_with_template refuses; the group may still grow.
            return frozenset()

    def _replace(self, min_in_service, batch_size, pause_sec):
        """Change all members in batches, the active one last and not together with all others."""
        size = grouputils.get_size(self, include_failed=True)
        # Where the group gets smaller as well, that is done before.
        size = min(size, self.get_size() or size)
        batch = removal.largest_batch(batch_size, size, bool(self._active_members()))
        self._is_rolling = True
        try:
            super()._replace(min_in_service, batch, pause_sec)
        finally:
            self._is_rolling = False

    def update_with_template(self, child_template, user_params=None, timeout_mins=None):
        """Change the members; the active ones among those that are hit are handed over first.

        :raises HaError: nobody can take over, and nothing was changed.
        """
        self._hand_over_first(child_template)
        return super().update_with_template(child_template, user_params, timeout_mins)

    def _hand_over_first(self, child_template):
        if self.resource_id is None:
            return
        try:
            watchers = watched_group.watchers(self)
        except exceptions.Unreadable as exc:
            removed, changed, _staying = self._hit_by(child_template)
            if removed or changed:
                raise
            LOG.warning('%s: %s', self.name, exc)
            return
        if watched_group.active_members(watchers):
            watched_group.hand_over_first(self, watchers, *self._hit_by(child_template))

    def _hit_by(self, child_template):
        """The names of the members that the template removes, may disturb, and leaves alone."""
        old, new = (
            {name: defn.render_hot() for name, defn in found.items()}
            for found in (self._definitions(), child_template.resource_definitions(None))
        )
        removed, changed = removal.disturbed(old, new)
        # Whatever changes a group has Heat replace at the same time what is marked as failed.
        failed = {one.member for one in failure_masks.to_mask(self, tuple(removed), ())}
        changed |= failed & new.keys()
        return removed, changed, frozenset(old.keys() & new.keys() - changed)
