# SPDX-License-Identifier: Apache-2.0
"""Changing a scaling group's members through Heat, as Heat's own scaling does.

``change`` sends the group's nested stack a template with other members, ``wait`` watches it without
the second that Heat's own task runner sleeps between two looks.
"""

import functools
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from heat.common import exception as heat_exception
from heat.common import short_id
from heat.engine import environment, template
from heat.engine import resource as heat_resource
from heat.engine.notification import autoscaling as notification
from heat.objects import stack_lock as stack_lock_object
from heat.scaling import template as scaling_template
from oslo_log import log as logging

from heat_ha import exceptions
from heat_ha.cloud import heat_orphans, lease, nested_stack
from heat_ha.groups.adapters import definitions, members, work_under_way

LOG = logging.getLogger(__name__)

# The version of a group's template where it has none yet, as in Heat.
HOT = ('heat_template_version', '2015-04-30')

# Seconds between two looks at the state of a nested stack: one small read of Heat's database.
POLL_SECONDS = 0.5

# What takes long is looked at less often: after this share of the time that it has taken, and
# after so many seconds at the latest. Of many groups that change at once, the looks would take an
# engine longer than what is looked at.
POLL_SHARE, SLOWEST_POLL = 0.1, 3.0

# Seconds between two questions meanwhile whether it is still wanted.
ASK_EVERY = 2.0


def new_name() -> str:
    """Make a name for a member, as Heat makes them."""
    return str(short_id.generate_id())


def change(
    group: Any,
    add: Sequence[str],
    remove: Sequence[str],
    still_wanted: Callable[[], None] = lambda: None,
) -> None:
    """Send the nested stack its template again, with other members.

    Members that stay keep the definition that they have; new ones get the group's own.

    :param still_wanted: asked once the template is there, before it is sent.
    :raises exceptions.CouldNotAsk: it is not known whether Heat has taken the change.
    :raises exceptions.Refused: Heat has not taken it.
    """
    heat_orphans.adopt(
        group.context, group.resource_id, functools.partial(lease.engine_is_alive, group.context)
    )
    try:
        wanted = _template(group, add, remove)
        still_wanted()
        group.update_with_template(wanted)
    except exceptions.HaError:
        # The group has an active member that nobody can take over from.
        raise
    except heat_resource.UpdateReplace as exc:
        raise exceptions.Refused(
            f'the nested stack of group {group.name} is gone', 'Update the stack of the group'
        ) from exc
    except heat_exception.ResourceFailure as exc:
        raise exceptions.Refused(f'Heat did not change the group: {exc}') from exc
    except heat_exception.HeatException as exc:
        raise exceptions.Refused(f'Heat did not change the group: {exc}') from exc
    except Exception as exc:
        raise exceptions.CouldNotAsk('heat', f'a change of group {group.name}', str(exc)) from exc


def wait(
    group: Any,
    deadline: float,
    still_wanted: Callable[[], None],
    is_enough: Callable[[frozenset[str]], bool],
    expected: Collection[str] = (),
) -> bool:
    """Wait until nobody changes the nested stack any more, or only what is not waited for.

    :param deadline: on the monotonic clock, in seconds.
    :param still_wanted: called now and then; what it raises ends the wait.
    :param is_enough: told the names of the members, former ones too, that Heat is at work on.
    :param expected: names of members that are being added.
    :returns: False when the deadline came first.
    """
    scanner = nested_stack.scanner_of(group.context, group.resource_id)
    began = time.monotonic()
    ask_at = began + ASK_EVERY
    while True:
        now = time.monotonic()
        if now >= ask_at:
            still_wanted()
            ask_at = now + ASK_EVERY
        scanner.look()
        shown = work_under_way.read(group)
        if shown.stack is None or shown.stack.action == group.DELETE:
            members.nested_status(group)
        at_work = work_under_way.names(group.context, shown, expected)
        if at_work:
            is_over = is_enough(at_work)
        else:
            # Of a change that Heat is done with, the state of the stack is written last.
            is_over = _has_ended(shown) and (at_work is not None or _is_unlocked(group))
        if is_over:
            refresh(group)
            return True
        if now >= deadline:
            return False
        time.sleep(max(POLL_SECONDS, min(POLL_SHARE * (now - began), SLOWEST_POLL)))


def _has_ended(shown: work_under_way.Shown) -> bool:
    return shown.stack is None or shown.stack.status != work_under_way.IN_PROGRESS


def refresh(group: Any) -> None:
    """Make the group forget what it knows of its members, and report to its load balancers."""
    group._nested = None
    group._outputs = None
    group._group_data(refresh=True)
    group.clear_stored_attributes()
    try:
        group._lb_reload()
    except Exception:
        # As in Heat's own scaling the members are right by now; the next change reloads again.
        LOG.exception('Load balancers of group %s did not get its members', group.name)


def notify(group: Any, suffix: str, count: int, size: int, message: str) -> None:
    """Send the notification of a scaling that Heat sends: ``start``, ``end`` or ``error``."""
    if suffix != 'error':
        message = f'{message} replacing members of the group {group.FnGetRefId()}'
    try:
        notification.send(
            stack=group.stack,
            adjustment=count,
            adjustment_type='replace_oldest',
            capacity=size,
            groupname=group.FnGetRefId(),
            message=message,
            suffix=suffix,
        )
    except Exception:
        LOG.exception('The notification of group %s was not sent', group.name)


def _is_unlocked(group: Any) -> bool:
    """Whether the engine that changed a stack without convergence has let it go."""
    return stack_lock_object.StackLock.get_engine_id(group.context, group.resource_id) is None


def _template(group: Any, add: Sequence[str], remove: Sequence[str]) -> template.Template:
    try:
        old = template.Template(
            group.rpc_client().get_template(group.context, dict(group.nested_identifier()))
        )
    except Exception as exc:
        raise exceptions.CouldNotAsk('heat', f'the template of {group.name}', str(exc)) from exc
    wanted = {
        name: defn
        for name, defn in definitions.as_they_are(group, old).items()
        if name not in remove
    }
    for name in add:
        if name not in wanted:
            wanted[name] = group._get_resource_definition()
    return template_of(group, wanted, old.version)


def template_of(
    group: Any, wanted: Mapping[str, Any], version: tuple[str, str] = HOT
) -> template.Template:
    """The template of the group's nested stack with these members, as Heat makes it.

    :param wanted: the definitions of the members, by name.
    """
    new = scaling_template.make_template(
        wanted.items(),
        version=version,
        child_env=environment.get_child_environment(
            group.stack.env, group.child_params(), item_to_remove=group.resource_info
        ),
    )
    get_attr = functools.partial(new.functions['get_attr'], None, 'get_attr')
    get_resource = functools.partial(new.functions['get_resource'], None, 'get_resource')
    for output in group._nested_output_defns(list(wanted), get_attr, get_resource):
        new.add_output(output)
    return new
