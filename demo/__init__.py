# SPDX-License-Identifier: Apache-2.0
"""The demo, `make demo`: failovers by a real alarm, with figures; REAL=1: of guests that write."""
