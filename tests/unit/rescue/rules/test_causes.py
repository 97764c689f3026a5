# SPDX-License-Identifier: Apache-2.0
import pytest

from heat_ha import exceptions
from heat_ha.cloud.model import ServerStatus
from heat_ha.rescue import model
from heat_ha.rescue.model import Cause
from heat_ha.rescue.rules import causes

ANSWERS = [
    (409, "Cannot 'evacuate' instance x while it is in vm_state paused", Cause.STATE),
    (409, "Cannot 'evacuate' instance x while it is in task_state rebuilding", Cause.STATE),
    (409, 'Instance x is locked', Cause.LOCKED),
    (409, 'something that nobody has seen yet', Cause.STATE),
    (400, 'Compute service of compute-7 is still in use.', Cause.STATE),
    (404, 'Instance x could not be found.', Cause.STATE),
    (429, 'Too many requests', Cause.STATE),
    (409, "Operation 'evacuate' not supported for vTPM-enabled instance", Cause.UNSUPPORTED),
    (400, 'Evacuate is not supported with accelerators', Cause.UNSUPPORTED),
    (400, 'Invalid input', Cause.REFUSED),
    (403, "Policy doesn't allow os_compute_api:os-evacuate to be performed.", Cause.FORBIDDEN),
    (401, 'The request you have made requires authentication.', Cause.FORBIDDEN),
    (500, 'Unexpected API Error', Cause.COULD_NOT_ASK),
    (503, 'Service unavailable: not supported', Cause.COULD_NOT_ASK),
    (0, 'Unable to establish connection', Cause.COULD_NOT_ASK),
]
FAULTS = [
    ('No valid host was found. There are not enough hosts available.', Cause.NO_HOST),
    ('Anti-affinity instance group policy was violated.', Cause.NO_HOST),
    ('KeyManagerError', Cause.KEYS),
    ('Forbidden', Cause.KEYS),
    ('ManagedObjectNotFoundError', Cause.KEYS),
    ('Key manager error: Secret payload retrieval attempt not allowed', Cause.KEYS),
    ('Failed to open the LUKS device', Cause.KEYS),
    ('Build of instance x aborted: Volume y is not ready', Cause.BUILD),
    ('', Cause.NONE),
]


def test_every_cause_has_a_row():
    assert set(causes.TABLE) == set(Cause)


@pytest.mark.parametrize(('code', 'text', 'cause'), ANSWERS)
def test_what_nova_answers_is_told_apart(code, text, cause):
    assert causes.of_answer(code, text) is cause


@pytest.mark.parametrize(('fault', 'cause'), FAULTS)
def test_what_a_server_failed_of_is_told_apart(fault, cause):
    server = model.Server('s', ServerStatus.ERROR, fault=fault)
    assert causes.of_fault(server) is cause


def test_a_server_that_was_not_touched_found_no_host():
    assert causes.of_fault(model.Server('s', ServerStatus.ACTIVE)) is Cause.NO_HOST


@pytest.mark.parametrize('cause', Cause)
def test_a_server_is_never_deleted_for_what_may_pass(cause):
    passing = (
        Cause.NONE, Cause.COULD_NOT_ASK, Cause.STATE, Cause.FORBIDDEN, Cause.LOCKED, Cause.NO_HOST,
        Cause.KEYS, Cause.REFUSED, Cause.UNEXPECTED,
    )  # fmt: skip
    assert causes.TABLE[cause].allows_replacing is (cause not in passing)


@pytest.mark.parametrize('cause', Cause)
def test_an_event_has_room_for_what_is_shown_of_a_cause(cause):
    shown = causes.in_words(cause)
    assert shown and len(shown) < 180
    assert str(causes.Unsuccessful(cause)) == shown


def test_an_error_stands_for_a_cause():
    for exc, cause in (
        (causes.Unsuccessful(Cause.KEYS), Cause.KEYS),
        (exceptions.CouldNotAsk('nova', 'it', 'why'), Cause.COULD_NOT_ASK),
        (exceptions.TryAgain('busy'), Cause.COULD_NOT_ASK),
        (exceptions.Stopped('it', 'do'), Cause.HEAT),
        (ValueError('compute-7'), Cause.UNEXPECTED),
    ):
        assert causes.of_exception(exc) is cause
