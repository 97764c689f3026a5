# SPDX-License-Identifier: Apache-2.0
import pytest

from heat_ha.groups.rules import decide


@pytest.mark.parametrize(
    'reason',
    [
        'ClientException: resources.x.resources.server: the database is gone (HTTP 503)',
        'RateLimit: resources.x: slow down (HTTP 429)',
        'ConnectTimeout: resources.x: Request to http://nova timed out',
        f'{decide.DIED_WITH_ENGINE} CREATE',
    ],
)
def test_what_services_do_for_a_while_may_pass(reason):
    assert decide.is_passing(reason)


@pytest.mark.parametrize(
    'reason',
    [
        '',
        'it failed',
        'ResourceInError: resources.x: Went to status ERROR due to "No valid host was found"',
        'Forbidden: resources.x: Quota exceeded for instances (HTTP 403)',
        'BadRequest: resources.x: Invalid image identifier (HTTP 400)',
        'min_in_service 3 leaves no member of group g to delete first, for 503 are in service',
    ],
)
def test_what_a_person_has_to_mend_does_not_pass(reason):
    assert not decide.is_passing(reason)
