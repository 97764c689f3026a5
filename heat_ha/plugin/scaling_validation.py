# SPDX-License-Identifier: Apache-2.0
"""What is refused of an OS::Heat::ScalingPolicy while its template is validated.

Heat's own adjustment types are validated by Heat. What is not known yet, because it comes from a
resource that is not made, refuses nothing; the policy looks again when a signal comes.
"""

from heat.common import exception
from heat.common.i18n import _
from heat.engine.resources.openstack.heat import scaling_policy

from heat_ha import exceptions
from heat_ha.groups.adapters import members as group_members
from heat_ha.groups.rules import decide, sizes
from heat_ha.plugin import failover_policy, given, scaling_schema
from heat_ha.plugin.scaling_schema import REPLACE_OLDEST

_TOO_MANY = '%(prop)s is %(count)d, but group %(group)s has at most %(largest)d members'
_TOO_MANY_AFTER_FAILOVER = (
    '%(prop)s is %(count)d, but the max_size of group %(group)s is %(largest)d and the member that '
    'is the active after a failover stays: lower it to %(most)d, or raise max_size'
)


class ScalingValidation(
    given.OwnProperties, scaling_schema.ScalingSchema, scaling_policy.AutoScalingPolicy
):
    """The properties of the type, and what fits together."""

    def validate(self):
        super().validate()
        group_id = self.properties[self.AUTO_SCALING_GROUP_NAME]
        policy_id = self.properties[self.AUTO_SCALING_POLICY]
        self._validate_exactly_one(group_id, policy_id)
        if self.properties[self.ADJUSTMENT_TYPE] == REPLACE_OLDEST:
            self._validate_count()
            if policy_id is not None:
                self._validate_chain(policy_id)
            else:
                self._validate_group(group_id)
        elif policy_id is not None:
            raise exception.ResourcePropertyValueDependency(
                prop1=self.AUTO_SCALING_POLICY, prop2=self.ADJUSTMENT_TYPE, value=REPLACE_OLDEST
            )

    def _validate_exactly_one(self, *ids):
        names = (self.AUTO_SCALING_GROUP_NAME, self.AUTO_SCALING_POLICY)
        if None not in ids:
            raise exception.ResourcePropertyConflict(*names)
        if not any(given.is_given(self, name) for name in names):
            raise exception.PropertyUnspecifiedError(*names)

    def _validate_count(self):
        count = self.properties[self.SCALING_ADJUSTMENT]
        if count is not None and not sizes.is_count(count):
            self._invalid(self._no_count(count))

    def _no_count(self, value):
        return _('%(prop)s is %(value)s; %(type)s needs a whole number of 1 or more') % {
            'prop': self.SCALING_ADJUSTMENT, 'value': value, 'type': REPLACE_OLDEST,
        }  # fmt: skip

    def _validate_group(self, group_id):
        group = self._named(group_id)
        if group is None:
            return
        if not group_members.is_group(group):
            self._invalid(
                _(
                    '%(prop)s names %(name)s, which is an %(type)s, not an '
                    'OS::Heat::AutoScalingGroup'
                )
                % {
                    'prop': self.AUTO_SCALING_GROUP_NAME,
                    'name': group.name,
                    'type': group.type(),
                }
            )
        self._validate_figures(group, active_stays=False)

    def _validate_figures(self, group, *, active_stays):
        """Refuse what the group's own figures do not allow, as far as they are known by now."""
        count = self.properties[self.SCALING_ADJUSTMENT]
        largest = given.known(group, group.MAX_SIZE)
        if count is None or not largest:
            # Unknown yet; or the group is parked, and each signal is refused until it is not.
            return
        most = sizes.most_replaced(largest, active_stays=active_stays)
        if count > most:
            self._invalid(
                _(_TOO_MANY_AFTER_FAILOVER if active_stays else _TOO_MANY)
                % {
                    'prop': self.SCALING_ADJUSTMENT,
                    'count': count,
                    'group': group.name,
                    'largest': largest,
                    'most': most,
                }
            )
        try:
            decide.check_pauses(int(count), group_members.rolling(group), self.stack.timeout_secs())
        except exceptions.Refused as exc:
            self._invalid(str(exc))

    def _validate_chain(self, policy_id):
        chain = [self.name]
        policy = self._named(policy_id)
        while policy is not None:
            chain.append(policy.name)
            if policy.name in chain[:-1]:
                self._invalid(
                    _('%(prop)s makes a loop: %(chain)s')
                    % {'prop': self.AUTO_SCALING_POLICY, 'chain': ' -> '.join(chain)}
                )
            if self.AUTO_SCALING_POLICY not in policy.properties_schema:
                break
            policy = self._named(policy.properties[self.AUTO_SCALING_POLICY])
        target = self._named(policy_id)
        if target is not None and not callable(getattr(target, 'fail_over', None)):
            self._invalid(
                _('%(prop)s names %(name)s, which is an %(type)s, not an OS::Heat::FailoverPolicy')
                % {'prop': self.AUTO_SCALING_POLICY, 'name': target.name, 'type': target.type()}
            )
        if isinstance(target, failover_policy.FailoverPolicy):
            group = target.group_if_known()
            if group is not None:
                self._validate_figures(group, active_stays=True)

    def _invalid(self, message):
        raise exception.StackValidationFailed(resource=self, message=message)

    def _named(self, refid):
        """Find a resource of this stack by its reference, None where it is not known yet."""
        if refid is None:
            return None
        found = self.stack.resource_by_refid(refid)
        if found is not None:
            return found
        # Heat passes over failed resources, which are the ones to be mended here.
        for candidate in self.stack.values():
            if candidate.id is not None and candidate.FnGetRefId() == refid:
                return candidate
        return None
