# SPDX-License-Identifier: Apache-2.0
"""A port that is to be free, after an update that may have brought it to either server."""

from unittest import mock

import pytest

from heat_ha.plugin import port_attachment


@pytest.fixture
def attachment():
    """One that is on record at the old server, while its definition names the new one."""
    kind = port_attachment.PortAttachment
    found = mock.MagicMock(resource_id='port', SERVER=kind.SERVER)
    found.properties = {'server': 'old', 'port': 'port'}
    found._stored_properties_data = {'server': 'old', 'port': 'port'}
    found.t.properties.return_value = {'server': 'new', 'port': 'port'}
    found.stands_for_nothing.return_value = False
    for name in ('values_of', 'check_delete_complete', '_ask_once'):
        function = getattr(kind, name)
        setattr(found, name, lambda *a, _f=function: _f(found, *a))
    return found


@pytest.mark.parametrize(
    ('holder', 'is_taken'),
    [('old', True), ('new', True), ('foreign', False), ('', False), (None, False)],
)
def test_a_delete_takes_the_port_from_whichever_server_may_have_got_it(
    attachment, holder, is_taken
):
    attachment._server_with_port.return_value = holder
    wanted = {'is_asked': False}

    assert attachment.check_delete_complete(wanted) is not is_taken

    detach = attachment.client_plugin.return_value.interface_detach
    assert detach.call_args_list == ([mock.call(holder, 'port')] if is_taken else [])
    # The detach is under way: it is not asked for twice.
    attachment.check_delete_complete(wanted)
    assert detach.call_count == is_taken
