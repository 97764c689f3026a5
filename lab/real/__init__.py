# SPDX-License-Identifier: Apache-2.0
"""Real guests on a real data path: Ceph, hosts with libvirt, and guests that write."""
