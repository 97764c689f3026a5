# SPDX-License-Identifier: Apache-2.0
"""heat-ha's options in heat.conf, one module a group; ``opts`` lists them all."""
