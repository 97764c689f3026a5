# SPDX-License-Identifier: Apache-2.0
"""The lab: a whole small OpenStack cloud without a hypervisor, on this machine only.

It is what ``make demo``, the functional tests, the benches and the chaos tests run against. No
service in it is ours: a green functional test means that the real Nova, Cinder and Heat agree.

Only the standard library is imported here, because a fresh machine has nothing else. ``cli`` is the
way in; ``services`` is the table of what runs; ``up`` puts the phases in order.
"""
