# SPDX-License-Identifier: Apache-2.0
"""Start nova-compute so that a host with the fake driver survives its own restart.

The fake driver invents its node's identity anew in each process and leaves none on disk, so an
unmodified nova-compute refuses its second start. Here the identity follows from the host's name: it
is the one that the driver looks up, and it lies in the state folder before Nova looks there.

Runs with the lab's environment, not with the machine's Python. The arguments are nova-compute's.
"""

import pathlib
import sys
import uuid

from nova.cmd import compute  # It prepares threads: it comes before anything else of Nova.
from oslo_config import cfg
from oslo_utils import fixture

_OPTIONS = (cfg.StrOpt("host"), cfg.StrOpt("state_path"))


def main() -> None:
    """Fix the identity, then become nova-compute."""
    conf = cfg.ConfigOpts()
    conf.register_opts(_OPTIONS)
    conf(sys.argv[1:], project="nova", default_config_files=[])
    identity = str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{conf.host}.heat-ha.lab"))
    # uuidsentinel.node_HOST is what nova.virt.fake reads.
    fixture.uuidsentinel._sentinels[f"node_{conf.host}"] = identity
    state = pathlib.Path(conf.state_path)
    state.mkdir(parents=True, exist_ok=True)
    (state / "compute_id").write_text(identity)
    compute.main()


if __name__ == "__main__":
    main()
