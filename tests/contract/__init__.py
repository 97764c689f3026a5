# SPDX-License-Identifier: Apache-2.0
"""Rules that a fake and the real thing both have to keep, so that tests on the fake mean something.

A class here has the rules. A test module gives it the fake, in ``tests/unit``, and another one the
real cloud, in ``tests/functional``.
"""

import pytest

# These modules are not tests themselves; without it their assertions would not say what they saw.
pytest.register_assert_rewrite('tests.contract.nova_and_cinder')
