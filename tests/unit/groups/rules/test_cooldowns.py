# SPDX-License-Identifier: Apache-2.0
import datetime

import pytest

from heat_ha.groups.rules import cooldowns

NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)

FIGURES = [
    (None, 0.0), (0, 0.0), (-5, 0.0), (60, 60.0), (0.5, 0.5), (86_400, 86_400.0),
    (10**12, cooldowns.LONGEST), (float('inf'), cooldowns.LONGEST), (float('-inf'), 0.0),
    (float('nan'), 0.0),
]  # fmt: skip


@pytest.mark.parametrize(('figure', 'seconds'), FIGURES)
def test_every_figure_of_a_template_is_a_time_that_has_an_end(figure, seconds):
    assert cooldowns.bounded(figure) == seconds
    assert NOW + datetime.timedelta(seconds=cooldowns.bounded(figure)) >= NOW
