# SPDX-License-Identifier: Apache-2.0
"""The resource type OS::Heat::RemoteStack."""

import dataclasses

from heat.common import exception
from heat.common.i18n import _
from heat.engine import attributes, constraints, properties, resource, support
from oslo_log import log as logging

from heat_ha import exceptions
from heat_ha.cloud import delegation
from heat_ha.plugin import region_work, remote_snapshots, remote_tombstone, remote_wishes
from heat_ha.regions import apply, model, planning, record, report, wish

LOG = logging.getLogger(__name__)


class RemoteStack(remote_snapshots.WithSnapshots):
    """A resource that keeps a stack in each of several regions, made for cuts between them.

    It has all properties of `OS::Heat::Stack`. A region that does not answer never keeps the
    others from what they do: what could not be told is pending, shown as such, and told when the
    region is back, by the next update or check of the stack or by the signal `sync`. Nothing is
    sent to a region that already has what is wanted.
    """

    support_status = support.SupportStatus(
        status=support.UNSUPPORTED, message=_('Provided by heat-ha, not part of Heat.')
    )

    PROPERTIES = (
        CONTEXT, REGIONS, TEMPLATE, TIMEOUT, PARAMETERS, ENVIRONMENT, PARTITION, ROLLOUT, DRIFT,
        ADOPT,
    ) = (
        'context', 'regions', 'template', 'timeout', 'parameters', 'environment', 'partition',
        'rollout', 'drift', 'adopt',
    )  # fmt: skip

    _CONTEXT_KEYS = (REGION_NAME, CREDENTIAL_SECRET_ID, CA_CERT, SSL_INSECURE) = (
        'region_name', 'credential_secret_id', 'ca_cert', 'insecure',
    )  # fmt: skip

    _PARTITION_KEYS = (ON_UNREACHABLE, ON_DELETE, ON_STALE_OUTPUTS) = (
        'on_unreachable', 'on_delete', 'outputs',
    )  # fmt: skip

    _ROLLOUT_KEYS = (ORDER, WAVES, MAX_IN_FLIGHT, FAILURE_TOLERANCE) = (
        'order', 'waves', 'max_in_flight', 'failure_tolerance',
    )  # fmt: skip

    _ADOPT_KEYS = (STACKS, CONFLICT) = ('stacks', 'conflict')

    ATTRIBUTES = (
        NAME_ATTR, OUTPUTS, OUTPUT_DETAILS, STATE, REACHABLE, LAST_SEEN, REVISION, OWNER, PENDING,
        REASON, ERROR_CLASS, STACK_IDS, TOMBSTONES,
    ) = (
        'stack_name', 'outputs', 'output_details', 'state', 'reachable', 'last_seen', 'revision',
        'owner', 'pending', 'reason', 'error_class', 'stack_ids', 'tombstones',
    )  # fmt: skip

    properties_schema = {
        CONTEXT: properties.Schema(
            properties.Schema.MAP,
            _('Where the stack belongs, as OS::Heat::Stack has it, for a single region.'),
            update_allowed=True,
            schema={
                REGION_NAME: properties.Schema(
                    properties.Schema.STRING,
                    _('The region; without it, the region of the parent stack.'),
                ),
                CREDENTIAL_SECRET_ID: properties.Schema(
                    properties.Schema.STRING,
                    _(
                        'A secret in Barbican with a credential for another cloud: JSON with '
                        'auth_type and auth. Token, catalogue and requests are all of that cloud.'
                    ),
                    update_allowed=True,
                ),
                CA_CERT: properties.Schema(
                    properties.Schema.STRING,
                    _('The certificate of the authority that signed those of the region.'),
                    update_allowed=True,
                ),
                SSL_INSECURE: properties.Schema(
                    properties.Schema.BOOLEAN,
                    _("Whether the region's certificate is not verified."),
                    default=False,
                    update_allowed=True,
                ),
            },
        ),
        REGIONS: properties.Schema(
            properties.Schema.LIST,
            _(
                'The regions: names, or maps with region_name and, where wanted, context (as the '
                'property), parameters (over those of all regions) and peer_inputs (a map of '
                'parameters to [region, output]: they get the value of an output of another '
                "region's part, and its changes)."
            ),
            schema=properties.Schema(properties.Schema.ANY),
            update_allowed=True,
        ),
        TEMPLATE: properties.Schema(
            properties.Schema.STRING,
            _('The template of the stack in each region.'),
            required=True,
            update_allowed=True,
        ),
        TIMEOUT: properties.Schema(
            properties.Schema.INTEGER,
            _('Minutes that an action may take in a region.'),
            update_allowed=True,
        ),
        PARAMETERS: properties.Schema(
            properties.Schema.MAP,
            _('The parameters of the template, for all regions.'),
            default={},
            update_allowed=True,
        ),
        ENVIRONMENT: properties.Schema(
            properties.Schema.MAP,
            _(
                'The environment of the stack in each region. Without it, the stack gets those '
                'types and defaults from the environment of the parent that its template uses.'
            ),
            update_allowed=True,
        ),
        PARTITION: properties.Schema(
            properties.Schema.MAP,
            _('What is done while a region does not answer.'),
            default={},
            update_allowed=True,
            schema={
                ON_UNREACHABLE: properties.Schema(
                    properties.Schema.STRING,
                    _(
                        'defer goes on without the region and tells it later; wait keeps the '
                        'action in progress until its timeout; fail fails the resource.'
                    ),
                    default=model.OnUnreachable.DEFER.value,
                    constraints=[constraints.AllowedValues([o.value for o in model.OnUnreachable])],
                    update_allowed=True,
                ),
                ON_DELETE: properties.Schema(
                    properties.Schema.STRING,
                    _(
                        'defer leaves a tombstone, and deletes when the region is back; retain '
                        'leaves the stack where it is and ends; fail fails the delete.'
                    ),
                    default=model.OnDelete.DEFER.value,
                    constraints=[constraints.AllowedValues([o.value for o in model.OnDelete])],
                    update_allowed=True,
                ),
                ON_STALE_OUTPUTS: properties.Schema(
                    properties.Schema.STRING,
                    _(
                        'last_known gives the outputs as they were read last, with their age in '
                        'output_details; block does not end an action before they are known; '
                        'fail gives an error instead of an old value.'
                    ),
                    default='last_known',
                    constraints=[constraints.AllowedValues(['last_known', 'block', 'fail'])],
                    update_allowed=True,
                ),
            },
        ),
        ROLLOUT: properties.Schema(
            properties.Schema.MAP,
            _('In which order the regions are told; without it, all at once.'),
            default={},
            update_allowed=True,
            schema={
                ORDER: properties.Schema(
                    properties.Schema.LIST,
                    _('All regions in the order in which they are begun.'),
                    update_allowed=True,
                ),
                WAVES: properties.Schema(
                    properties.Schema.LIST,
                    _(
                        'All regions in lists; a list is begun when the one before it is done. A '
                        'region that does not answer keeps no list waiting.'
                    ),
                    update_allowed=True,
                ),
                MAX_IN_FLIGHT: properties.Schema(
                    properties.Schema.INTEGER,
                    _('How many regions are at work at once; 0 sets no limit.'),
                    default=0,
                    constraints=[constraints.Range(min=0)],
                    update_allowed=True,
                ),
                FAILURE_TOLERANCE: properties.Schema(
                    properties.Schema.INTEGER,
                    _('How many regions may fail before no further one is begun.'),
                    default=0,
                    constraints=[constraints.Range(min=0)],
                    update_allowed=True,
                ),
            },
        ),
        DRIFT: properties.Schema(
            properties.Schema.STRING,
            _(
                'What is done when somebody else has changed the stack in a region. report shows '
                'it, and refuses to overwrite it; correct brings it back; ignore leaves it until '
                'there is something new to tell.'
            ),
            default=model.Drift.REPORT.value,
            constraints=[constraints.AllowedValues([d.value for d in model.Drift])],
            update_allowed=True,
        ),
        ADOPT: properties.Schema(
            properties.Schema.MAP,
            _('Stacks that are there already and are taken over instead of made.'),
            default={},
            update_allowed=True,
            schema={
                STACKS: properties.Schema(
                    properties.Schema.MAP,
                    _('The name or the id of the stack, by region.'),
                    update_allowed=True,
                ),
                CONFLICT: properties.Schema(
                    properties.Schema.STRING,
                    _(
                        'abort leaves a stack alone that is not what the template wants; '
                        'overwrite updates it.'
                    ),
                    default='abort',
                    constraints=[constraints.AllowedValues(['abort', 'overwrite'])],
                    update_allowed=True,
                ),
            },
        ),
    }

    attributes_schema = {
        NAME_ATTR: attributes.Schema(
            _('The name of the stack, or a map of them by region.'),
            cache_mode=attributes.Schema.CACHE_NONE,
        ),
        OUTPUTS: attributes.Schema(
            _(
                'The outputs of the stack as they were read last: a map of names to values, and '
                'with regions a map of those by region. No region is asked.'
            ),
            type=attributes.Schema.MAP,
            cache_mode=attributes.Schema.CACHE_NONE,
        ),
        OUTPUT_DETAILS: attributes.Schema(
            _(
                'By region: when the outputs were read, their age in seconds, of which revision '
                'they are, and stale, which says whether they may be out of date.'
            ),
            type=attributes.Schema.MAP,
            cache_mode=attributes.Schema.CACHE_NONE,
        ),
        STATE: attributes.Schema(
            _('By region: pending, waiting, working, ready, failed, paused or abandoned.'),
            type=attributes.Schema.MAP,
            cache_mode=attributes.Schema.CACHE_NONE,
        ),
        REACHABLE: attributes.Schema(
            _('By region: whether it answered when it was asked last.'),
            type=attributes.Schema.MAP,
            cache_mode=attributes.Schema.CACHE_NONE,
        ),
        LAST_SEEN: attributes.Schema(
            _('By region: when it answered last (UTC), to within ten minutes.'),
            type=attributes.Schema.MAP,
            cache_mode=attributes.Schema.CACHE_NONE,
        ),
        REVISION: attributes.Schema(
            _('By region: the desired and the applied revision.'),
            type=attributes.Schema.MAP,
            cache_mode=attributes.Schema.CACHE_NONE,
        ),
        OWNER: attributes.Schema(
            _('The region that may change the parts, and the epoch since which it may.'),
            type=attributes.Schema.MAP,
            cache_mode=attributes.Schema.CACHE_NONE,
        ),
        PENDING: attributes.Schema(
            _('The regions that are still to be told something.'),
            type=attributes.Schema.LIST,
            cache_mode=attributes.Schema.CACHE_NONE,
        ),
        REASON: attributes.Schema(
            _('By region: why it is as it is.'),
            type=attributes.Schema.MAP,
            cache_mode=attributes.Schema.CACHE_NONE,
        ),
        ERROR_CLASS: attributes.Schema(
            _(
                'By region: unreachable, auth, refused, invalid, remote_failed or conflict; empty '
                'when all is well.'
            ),
            type=attributes.Schema.MAP,
            cache_mode=attributes.Schema.CACHE_NONE,
        ),
        STACK_IDS: attributes.Schema(
            _('By region: the id of the stack there; empty while it is not known.'),
            type=attributes.Schema.MAP,
            cache_mode=attributes.Schema.CACHE_NONE,
        ),
        TOMBSTONES: attributes.Schema(
            _('The deletes that a region is still to be told: region, stack, since, reason.'),
            type=attributes.Schema.LIST,
            cache_mode=attributes.Schema.CACHE_NONE,
        ),
    }

    # --- validation --------------------------------------------------------------------------

    def validate(self):
        """Refuse what is wrong in itself. No region is asked: a dead one refuses nobody."""
        super().validate()
        try:
            found = remote_wishes.targets(self, self.properties)
            remote_wishes.rollout(self, self.properties, found)
            remote_wishes.check_template(self, self.properties, found)
        except exceptions.Refused as exc:
            raise exception.StackValidationFailed(
                message=_('%(name)s: %(why)s') % {'name': self.name, 'why': exc}
            ) from exc

    # --- create and update -------------------------------------------------------------------

    def _wishes(self, store, *, may_repair, wanted):
        found = remote_wishes.wishes(self, self.properties, store, may_repair=may_repair)
        return found if wanted else dataclasses.replace(found, contents=dict)

    def handle_create(self):
        # Something to go on with, whatever happens: without an id Heat would begin anew.
        self.resource_id_set(self.physical_resource_name())
        delegation.delegate(self)
        self._work().plan()
        return self._begin(self._work)

    def check_create_complete(self, token):
        return self._finish(token, self.CREATE)

    def _needs_update(self, *args, **kwargs):
        # Whether a region has to be told is decided for each, and never by replacing all.
        if self.resource_id is None:
            return super()._needs_update(*args, **kwargs)
        return True

    def handle_update(self, json_snippet, tmpl_diff, prop_diff):
        self.properties = json_snippet.properties(self.properties_schema, self.context)
        delegation.delegate(self)
        # The newest wish is on record before anything else, whoever carries it out.
        self._work(restore=self._wish_to_restore(json_snippet)).plan()
        return self._begin(self._work)

    def check_update_complete(self, token):
        return self._finish(token, self.UPDATE)

    def _finish(self, token, action):
        try:
            if not self._go_on(token):
                return False
        except exceptions.Refused as exc:
            raise region_work.failure(f'{action} refused', str(exc)) from exc
        self._show_id(token['work'].record)
        failures = token['work'].failures()
        if failures:
            raise region_work.failure(f'{action} failed', '; '.join(failures))
        return True

    def _show_id(self, found):
        """Show the stack's id as the physical id where there is one stack, as OS::Heat::Stack."""
        if self.properties[self.REGIONS] is None and len(found.parts) == 1:
            stack_id = found.parts[0].stack_id
            if stack_id and stack_id != self.resource_id:
                self.resource_id_set(stack_id)

    # --- the other actions -------------------------------------------------------------------

    def handle_check(self):
        return self._begin(lambda: self._work(may_repair=False), is_check=True)

    def check_check_complete(self, token):
        return self._finish(token, self.CHECK)

    def handle_suspend(self):
        return self._begin_sleep(True)

    def check_suspend_complete(self, token):
        return self._finish(token, self.SUSPEND)

    def handle_resume(self):
        return self._begin_sleep(False)

    def check_resume_complete(self, token):
        return self._finish(token, self.RESUME)

    def _begin_sleep(self, sleep):
        # On record first: a region that is cut off is told later, as of all else.
        self._work(sleep=sleep).plan()
        return self._begin(self._work)

    def handle_delete(self):
        found = record.Store(self).read()
        if found is None:
            return None
        # Whether a stack is left somewhere that may live by what was delegated.
        leaves = any(p.state is model.State.ABANDONED for p in found.parts)
        self._work(wanted=False).plan()
        return self._begin(lambda: self._work(wanted=False), leaves_stacks=leaves)

    def check_delete_complete(self, token):
        if token is None:
            delegation.revoke(self)
            return True
        if not self._go_on(token):
            return False
        work = token['work']
        failures = work.failures()
        if failures:
            raise region_work.failure('DELETE failed', '; '.join(failures))
        if work.record.tombstones:
            # They outlive the stack: what the regions were not told is kept in one of its own.
            remote_tombstone.hand_over(self, work.record)
        if not token['leaves_stacks'] and not work.has_left_stacks:
            delegation.revoke(self)
        return True

    # --- signals -----------------------------------------------------------------------------

    def handle_signal(self, details=None):
        store = record.Store(self)
        found = store.read()
        try:
            if found is None:
                raise exceptions.Refused('the stack is not created yet')
            regions = {p.region for p in found.parts} | {t.region for t in found.tombstones}
            asked = wish.parse(details, regions)
            if asked.revision and asked.revision != found.manifest:
                raise exceptions.Refused(
                    f'the signal is for revision {asked.revision[:12]}, and {found.manifest[:12]} '
                    'is wanted now',
                    'Look at the attribute revision and signal again',
                )
            return self._obey(asked, store)
        except exceptions.Refused as exc:
            self._add_event('SIGNAL', self.FAILED, f'refused: {exc}')
            raise resource.NoActionRequired(res_name=self.name, reason=str(exc)) from exc

    def _obey(self, asked, store):
        if asked.action in (wish.Action.SYNC, wish.Action.PEER_CHANGED):
            return self._sync(asked.region)
        change = {
            wish.Action.ABANDON: lambda r: planning.abandoned(r, asked.region),
            wish.Action.PAUSE: lambda r: planning.paused(r, asked.region, True),
            wish.Action.RESUME: lambda r: planning.paused(r, asked.region, False),
        }[asked.action]
        if self._is_in_action():
            raise exceptions.Refused('an action is at work', 'Signal again when it has ended')
        store.write(change(store.read()))
        told = f'{asked.action.value} {asked.region or "all regions"}'
        if asked.action is wish.Action.RESUME:
            return f'{told}; {self._sync(asked.region)}'
        return told

    def _sync(self, region):
        with self.frozen_properties():
            work = self._work(only=region)
            done = self._step_for_signal(work)
            if done is None:
                return 'an action is at work, and tells the regions itself'
            if not done:
                self._start_following(region)
            return 'sync: ' + ', '.join(
                f'{p.region} {p.state.value}'
                for p in work.record.parts
                if region in (None, p.region)
            )

    def _after_signal(self, work):
        """Nothing is left to do: the events have told it."""

    # --- attributes: the local record only ----------------------------------------------------

    def get_reference_id(self):
        return self.resource_id

    def _resolve_attribute(self, name):
        if self.resource_id is None:
            return None
        store = record.Store(self)
        found = store.read()
        if found is None:
            return None
        is_single = self.properties[self.REGIONS] is None
        if name in (self.OUTPUTS, self.OUTPUT_DETAILS):
            by_region = {p.region: store.outputs(p.region) for p in found.parts}
            details = report.output_details(found, by_region, apply.now_text())
            if name == self.OUTPUT_DETAILS:
                return details
            if (self.properties[self.PARTITION] or {}).get(self.ON_STALE_OUTPUTS) == 'fail':
                stale = [r for r, d in details.items() if d['stale']]
                if stale:
                    raise exception.Error(
                        _('outputs of %(regions)s may be out of date (partition.outputs is fail)')
                        % {'regions': ', '.join(stale)}
                    )
            values = {r: dict(o.values) if o else {} for r, o in by_region.items()}
            return next(iter(values.values()), {}) if is_single else values
        if name == self.NAME_ATTR:
            names = {p.region: p.name for p in found.parts}
            return next(iter(names.values()), None) if is_single else names
        return report.attribute(found, name)
