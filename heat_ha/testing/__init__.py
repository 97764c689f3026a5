# SPDX-License-Identifier: Apache-2.0
"""Fakes for tests: they stand in for the services and refuse worlds that cannot be."""
