# SPDX-License-Identifier: Apache-2.0
"""Start nova-compute so that a host with the fake driver survives its own restart.

Two things of a real host are missing in the fake driver, and both matter when hosts are killed:

* Its node gets a new identity in each process and none is left on disk, so an unmodified
  nova-compute refuses its second start. Here the identity follows from the host's name.
* Its guests end with the process, while a real hypervisor's go on. Here they are remembered in
  ``state_path/guests.json``.

Runs with the lab's environment, not with the machine's Python. The arguments are nova-compute's.
"""

import functools
import json
import pathlib
import sys
import threading
import uuid
from collections.abc import Callable
from typing import Any

from nova.cmd import compute  # It prepares threads: it comes before anything else of Nova.
from nova.virt import fake
from oslo_config import cfg
from oslo_utils import fixture

Method = Callable[..., Any]

_OPTIONS = (cfg.StrOpt('host'), cfg.StrOpt('state_path'))
# What changes which guests there are, their power state, or their interfaces.
_CHANGES = (
    'attach_interface',
    'destroy',
    'detach_interface',
    'finish_migration',
    'finish_revert_migration',
    'live_migration_force_complete',
    'post_live_migration_at_destination',
    'power_off',
    'power_on',
    'reboot',
    'spawn',
    'unrescue',
)


class Memory:
    """The file that outlives the process, and the driver's guests in it."""

    def __init__(self, file: pathlib.Path) -> None:
        self._file = file
        self._writing = threading.Lock()

    def recall(self, driver: fake.FakeDriver) -> None:
        """Give a new driver the guests of the one before it."""
        if not self._file.exists():
            return
        kept = json.loads(self._file.read_text())
        for guest, (name, state) in kept['guests'].items():
            driver.instances[guest] = fake.FakeInstance(name, state, guest)
        driver._interfaces.update(dict.fromkeys(kept['interfaces']))
        driver.resources.claim(**kept['used'])

    def keep(self, driver: fake.FakeDriver) -> None:
        """Write the guests down, whole or not at all."""
        with self._writing:
            used = driver.resources
            kept = {
                'guests': {key: (one.name, one.state) for key, one in driver.instances.items()},
                'interfaces': list(driver._interfaces),
                'used': {
                    'vcpus': used.vcpus_used,
                    'mem': used.memory_mb_used,
                    'disk': used.local_gb_used,
                },
            }
            half_written = self._file.with_suffix('.new')
            half_written.write_text(json.dumps(kept))
            half_written.rename(self._file)


def followed_by(method: Method, then: Callable[[fake.FakeDriver], None]) -> Method:
    """Return a driver's method with something after it, whether it succeeds or not."""

    @functools.wraps(method)
    def run(driver: fake.FakeDriver, *args: Any, **kwargs: Any) -> Any:
        try:
            return method(driver, *args, **kwargs)
        finally:
            then(driver)

    return run


def main() -> None:
    """Fix the identity and the driver, then become nova-compute."""
    conf = cfg.ConfigOpts()
    conf.register_opts(_OPTIONS)
    conf(sys.argv[1:], project='nova', default_config_files=[])
    identity = str(uuid.uuid5(uuid.NAMESPACE_DNS, f'{conf.host}.heat-ha.lab'))
    # uuidsentinel.node_HOST is what nova.virt.fake reads.
    fixture.uuidsentinel._sentinels[f'node_{conf.host}'] = identity
    state = pathlib.Path(conf.state_path)
    state.mkdir(parents=True, exist_ok=True)
    (state / 'compute_id').write_text(identity)
    memory = Memory(state / 'guests.json')
    # In place: the driver's methods name their class, so a subclass cannot take its name.
    fake.FakeDriver.init_host = followed_by(fake.FakeDriver.init_host, memory.recall)
    for name in _CHANGES:
        method = getattr(fake.FakeDriver, name)
        setattr(fake.FakeDriver, name, followed_by(method, memory.keep))
    compute.main()


if __name__ == '__main__':
    main()
