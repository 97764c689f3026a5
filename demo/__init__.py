# SPDX-License-Identifier: Apache-2.0
"""The demo, `make demo`: a stopped server, a real alarm, a failover, twice, with figures."""
