# SPDX-License-Identifier: Apache-2.0
"""What can be written in a template about an OS::Heat::RemoteStack, and read from it."""

from heat.common.i18n import _
from heat.engine import attributes, constraints, properties

from heat_ha.plugin import limits
from heat_ha.regions.rules import spec


class ContextSchema:
    """Where the stack of a region belongs, and how to get there."""

    _CONTEXT_KEYS = (REGION_NAME, CREDENTIAL_SECRET_ID, CA_CERT, SSL_INSECURE) = (
        'region_name', 'credential_secret_id', 'ca_cert', 'insecure',
    )  # fmt: skip

    context_schema = {
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
    }


class PartitionSchema:
    """What is done while a region does not answer."""

    _PARTITION_KEYS = (ON_UNREACHABLE, ON_DELETE, ON_STALE_OUTPUTS) = (
        'on_unreachable', 'on_delete', 'outputs',
    )  # fmt: skip

    partition_schema = {
        ON_UNREACHABLE: properties.Schema(
            properties.Schema.STRING,
            _(
                'defer goes on without the region and updates it later; wait keeps the '
                'action in progress until its timeout; fail fails the resource.'
            ),
            default=spec.OnUnreachable.DEFER.value,
            constraints=[constraints.AllowedValues([o.value for o in spec.OnUnreachable])],
            update_allowed=True,
        ),
        ON_DELETE: properties.Schema(
            properties.Schema.STRING,
            _(
                'defer leaves a tombstone, and deletes when the region is back; retain '
                'leaves the stack where it is and ends; fail fails the delete.'
            ),
            default=spec.OnDelete.DEFER.value,
            constraints=[constraints.AllowedValues([o.value for o in spec.OnDelete])],
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
    }


class RolloutSchema:
    """In which order the regions are worked on, and how many at once."""

    _ROLLOUT_KEYS = (ORDER, WAVES, MAX_IN_FLIGHT, FAILURE_TOLERANCE) = (
        'order', 'waves', 'max_in_flight', 'failure_tolerance',
    )  # fmt: skip

    rollout_schema = {
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
    }


class AdoptSchema:
    """Which stacks are taken over, and from what state."""

    _ADOPT_KEYS = (STACKS, CONFLICT) = ('stacks', 'conflict')

    adopt_schema = {
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
    }


class RemoteProperties(ContextSchema, PartitionSchema, RolloutSchema, AdoptSchema):
    """The names and the schemas of the properties."""

    PROPERTIES = (
        CONTEXT, REGIONS, TEMPLATE, TIMEOUT, PARAMETERS, ENVIRONMENT, PARTITION, ROLLOUT, DRIFT,
        ADOPT,
    ) = (
        'context', 'regions', 'template', 'timeout', 'parameters', 'environment', 'partition',
        'rollout', 'drift', 'adopt',
    )  # fmt: skip

    properties_schema = {
        CONTEXT: properties.Schema(
            properties.Schema.MAP,
            _('Where the stack belongs, as OS::Heat::Stack has it, for a single region.'),
            update_allowed=True,
            schema=ContextSchema.context_schema,
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
            constraints=[limits.Within(min=0, max=limits.DAY // 60)],
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
            schema=PartitionSchema.partition_schema,
        ),
        ROLLOUT: properties.Schema(
            properties.Schema.MAP,
            _('In which order the regions are worked on; without it, all at once.'),
            default={},
            update_allowed=True,
            schema=RolloutSchema.rollout_schema,
        ),
        DRIFT: properties.Schema(
            properties.Schema.STRING,
            _(
                'What is done when somebody else has changed the stack in a region. report shows '
                'it, and refuses to overwrite it; correct brings it back; ignore leaves it until '
                'there is a newer revision.'
            ),
            default=spec.Drift.REPORT.value,
            constraints=[constraints.AllowedValues([d.value for d in spec.Drift])],
            update_allowed=True,
        ),
        ADOPT: properties.Schema(
            properties.Schema.MAP,
            _('Stacks that are there already and are taken over instead of made.'),
            default={},
            update_allowed=True,
            schema=AdoptSchema.adopt_schema,
        ),
    }


def live_attribute(text, kind):
    """The schema of an attribute that Heat does not keep: the record changes beside its actions."""
    return attributes.Schema(text, type=kind, cache_mode=attributes.Schema.CACHE_NONE)


def map_attribute(text):
    """The schema of an attribute that is a map by region."""
    return live_attribute(text, attributes.Schema.MAP)


def list_attribute(text):
    """The schema of an attribute that is a list."""
    return live_attribute(text, attributes.Schema.LIST)


class RemoteAttributes:
    """The names and the schemas of the attributes."""

    ATTRIBUTES = (
        NAME_ATTR, OUTPUTS, OUTPUT_DETAILS, STATE, REACHABLE, LAST_SEEN, REVISION, OWNER, PENDING,
        REASON, ERROR_CLASS, STACK_IDS, TOMBSTONES, STILL_SINCE,
    ) = (
        'stack_name', 'outputs', 'output_details', 'state', 'reachable', 'last_seen', 'revision',
        'owner', 'pending', 'reason', 'error_class', 'stack_ids', 'tombstones', 'still_since',
    )  # fmt: skip

    attributes_schema = {
        NAME_ATTR: live_attribute(_('The name of the stack, or a map of them by region.'), None),
        OUTPUTS: map_attribute(
            _(
                'The outputs of the stack as they were read last: a map of names to values, and '
                'with regions a map of those by region. No region is asked.'
            )
        ),
        OUTPUT_DETAILS: map_attribute(
            _(
                'By region: when the outputs were read, their age in seconds, of which revision '
                'they are, and stale, which says whether they may be out of date.'
            )
        ),
        STATE: map_attribute(
            _('By region: pending, waiting, working, ready, failed, paused or abandoned.')
        ),
        REACHABLE: map_attribute(_('By region: whether it answered when it was asked last.')),
        LAST_SEEN: map_attribute(
            _('By region: when it answered last (UTC), to within ten minutes.')
        ),
        REVISION: map_attribute(_('By region: the desired and the applied revision.')),
        OWNER: map_attribute(
            _('The region that may change the parts, and the epoch since which it may.')
        ),
        PENDING: list_attribute(_('The regions to which something has not been sent yet.')),
        REASON: map_attribute(_('By region: why it is as it is.')),
        ERROR_CLASS: map_attribute(
            _(
                'By region: unreachable, auth, refused, invalid, remote_failed or conflict; empty '
                'when all is well.'
            )
        ),
        STACK_IDS: map_attribute(
            _('By region: the id of the stack there; empty while it is not known.')
        ),
        TOMBSTONES: list_attribute(
            _('The deletes that have not ended yet: region, stack, since, reason.')
        ),
        STILL_SINCE: map_attribute(
            _(
                'By region: while the stack there is in progress, since when (UTC) nothing has '
                'moved in it, as far as anybody has waited for it; else empty.'
            )
        ),
    }
