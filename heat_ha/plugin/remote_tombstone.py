# SPDX-License-Identifier: Apache-2.0
"""The resource type OS::Heat::RemoteStackTombstone: deletes that outlive their stack.

A RemoteStack that is deleted while a region is cut off is gone at once. What could not be deleted
there is kept in a small stack of its own in the same project: the owner sees it in the list of
stacks, and it has a credential of its own for the region. A check of it sends the deletes, and ends
it when nothing is left; deleting it gives the deletes up.
"""

from heat.common.i18n import _
from heat.engine import properties, support
from oslo_log import log as logging

from heat_ha import exceptions, serialization
from heat_ha.cloud import heat_threads
from heat_ha.plugin import remote_base, remote_schema
from heat_ha.regions import attributes, interfaces, model, record
from heat_ha.regions.adapters import sessions
from heat_ha.regions.rules import command, spec

LOG = logging.getLogger(__name__)

TYPE = 'OS::Heat::RemoteStackTombstone'

RESOURCE_NAME = 'tombstone'


class RemoteStackTombstone(remote_base.RemoteBase):
    """A resource that deletes stacks in regions as soon as they answer, and then its own stack.

    Made by an `OS::Heat::RemoteStack` that was deleted while a region was cut off; nobody writes
    one into a template. A check of its stack, or a signal, tries the regions again.
    """

    support_status = support.SupportStatus(
        status=support.UNSUPPORTED, message=_('Provided by heat-ha, not part of Heat.')
    )

    PROPERTIES = (OWNER, TOMBSTONES) = ('owner', 'tombstones')

    ATTRIBUTES = (PENDING, LEFT) = ('pending', 'left')

    properties_schema = {
        OWNER: properties.Schema(
            properties.Schema.STRING, _('The region that deletes.'), required=True
        ),
        TOMBSTONES: properties.Schema(
            properties.Schema.LIST,
            _('What must be deleted: the entries of the record of the RemoteStack.'),
            required=True,
            schema=properties.Schema(properties.Schema.MAP),
        ),
    }

    attributes_schema = {
        PENDING: remote_schema.list_attribute(
            _('The regions to which a delete has not been sent yet.')
        ),
        LEFT: remote_schema.list_attribute(
            _('What must still be deleted: region, stack, since, reason.')
        ),
    }

    def _desired_state(self, store, *, may_repair, wanted):
        on_delete = spec.OnDelete.DEFER if wanted else spec.OnDelete.RETAIN
        return interfaces.DesiredState(
            contents=dict,
            rollout=spec.Rollout(()),
            rules=spec.Rules(on_delete=on_delete, patience=sessions.limits().patience),
            base_name=self.physical_resource_name(),
            is_single=False,
            owner=self.properties[self.OWNER],
        )

    def handle_create(self):
        self.resource_id_set(self.physical_resource_name())
        record.Store(self).write(
            model.Record(
                owner=self.properties[self.OWNER],
                tombstones=tuple(
                    serialization.decode(model.Tombstone, t, 'a tombstone')
                    for t in self.properties[self.TOMBSTONES]
                ),
            )
        )

    def handle_check(self):
        return self._begin(self._new_reconciler, is_check=True)

    def check_check_complete(self, token):
        if not self._go_on(token):
            return False
        failures = token['work'].failures()
        if failures:
            raise remote_base.failure('CHECK failed', '; '.join(failures))
        self._after_signal(token['work'])
        return True

    def handle_delete(self):
        found = record.Store(self).read()
        if found is None or not found.tombstones:
            return None
        # The user gives it up: one more attempt for each region, without a wait.
        return self._begin(lambda: self._new_reconciler(wanted=False))

    def check_delete_complete(self, token):
        return token is None or self._go_on(token)

    def handle_signal(self, details=None):
        heat_threads.forget_finished(self.stack.id)
        found = record.Store(self).read()
        try:
            regions = {t.region for t in found.tombstones} if found else set()
            asked = command.parse(details, regions)
            if asked.action is not command.Action.SYNC or asked.is_forced:
                raise exceptions.Refused(
                    f'a tombstone has no {"force" if asked.is_forced else asked.action.value}',
                    'Send sync; or delete this stack to give the deletes up',
                )
        except exceptions.Refused as exc:
            self._add_event('SIGNAL', self.FAILED, f'refused: {exc}')
            return None
        with self.frozen_properties():
            work = self._new_reconciler(only=asked.region)
            done = self._step_for_signal(work)
            if done is None:
                return 'an action is at work, and updates the regions itself'
            if done:
                self._after_signal(work)
            else:
                self._start_following(asked.region)
        return f'sync: {len(work.record.tombstones)} left'

    def _after_signal(self, work):
        """Let the stack go when there is nothing left to delete."""
        if work.record.tombstones:
            return
        if self.context.trust_id:
            # Heat deletes a stack's trust before it is through with deleting the stack, so
            # one that deletes itself with its own trust would end in DELETE_FAILED.
            self._emit('nothing is left to delete: check or delete this stack to end it', False)
        else:
            self.rpc_client().delete_stack(self.context, dict(self.stack.identifier()), cast=True)

    def _resolve_attribute(self, name):
        found = record.Store(self).read()
        if found is None:
            return None
        if name == self.PENDING:
            return attributes.pending(found)
        return attributes.attribute(found, 'tombstones')


def hand_over(resource, found):
    """Make the stack that keeps the tombstones of a resource that is deleted.

    :raises Error: it could not be made, so the resource stays to keep them itself.
    """
    marks = sorted(t.mark for t in found.tombstones)
    # The same for the same tombstones, so that a second attempt finds the first.
    name = f'{resource.stack.name[:180]}-tombstone-{marks[0][:12]}'
    template = {
        'heat_template_version': '2016-10-14',
        'description': f'Deletes of {resource.name} that have not ended yet',
        'resources': {
            RESOURCE_NAME: {
                'type': TYPE,
                'properties': {
                    'owner': found.owner,
                    'tombstones': [serialization.encode(t) for t in found.tombstones],
                },
            }
        },
    }
    try:
        resource.rpc_client().create_stack(
            resource.context, name, template, {}, {}, {'tags': ['heat-ha', 'heat-ha:tombstone']}
        )
    except Exception as exc:
        if type(exc).__name__.split('_Remote')[0] == 'StackExists':
            return
        LOG.exception('%s: no stack for its tombstones', resource.name)
        raise remote_base.failure(
            'DELETE deferred',
            _(
                'the deletes for %(regions)s cannot be kept (%(why)s): delete again when the '
                'region is back, or set partition.on_delete to retain'
            )
            % {
                'regions': ', '.join(sorted({t.region for t in found.tombstones})),
                'why': str(exc)[:200],
            },
        ) from exc
