# SPDX-License-Identifier: Apache-2.0
"""What Heat's actions on a stack do with an OS::Heat::FailoverPolicy in it.

Each of them waits until no failover of the policy runs; one that is deleted ends it first.
"""

import time

from heat.common import exception
from heat.common.i18n import _
from heat.engine.resources import signal_responder, stack_resource

from heat_ha import exceptions
from heat_ha.cloud import clock, lease, nested_stack, resource_data
from heat_ha.failover import failover_run, guest_fence, held_record, model, record, work_loop
from heat_ha.failover.adapters import hook_stack
from heat_ha.failover.rules import standbys, ways_out
from heat_ha.groups.adapters import members as group_members
from heat_ha.plugin import first_active, instance_failure, plan_update, policy_deletion


class FailoverLifecycle(signal_responder.SignalResponder, stack_resource.StackResource):
    """The actions of a FailoverPolicy, whose type adds what it is made of.

    ``_wanted_definition`` gives what the template hands over now, ``child_template`` the nested
    stack for the active that is on record.
    """

    # --- create and update -------------------------------------------------------------------

    def handle_create(self):
        if not group_members.is_group(self._group()):
            raise exception.ResourceInError(
                resource_status='no group',
                status_reason=_('%(prop)s is %(found)s, which is not an OS::Heat::AutoScalingGroup '
                                'of this stack')
                % {'prop': self.GROUP, 'found': self.properties[self.GROUP]},
            )  # fmt: skip
        self._create_user()
        record.write_definition(self, self._wanted_definition())
        instance_failure.put_on_record(self)
        active, observed = first_active.choose(self)
        candidates = observed.candidates
        if not candidates:
            # Not Heat's ResourceInError: Heat would try the same again, and wait in between.
            raise exception.Error(self._why_empty())
        if active is None:
            reasons = '; '.join(
                f'{c.member.name}: {standbys.limitation(c, None, ())}' for c in candidates
            )
            raise exception.ResourceInError(
                resource_status='no active member',
                status_reason=_('no member of the group is healthy (%s)') % reasons,
            )
        active = first_active.holder(self, candidates) or active
        record.write(self, observed.on(model.Record(epoch=1, active=active)))
        self.create_with_template(self.child_template())
        return {'candidates': candidates, 'is_made': False, 'run': None}

    def _why_empty(self):
        group = self._group()
        return _(
            'no active member: group %(name)s is empty (its max_size is %(most)d, its min_size '
            '%(least)d)'
        ) % {
            'name': group.name,
            'most': group.properties[group.MAX_SIZE],
            'least': group.properties[group.MIN_SIZE],
        }

    def check_create_complete(self, token):
        if not token['is_made']:
            if not super().check_create_complete(token):
                return False
            token['is_made'] = True
            first_active.warn_of_shared_host(self, token['candidates'])
            token['run'] = first_active.activation(self)
        return first_active.is_activated(self, token['run'])

    def _needs_update(self, *args, **kwargs):
        # The nested stack decides for itself; a policy that was made is never replaced, since
        # a second one would attach what the first still holds.
        if self.resource_id is None:
            return super()._needs_update(*args, **kwargs)
        return True

    def handle_update(self, json_snippet, tmpl_diff, prop_diff):
        self.properties = json_snippet.properties(self.properties_schema, self.context)
        if failover_run.DELETING in resource_data.fresh(self):
            # A deletion that failed left it, and the template has the policy again.
            self.data_delete(failover_run.DELETING)
        instance_failure.put_on_record(self)
        if self.properties[self.FENCING] != model.Fencing.STORAGE.value:
            guest_fence.forget(self)
        return {
            'lock': lease.Lock(self.context, self.resource_id),
            'is_updating': False,
            'is_made': False,
            'has_other_active': False,
            'run': None,
        }

    def check_update_complete(self, token):
        lock = token['lock']
        if token['is_updating']:
            try:
                done = self._is_updated(token)
                if done:
                    first_active.has_all(self, lock)
            except BaseException:
                lock.release()
                raise
            if done:
                self._end_update(lock)
            return done
        try:
            lock.acquire()
        except lease.Busy:
            # A failover is running: the update comes after it, but before it is tried again.
            if time.monotonic() > token.get('announced', 0.0) + failover_run.WAY_FOR / 2:
                self.data_set(failover_run.MAKE_WAY, clock.now_text())
                token['announced'] = time.monotonic()
            return False
        if 'announced' in token:
            self.data_delete(failover_run.MAKE_WAY)
        try:
            token['has_other_active'] = self._start_update(lock)
        except BaseException:
            lock.release()
            raise
        if token['has_other_active'] is None:
            self._end_update(lock)
            return True
        token['is_updating'] = True
        return False

    def _end_update(self, lock):
        lock.release()
        work_loop.ask_if_signals_wait(self)

    def _is_updated(self, token):
        if not token['is_made']:
            if not super().check_update_complete():
                return False
            token['is_made'] = True
            if token['has_other_active']:
                token['run'] = first_active.activation(self)
        return first_active.is_activated(self, token['run'])

    def _start_update(self, lock):
        """Start the update of the nested stack; whether it gets another active.

        None while a failover is not over: what is wanted now goes into its plan, whose step
        ``hand_over`` updates the nested stack.
        """
        held = held_record.HeldRecord(self, lock)
        held.read()
        found = held.value
        if ways_out.is_open(found):
            plan_update.apply(self, held, lock)
            return None
        first, observed = first_active.choose(self)
        candidates = observed.candidates
        is_left = found.active is None or standbys.is_gone(found.active, candidates)
        if is_left:
            # The update itself removed the active member, so the oldest healthy one follows.
            first_active.follow(self, held, first)
        record.replace_definition(self, self._wanted_definition(), lock)
        self.update_with_template(self.child_template())
        first_active.warn_of_shared_host(self, candidates)
        return is_left

    def handle_create_cancel(self, token):
        # Without the lock, which a creation does not need; Heat's own would hand over to the next.
        super().handle_update_cancel(token)

    def handle_update_cancel(self, token):
        if token is not None:
            token['lock'].release()
        super().handle_update_cancel(token)

    # --- the other actions -------------------------------------------------------------------

    def _is_busy(self):
        return lease.is_held_by_living(self.context, self.resource_id)

    def _after_failover(self, token, start, check):
        """Wait until no failover runs, then start the nested stack's action and wait for it."""
        if not token['is_started']:
            if self._is_busy():
                return False
            start()
            token['is_started'] = True
            return False
        return check()

    def handle_check(self):
        return {'is_started': False}

    def check_check_complete(self, token):
        done = self._after_failover(token, super().handle_check, super().check_check_complete)
        if done:
            work_loop.ask_to_look(self)
        return done

    def handle_suspend(self):
        return {'is_started': False}

    def check_suspend_complete(self, token):
        def start():
            # Heat's two parents do not call one another: one disables the user that alarms
            # sign with, the other suspends the nested stack.
            signal_responder.SignalResponder.handle_suspend(self)
            stack_resource.StackResource.handle_suspend(self)

        return self._after_failover(token, start, super().check_suspend_complete)

    def handle_resume(self):
        signal_responder.SignalResponder.handle_resume(self)
        stack_resource.StackResource.handle_resume(self)

    def check_resume_complete(self, token):
        done = super().check_resume_complete(token)
        if done:
            # Whoever waited for something to do has left, and no signal came through since.
            work_loop.ask_if_anything_is_left(self)
        return done

    def handle_delete(self):
        if self.resource_id is not None:
            # A running failover sees this before its next step and leaves off.
            self.data_set(failover_run.DELETING, 'true')
            guest_fence.forget(self)
        return {'is_started': False}

    def check_delete_complete(self, token):
        def start():
            # The runs of hooks act as this stack's user, which goes with the stack.
            token['runs'] = hook_stack.remove_all(self)
            self._delete_signals()
            self._delete_user()
            self.delete_nested()
            if self.resource_id is not None:
                token['nested'] = nested_stack.Deletion(
                    self.context, self.resource_id, self.delete_nested
                )

        def is_done():
            # Each of them is looked at, whether or not another is gone.
            return all([self._is_gone(token['nested']), *(r.is_gone() for r in token['runs'])])

        if self.resource_id is None:
            start()
            return True
        if not token['is_started'] and (self._is_busy() or not self._is_freed(token)):
            return False
        return self._after_failover(token, start, is_done)

    def _is_freed(self, token):
        return policy_deletion.is_freed(self, self.properties[self.GROUP], token)

    def _is_gone(self, nested):
        try:
            return nested.is_gone()
        except exceptions.Stopped as exc:
            raise exception.ResourceInError(
                resource_status='not deleted', status_reason=str(exc)
            ) from exc
