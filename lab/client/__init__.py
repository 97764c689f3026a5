# SPDX-License-Identifier: Apache-2.0
"""What tests, benchmarks, chaos and the demo share to use the lab.

They reach it here, from outside, as a tenant or an administrator does; ``lab`` itself starts and
stops it.

To use it
    ``access`` (facts and connections), ``stacks``, ``stack_snapshots``, ``failover_policy``,
    ``regions``, ``storage`` (who holds a volume, and the ``observer`` that watches it),
    ``waiting``, ``database``.
To have something to use
    ``agents`` (the program ``heat-ha-agent``), ``guest`` (what runs in a server), ``bmc`` (power
    controls), ``older`` (the version before), ``rescue_templates``, ``cinder_backup``.
To break it
    ``hosts`` and ``engines`` (which one to stop, and how to bring it back), ``cut`` (between
    regions), ``faults`` (of Nova and Cinder), ``hostile`` (messages), ``failures`` (of guests that
    write, and of their hosts).
"""
