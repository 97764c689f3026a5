# SPDX-License-Identifier: Apache-2.0
"""The resource type OS::Heat::AutoScalingGroup: Heat's own, which looks after active members.

Whoever changes the members of a group, a policy that scales it, an update of the stack or a
replacement, comes through this class. So this is where an active member is spared, or handed over
first. A group that no FailoverPolicy watches is changed as Heat does it.
"""

from heat.common import grouputils, short_id
from heat.engine import resource
from heat.engine.resources.openstack.heat import autoscaling_group
from heat.scaling import template as scaling_template
from oslo_log import log as logging

from heat_ha import exceptions
from heat_ha.cloud import lease, resource_data
from heat_ha.groups.adapters import changes, definitions, failure_masks
from heat_ha.groups.adapters import store as group_store
from heat_ha.groups.rules import removal
from heat_ha.plugin import rolling_update, watched_group

LOG = logging.getLogger(__name__)

# How often a change is made anew because a failover has changed the members meanwhile.
TRIES = 3


class AutoScalingGroup(autoscaling_group.AutoScalingResourceGroup):
    """A group of resources whose number can be scaled.

    It does all that Heat's own group does. Where an `OS::Heat::FailoverPolicy` watches it, the
    active member is not the one that is removed when the group shrinks: the next one in Heat's
    order goes. A rolling update changes the active member last, and the policy hands over to
    another member before.
    """

    def definitions(self):
        """The definition of each member as it has it, in Heat's order; see ``definitions``."""
        inspector = grouputils.GroupInspector.from_parent_resource(self)
        current = inspector.template()
        if current is None:
            return {}
        found = definitions.as_they_are(self, current)
        return {n: found[n] for n in inspector.member_names(include_failed=True) if n in found}

    def active_members(self):
        """The names of the members that something is handed over to."""
        try:
            return watched_group.active_members(watched_group.watchers(self))
        except exceptions.Unreadable:
            # If anybody is to go, update_with_template refuses; the group may still grow.
            return frozenset()

    def handle_update(self, json_snippet, tmpl_diff, prop_diff):
        """Update the group and its members; see Heat's own.

        What an update that failed has changed is on no record but the members' own. So each member
        that has another definition than the group is brought to it, also where an update goes back
        to what the group had before.
        """
        group_store.forget_waiting(self)
        super().handle_update(json_snippet, tmpl_diff, prop_diff)
        if self.active_members():
            self._try_rolling_update({self.RESOURCE: None})

    def metadata_set(self, metadata, merge_metadata=None):
        """Write the metadata, but not while Heat has the group locked for something else.

        :raises NoActionRequired: a scaling is to begin, and Heat updates the group.
        """

        def merged(new, current):
            resource_data.refuse_if_locked(self)
            return merge_metadata(new, current) if merge_metadata else new

        try:
            super().metadata_set(metadata, merge_metadata=merged)
        except exceptions.TryAgain as exc:
            if merge_metadata is not None:
                raise
            if metadata.get(group_store.MARK):
                raise resource.NoActionRequired(res_name=self.name, reason=str(exc)) from exc
            lease.give_back(lambda: self._end_scaling(metadata), f'group {self.name}')

    def _end_scaling(self, metadata):
        """Write what a scaling of Heat's leaves at its end, beside what others have written."""

        def merged(now):
            # A mark that is not of Heat's making is somebody else's by now.
            is_ours = now.get(group_store.MARK) not in (None, False, True)
            return {
                **now,
                **metadata,
                **({group_store.MARK: now[group_store.MARK]} if is_ours else {}),
            }

        resource_data.change_metadata(self, merged)

    def handle_preempt(self):
        """Stop what an update does with the members, for the next one.

        While it waits for a failover it does nothing, and what is done is the failover's.
        """
        if not group_store.is_waiting_for_failover(self):
            super().handle_preempt()

    def resize(self, new_capacity):
        """Change the number of members."""
        for left in reversed(range(TRIES)):
            try:
                return super().resize(new_capacity)
            except rolling_update.MembersChanged as exc:
                if not left:
                    raise
                LOG.info('%s: %s', self.name, exc)

    def _create_template(self, num_instances, num_replace=0, template_version=changes.HOT):
        """The template of the nested stack after the next change; see Heat's own."""
        keep = self.active_members()
        if not keep:
            return super()._create_template(
                num_instances, num_replace, template_version=template_version
            )
        well = frozenset(grouputils.get_member_names(self))
        new = self._get_resource_definition()
        # Heat tries again what failed; with the definition that it failed with it might for ever.
        old = {
            name: defn if name in well or name in keep else new
            for name, defn in self.definitions().items()
        }
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

    def _replace(self, min_in_service, batch_size, pause_sec):
        """Change all members in batches, the active one last and not together with all others."""
        if self.active_members():
            rolling_update.RollingUpdate(self, min_in_service, batch_size, pause_sec).carry_out()
        else:
            super()._replace(min_in_service, batch_size, pause_sec)

    def child_template_files(self, child_env):
        """The files that the definitions of the members refer to, also those of older ones."""
        files = definitions.files(self)
        files.update(dict(super().child_template_files(child_env)))
        return files

    def update_with_template(self, child_template, user_params=None, timeout_mins=None):
        """Change the members; the active ones among those that are hit are handed over first.

        :raises HaError: nobody can take over, and nothing was changed.
        :raises MembersChanged: the template is not right any more, and nothing was changed.
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
        if not watched_group.active_members(watchers):
            return
        removed, changed, staying = self._hit_by(child_template)
        if not watched_group.hand_over_first(self, watchers, removed, changed, staying):
            return
        if self.definitions().keys() != removed | changed | staying:
            raise rolling_update.MembersChanged(
                f'a failover has changed the members of group {self.name} meanwhile'
            )

    def _hit_by(self, child_template):
        """The names of the members that the template removes, may disturb, and leaves alone."""
        old, new = (
            {name: defn.render_hot() for name, defn in found.items()}
            for found in (self.definitions(), child_template.resource_definitions(None))
        )
        removed, changed = removal.disturbed(old, new)
        # Whatever changes a group has Heat replace at the same time what is marked as failed.
        failed = failure_masks.replaced_by_heat(self) - removed
        changed |= failed & new.keys()
        return removed, changed, frozenset(old.keys() & new.keys() - changed)
