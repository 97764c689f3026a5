# SPDX-License-Identifier: Apache-2.0
"""Which bodies of a signal Heat's API hands on; the page about alarms warns of the others."""

import pytest
import webob
from heat.common import wsgi


@pytest.mark.parametrize(
    ('content_type', 'body', 'handed_on'),
    [
        ('application/json', b'{"state": "ok"}', {'state': 'ok'}),
        ('application/json; charset=utf-8', b'{"state": "ok"}', {'state': 'ok'}),
        ('text/plain', b'{"state": "ok"}', {'state': 'ok'}),
        ('', b'{"state": "ok"}', {'state': 'ok'}),
        ('application/x-www-form-urlencoded', b'state=ok', None),
        ('application/json', b'[{"CheckID": "c", "Status": "passing"}]', None),
        ('application/json', b'\n{"state": "ok"}', None),
        ('application/json', b'', None),
    ],
)
def test_heat_hands_on_objects_in_json_and_drops_any_other_body(content_type, body, handed_on):
    request = webob.Request.blank('/', method='POST', body=body, content_type=content_type)
    assert wsgi.JSONRequestDeserializer().default(request).get('body') == handed_on
