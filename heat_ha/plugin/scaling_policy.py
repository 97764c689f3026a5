# SPDX-License-Identifier: Apache-2.0
"""The resource type OS::Heat::ScalingPolicy: Heat's own, and replacing members."""

import contextlib

from heat.common.i18n import _
from heat.engine import resource
from oslo_log import log as logging

from heat_ha import exceptions, signals
from heat_ha.cloud import clients, clock, heat_threads
from heat_ha.groups import model, naming, replacing
from heat_ha.groups.adapters import members as group_members
from heat_ha.groups.rules import decide, repeats, sizes
from heat_ha.plugin import scaling_validation
from heat_ha.plugin.scaling_schema import REPLACE_OLDEST

LOG = logging.getLogger(__name__)


class ScalingPolicy(scaling_validation.ScalingValidation):
    """A policy that scales an `OS::Heat::AutoScalingGroup` or replaces members of it.

    Everything that Heat's own policy does, it does too. With the adjustment type
    `replace_oldest` a signal replaces members by new ones: failed and unhealthy members first,
    then the oldest, or the one that the signal names by its member name, its reference, or the
    id or name of its server, in the key `member` or as an Aodh event alarm does. The group has
    the same size afterwards, a replaced member never comes back under the same name, and the old
    member stays where the new one cannot be created first.
    """

    def _signal_check_hook(self, details):
        if isinstance(details, dict):
            super()._signal_check_hook(details)

    def signal(self, details=None, need_check=True):
        if details is None or isinstance(details, dict):
            return super().signal(details, need_check)
        # Heat looks for a hook's name in any body, and fails on most that are not objects.
        with contextlib.suppress(resource.NoActionRequired):
            self._refuse(f'the body of the signal is a {type(details).__name__}, not a JSON object')
        return False

    def handle_signal(self, details=None):
        heat_threads.forget_finished(self.stack.id)
        if self.properties[self.ADJUSTMENT_TYPE] == REPLACE_OLDEST:
            return self._replace(details)
        try:
            with self._adjusting():
                return super().handle_signal(details)
        except exceptions.HaError as exc:
            self._refuse(str(exc))

    def _adjusting(self):
        group = self.stack.resource_by_refid(self.properties[self.AUTO_SCALING_GROUP_NAME])
        if not group_members.is_group(group):
            return contextlib.nullcontext()
        return replacing.adjusting(group, self.name, self._emit)

    def _replace(self, details):
        try:
            signal = signals.parse(details, model.Action)
            has_policy = self.properties[self.AUTO_SCALING_POLICY] is not None
            if signal.lacks_data:
                counts = self.properties[self.INSUFFICIENT_DATA]
                if counts == signals.NoData.ALARM.value:
                    signal = signals.as_alarm(signal)
                elif counts is not None or not has_policy:
                    return signals.ignored(signal)
            elif signal.is_all_clear:
                # No event: Aodh sends each change of an alarm, and there is nothing to see.
                if has_policy:
                    self._pass_on(signal)
                LOG.info(
                    'Policy %s replaces nothing: alarm %s is in state %s',
                    self.name,
                    signal.alarm,
                    signal.alarm_state.value,
                )
                raise resource.NoActionRequired(
                    res_name=self.name, reason=f'the alarm says {signal.alarm_state.value}'
                )
            if has_policy:
                return self._fail_over(signal)
            return self._replace_in_group(signal)
        except exceptions.HaError as exc:
            self._refuse(str(exc))

    def _pass_on(self, all_clear):
        """Have the FailoverPolicy know, which may keep a signal of the alarm."""
        policy = self._named(self.properties[self.AUTO_SCALING_POLICY])
        if callable(getattr(policy, 'note_ok', None)):
            policy.note_ok(all_clear)

    def _fail_over(self, signal):
        policy = self._named(self.properties[self.AUTO_SCALING_POLICY])
        if not callable(getattr(policy, 'fail_over', None)):
            raise exceptions.Refused(
                f'{self.AUTO_SCALING_POLICY} does not name a FailoverPolicy of this stack'
            )
        return policy.fail_over(
            signals.without_action(signal),
            model.Chained(
                policy_name=self.name,
                count=self._count_after_failover(),
                order=model.Order(self.properties[self.REPLACEMENT_ORDER]),
                cooldown=self.properties[self.COOLDOWN],
            ),
        )

    def _count_after_failover(self):
        """How many members go after a failover; one, the old active, where that is not known.

        What only became known after validation may be no count. Nobody is left without an active
        for that.
        """
        count = self.properties[self.SCALING_ADJUSTMENT]
        if count is not None and sizes.is_count(count):
            return int(count)
        self._emit(_('%s: one member is replaced') % self._no_count(count))
        return 1

    def _replace_in_group(self, signal):
        group = self._named(self.properties[self.AUTO_SCALING_GROUP_NAME])
        if not group_members.is_group(group):
            raise exceptions.Refused(
                f'{self.AUTO_SCALING_GROUP_NAME} does not name an AutoScalingGroup of this stack'
            )
        count = self.properties[self.SCALING_ADJUSTMENT]
        if count is None or not sizes.is_count(count):
            raise exceptions.Refused(self._no_count(count))
        if signal.member is None and signal.is_repeat and self.properties[self.COOLDOWN] is None:
            # Also where it has a host: that of a new member that is not up yet may be the same.
            self._hold_repeat_back(group)
        named = self._named_members(group, signal)
        outcome = replacing.replace(
            group,
            requested_by=self.name,
            order=model.Order(self.properties[self.REPLACEMENT_ORDER]),
            count=int(count),
            named=named,
            cooldown=self.properties[self.COOLDOWN],
            emit=self._emit,
        )
        new = ', '.join(outcome.new) or 'nothing, for somebody else had removed it'
        left = ', '.join(outcome.left_over)
        left = f'; {left} is not deleted yet' if left else ''
        return f'replaced {", ".join(outcome.replaced)} by {new} in {outcome.seconds:.1f} s{left}'

    def _hold_repeat_back(self, group):
        """:raises exceptions.Refused: the alarm only repeats itself, and is of no use now."""
        with group.frozen_properties():
            if group.properties.data.get(group.COOLDOWN) is not None:
                return
        held_back = repeats.of_group(group_members.look(group), clock.now())
        if held_back is not None:
            raise exceptions.Refused(held_back)

    def _named_members(self, group, signal):
        """The names of the members that the signal is about; none where it leaves that open."""
        if signal.member is None and signal.host is None:
            return ()
        seen = group_members.look(group)
        found = naming.find_either(
            seen.members, signal.member, signal.host, lambda: clients.StackClients(self).nova
        )
        name = signal.member if found is None else found.name
        return () if name is None else (decide.named_member(seen, name).name,)

    def _emit(self, text):
        LOG.info('Policy %s: %s', self.name, text)
        self._add_event('SIGNAL', self.IN_PROGRESS, text)

    def _refuse(self, reason):
        """Show why the signal did not do what it asked for, and change nothing more."""
        LOG.info('Policy %s refused a signal: %s', self.name, reason)
        self._add_event('SIGNAL', self.FAILED, reason)
        raise resource.NoActionRequired(res_name=self.name, reason=reason)
