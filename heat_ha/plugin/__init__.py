# SPDX-License-Identifier: Apache-2.0
"""The classes of the resource types; the modules in ``policies/`` and ``resources/`` offer them."""
