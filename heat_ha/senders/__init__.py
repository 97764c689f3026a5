# SPDX-License-Identifier: Apache-2.0
"""What monitoring systems post: whose body it is, what it says, and of which server.

``heat_ha.signals`` asks ``read`` about each body that names neither an action nor a member. The
table ``SENDERS`` has one row for each form that a body can have, and each row has the words for a
state that its sender knows. The page about alarms in the user guide prints it. What stands around a
body is opened first: ``ENVELOPES``.

A word that the sender of such a body cannot send is refused, never guessed: a healthy member must
not be replaced because a monitoring system says that all is well. For the same reason a body of
nobody that is known counts as an alarm without a word for it only when nothing in it may be one.
"""

from heat_ha.senders.alertmanager import NO_DATA_ALERTS, TEST_ALERTS, lacks_data
from heat_ha.senders.envelopes import ENVELOPES
from heat_ha.senders.model import AlarmState, Alert, Body, Sender
from heat_ha.senders.monitors import maintenance
from heat_ha.senders.others import says_a_state
from heat_ha.senders.services import has_own_action
from heat_ha.senders.table import SENDERS, is_of_a_known_sender, read
from heat_ha.senders.words import WORDS

__all__ = [
    'ENVELOPES',
    'NO_DATA_ALERTS',
    'SENDERS',
    'TEST_ALERTS',
    'WORDS',
    'AlarmState',
    'Alert',
    'Body',
    'Sender',
    'has_own_action',
    'is_of_a_known_sender',
    'lacks_data',
    'maintenance',
    'read',
    'says_a_state',
]
