# SPDX-License-Identifier: Apache-2.0
import pytest
from oslo_config import cfg

from heat_ha import exceptions
from heat_ha.conf import agent, checks, nova_hosts, regions

GROUPS = {
    agent.GROUP: agent.OPTIONS,
    nova_hosts.RESCUE: nova_hosts.OPTIONS,
    regions.GROUP: regions.OPTIONS,
}
NUMBERS = [
    (group, option.name, type(option))
    for group, options in GROUPS.items()
    for option in options
    if isinstance(option, (cfg.FloatOpt, cfg.IntOpt, cfg.PortOpt))
]


@pytest.fixture
def read(tmp_path):
    def read(group, line):
        path = tmp_path / 'heat.conf'
        path.write_text(f'[{group}]\n{line}\n')
        conf = cfg.ConfigOpts()
        conf.register_opts(GROUPS[group], group)
        conf(['--config-file', str(path)])
        return conf

    return read


@pytest.mark.parametrize(('group', 'name', 'kind'), NUMBERS)
def test_a_number_that_is_empty_or_not_finite_is_refused_by_its_name(read, group, name, kind):
    for value in ('', ' ', 'nan', 'inf', '-inf', 'x') if kind is cfg.FloatOpt else ('', 'x'):
        with pytest.raises(exceptions.Refused, match=rf'^{name} in \[{group}\]'):
            checks.check(read(group, f'{name} = {value}'), group, GROUPS[group])


@pytest.mark.parametrize('group', GROUPS)
def test_what_is_left_out_has_its_default(read, group):
    checks.check(read(group, ''), group, GROUPS[group])


def test_other_options_may_be_empty(read):
    for line in ('name =', 'confirm =', 'tokens_file ='):
        checks.check(read(agent.GROUP, line), agent.GROUP, agent.OPTIONS)
    with pytest.raises(exceptions.Refused, match='reopen_when_clean'):
        checks.check(read(agent.GROUP, 'reopen_when_clean = x'), agent.GROUP, agent.OPTIONS)
