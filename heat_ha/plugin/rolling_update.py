# SPDX-License-Identifier: Apache-2.0
"""The rolling update of a group that a FailoverPolicy watches, one batch after the other.

``rolling.next_batch`` decides each of them from what the members are by then. The rest is as in
Heat's own rolling update: load balancers, the pause, the time that all may take.
"""

import time

from heat.common import short_id
from heat.engine import scheduler
from heat.rpc import api as rpc_api
from oslo_log import log as logging

from heat_ha import exceptions
from heat_ha.groups.adapters import changes, failure_masks, resource_rows
from heat_ha.groups.rules import rolling

LOG = logging.getLogger(__name__)


class RollingUpdate:
    """One rolling update.

    :param group: an ``AutoScalingGroup`` of ours.
    :param least: how many members stay in service, ``batch`` how many change at once, and ``pause``
        the seconds between two batches.
    """

    def __init__(self, group, least, batch, pause):
        self._group = group
        self._least, self._batch, self._pause = least, batch, pause

    def carry_out(self):
        """Give every member the group's definition.

        :raises HaError: nobody can take over from an active that is next. What was changed until
            then stays so.
        """
        members = self._members()
        size = len(members)
        target = rolling.target_size(
            self._group.get_size() or size, size, any(m.is_active for m in members)
        )
        batch = rolling.next_batch(members, target, self._batch, self._least)
        if batch is None:
            return
        timeout = self._timeout(members, target)
        try:
            while batch is not None:
                was_sent, seen = self._update(batch, timeout), members
                members = self._members()
                batch = rolling.next_batch(members, target, self._batch, self._least)
                if members == seen:
                    LOG.warning('%s: a batch has changed nothing: %s', self._group.name, batch)
                    return
                if batch is not None and was_sent and self._pause > 0:
                    self._group._lb_reload()
                    time.sleep(self._pause)
        finally:
            self._group._group_data(refresh=True)
            self._group._lb_reload()

    def _timeout(self, members, target):
        """Seconds for one batch. :raises ValueError: the pauses alone take too long, as in Heat."""
        count = rolling.number_of_batches(members, target, self._batch, self._least)
        return self._group._update_timeout(count, self._pause)

    def _update(self, batch, timeout):
        """Do one batch. :returns: False where a failover has changed the members before."""
        group = self._group
        try:
            updater = group.update_with_template(self._template(batch))
        except MembersChanged as exc:
            LOG.info('%s: %s', group.name, exc)
            return False
        checker = scheduler.TaskRunner(group._check_for_completion, updater)
        checker(timeout=timeout)
        return True

    def _template(self, batch):
        group = self._group
        old, new = group.definitions(), group._get_resource_definition()
        wanted = {n: new if n in batch.renew else old[n] for n in batch.stay if n in old}
        wanted |= {short_id.generate_id(): new for _ in range(batch.add)}
        group._lb_reload(
            exclude=(old.keys() - set(batch.stay)) | batch.renew | (wanted.keys() - old.keys()),
            refresh_data=False,
        )
        return changes.template_of(group, wanted)

    def _members(self):
        """The members in Heat's order; see ``rolling.Member``."""
        group = self._group
        old, new = group.definitions(), group._get_resource_definition().render_hot()
        active = group.active_members()
        replaced = failure_masks.replaced_by_heat(group)
        found = []
        for row, _parts in resource_rows.by_member(group, resource_rows.of_group(group)):
            name = row[rpc_api.RES_NAME]
            if name not in old:
                continue
            is_failed = name in replaced or (name not in active and resource_rows.is_tried(row))
            member = rolling.Member(
                name,
                is_outdated=old[name].render_hot() != new,
                is_failed=is_failed,
                is_active=name in active,
            )
            is_shown_failed = row[rpc_api.RES_STATUS] == 'FAILED'
            found.append((not is_shown_failed, row[rpc_api.RES_CREATION_TIME], name, member))
        return tuple(member for *_order, member in sorted(found, key=lambda f: f[:3]))


class MembersChanged(exceptions.TryAgain):
    """The members are others than those that a change of the group was made for."""
