# SPDX-License-Identifier: Apache-2.0
import dataclasses

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
    (400, 'Feature not supported with instances that have accelerators.', Cause.UNSUPPORTED),
    (400, 'Feature not supported with Ports that have accelerators.', Cause.UNSUPPORTED),
    (409, 'Feature not supported with instances that have shares.', Cause.UNSUPPORTED),
    (
        400,
        "Operation 'evacuate' not supported for instance with vDPA ports (x).",
        Cause.UNSUPPORTED,
    ),
    (400, "Operation 'rebuild' not supported for SEV-enabled instance (x).", Cause.UNSUPPORTED),
    (400, 'This feature is not supported when remote-managed ports are in use.', Cause.UNSUPPORTED),
    (400, 'Instance evacuate is not supported.', Cause.UNSUPPORTED),
    # What a release or a request lacks is not of the kind of the server.
    (400, 'Feature not supported until computes have not been updated.', Cause.REFUSED),
    (
        400,
        'Feature not supported because either compute or instance are not configured correctly.',
        Cause.REFUSED,
    ),
    (
        400,
        'The port-resource-request-groups neutron API extension is not supported by old nova '
        'compute service. Upgrade your compute services to Xena (24.0.0) or later.',
        Cause.REFUSED,
    ),
    (
        400,
        "Invalid input for field/attribute evacuate. Value: {'x': 1}. Additional properties are "
        "not allowed ('x' was unexpected)",
        Cause.REFUSED,
    ),
    (409, 'Unsupported RPC version for compute. Required >= 6.2', Cause.STATE),
    (404, 'Compute host compute-7 could not be found.', Cause.STATE),
    (
        406,
        'Version 2.60 is not supported by the API. Minimum is 2.1 and maximum is 2.53.',
        Cause.REFUSED,
    ),
    (413, 'This request was rate-limited.', Cause.COULD_NOT_ASK),
    (408, 'Request Timeout', Cause.COULD_NOT_ASK),
    (400, 'Invalid input', Cause.REFUSED),
    (403, "Policy doesn't allow os_compute_api:os-evacuate to be performed.", Cause.FORBIDDEN),
    (401, 'The request you have made requires authentication.', Cause.COULD_NOT_ASK),
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
    ('Forbidden keystoneauth1.exceptions.http.Forbidden: Forbidden (HTTP 403)', Cause.KEYS),
    (
        'Exceeded maximum number of retries. Exhausted all hosts available for retrying build '
        'failures for instance x.',
        Cause.NO_HOST,
    ),
    ('Insufficient compute resources: Free vcpu 0.00 VCPU < requested 2 VCPU.', Cause.NO_HOST),
    ('Instance evacuate is not supported.', Cause.UNSUPPORTED),
    # Something has its disk: perhaps the guest itself.
    (
        'libvirtError Is another process using the image [/var/lib/nova/instances/x/disk]?',
        Cause.IN_USE,
    ),
    ('libvirtError libvirt.libvirtError: internal error: Failed to get "write" lock', Cause.IN_USE),
    ('Instance instance-00000001 already exists.', Cause.IN_USE),
    ('ImageBusy rbd.ImageBusy: [errno 16] RBD image is busy: image has watchers', Cause.IN_USE),
    ('Invalid volume: volume x is already attached', Cause.IN_USE),
    # What others did not do, and may do later.
    ('MessagingTimeout', Cause.SERVICE),
    ('Timed out waiting for a reply to message ID x', Cause.SERVICE),
    ('Connection to cinder host failed: Unable to establish connection', Cause.SERVICE),
    ('Connection to glance host http://x failed: ...', Cause.SERVICE),
    ('Connection to keystone host failed: ...', Cause.SERVICE),
    ('Connection to the hypervisor is broken on host', Cause.SERVICE),
    ('Binding failed for port x, please check neutron logs for more information.', Cause.SERVICE),
    ('Virtual Interface creation failed', Cause.SERVICE),
    (
        'Build of instance x aborted: Failed to allocate the network(s), not rescheduling.',
        Cause.SERVICE,
    ),
    ('Service is unavailable at this time.', Cause.SERVICE),
    ('ServiceUnavailable', Cause.SERVICE),
    ('DBConnectionError', Cause.SERVICE),
    ('ConnectFailure', Cause.SERVICE),
    (
        'libvirtError internal error: process exited: error connecting: Operation not permitted',
        Cause.SERVICE,
    ),
    # No host will run the server as it is.
    ("Unacceptable CPU info: CPU doesn't have compatibility.", Cause.BUILD),
    ('InvalidCPUInfo Unacceptable CPU info: x', Cause.BUILD),
    (
        'libvirtError unsupported configuration: CPU mode host-passthrough is not supported',
        Cause.BUILD,
    ),
    ('libvirtError the CPU is incompatible with host CPU: missing features: avx512', Cause.BUILD),
    ("libvirtError operation failed: guest CPU doesn't match specification: x", Cause.BUILD),
    ("libvirtError Emulator '/usr/bin/kvm' does not support machine type 'q35'", Cause.BUILD),
    ('Image x could not be found.', Cause.BUILD),
    ('ImageNotFound nova.exception.ImageNotFound: Image x could not be found.', Cause.BUILD),
    ('Image x is unacceptable: Image is not raw format', Cause.BUILD),
    # Of its disks, which may have all its data.
    ('No disk at /var/lib/nova/instances/x/disk', Cause.UNEXPECTED),
    ("libvirtError Could not open '/var/x/disk': Input/output error", Cause.UNEXPECTED),
    ("libvirtError Could not open '/var/x/disk': Stale file handle", Cause.UNEXPECTED),
    ("OSError [Errno 30] Read-only file system: '/var/lib/nova/instances/x'", Cause.UNEXPECTED),
    ('OSError [Errno 107] Transport endpoint is not connected', Cause.UNEXPECTED),
    (
        'InvalidSharedStorage Invalid state of instance files on shared storage',
        Cause.UNEXPECTED,
    ),
    ('VolumeDeviceNotFound Volume device not found at /dev/disk/by-path/x', Cause.UNEXPECTED),
    ('NoFibreChannelVolumeDeviceFound Unable to find a Fibre Channel volume.', Cause.UNEXPECTED),
    ('TargetPortalNotFound Unable to find target portal 10.0.0.1:3260.', Cause.UNEXPECTED),
    ('ProcessExecutionError Unexpected error. Command: iscsiadm -m node', Cause.UNEXPECTED),
    ('No such file or directory; rbd: error opening image', Cause.UNEXPECTED),
    ('libvirtError Sperre "write" konnte nicht erlangt werden', Cause.UNEXPECTED),
    ('Volume x could not be found.', Cause.UNEXPECTED),
    ('Block Device Mapping is Invalid.', Cause.UNEXPECTED),
    ('Build of instance x aborted: Volume y is not ready', Cause.UNEXPECTED),
    ('InvalidVolume Invalid volume: the current status is detaching', Cause.UNEXPECTED),
    # May pass, or nobody has seen it yet.
    ('ClientException The server has either erred (HTTP 500)', Cause.UNEXPECTED),
    ('InternalServerError Internal Server Error (HTTP 500)', Cause.UNEXPECTED),
    ('libvirtError Cannot resolve it: Name or service not known', Cause.UNEXPECTED),
    ('OSError [Errno 113] No route to host', Cause.UNEXPECTED),
    ('OSError [Errno 32] Broken pipe', Cause.UNEXPECTED),
    ('libvirtError unable to map backing store: Cannot allocate memory', Cause.UNEXPECTED),
    ('PciDeviceRequestFailed PCI device request [...] failed', Cause.UNEXPECTED),
    ('libvirtError PCI device 0000:3b:02.1 is in use by driver QEMU', Cause.UNEXPECTED),
    ('libvirtError', Cause.UNEXPECTED),
    ('libvirtError internal error: qemu unexpectedly closed the monitor', Cause.UNEXPECTED),
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
    assert causes.of_fault(server, 1000.0) is cause
    for at, is_old in ((0.0, False), (1000.0, False), (950.0, False), (900.0, True)):
        dated = dataclasses.replace(server, fault_at=at)
        assert causes.of_fault(dated, 1000.0) is (Cause.NONE if is_old else cause)


def test_a_server_that_was_not_touched_found_no_host():
    seen = model.Server('s', ServerStatus.ACTIVE, fault='libvirtError', fault_at=1.0)
    assert causes.of_fault(seen, 1000.0) is Cause.NO_HOST


@pytest.mark.parametrize('cause', Cause)
def test_a_server_is_never_deleted_for_what_may_pass(cause):
    passing = (
        Cause.NONE, Cause.COULD_NOT_ASK, Cause.STATE, Cause.FORBIDDEN, Cause.LOCKED, Cause.NO_HOST,
        Cause.KEYS, Cause.IN_USE, Cause.SERVICE, Cause.REFUSED, Cause.UNEXPECTED,
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
