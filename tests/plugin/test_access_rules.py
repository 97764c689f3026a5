# SPDX-License-Identifier: Apache-2.0
"""Heat itself obeys the sample of access rules, once its lines are no longer comments."""

import pathlib
import re

import pytest
from heat.common import context as heat_context
from heat.common import exception, policy
from oslo_config import cfg

SAMPLE = pathlib.Path(__file__).parents[2] / 'etc' / 'heat_ha' / 'resource_types.policy.yaml.sample'
FOR_HA_USERS = [
    'OS::Heat::FailoverPolicy',
    'OS::Heat::HandoffFloatingIPAssociation',
    'OS::Heat::HandoffVolumeAttachment',
    'OS::Heat::RemoteStack',
    'OS::Heat::RemoteStackTombstone',
    'OS::Heat::RescuePolicy',
]


@pytest.fixture
def rules(tmp_path):
    """Return Heat's enforcer with the sample in ``policy.d``."""
    folder = tmp_path / 'policy.d'
    folder.mkdir()
    text = re.sub('^#"', '"', SAMPLE.read_text(), flags=re.MULTILINE)
    (folder / 'heat-ha.yaml').write_text(text)
    cfg.CONF([], project='heat', default_config_files=[])
    enforcer = policy.ResourceEnforcer()
    cfg.CONF.set_override('policy_dirs', [str(folder)], group='oslo_policy')
    yield enforcer
    cfg.CONF.clear_override('policy_dirs', group='oslo_policy')


def person(*roles):
    return heat_context.RequestContext(
        roles=list(roles), project_id='p', user_id='u', is_admin=False, overwrite=False
    )


@pytest.mark.parametrize('res_type', FOR_HA_USERS)
@pytest.mark.parametrize('role', ['heat_ha_user', 'admin'])
def test_the_named_role_may_use_the_type(rules, res_type, role):
    assert rules.enforce(person('member', role), res_type)


@pytest.mark.parametrize('res_type', FOR_HA_USERS)
def test_others_may_not(rules, res_type):
    with pytest.raises(exception.Forbidden, match=res_type):
        rules.enforce(person('member', 'heat_stack_owner'), res_type)


@pytest.mark.parametrize(
    'res_type', ['OS::Heat::ScalingPolicy', 'OS::Heat::AutoScalingGroup', 'OS::Nova::Server']
)
def test_other_types_stay_open_to_everybody(rules, res_type):
    assert rules.enforce(person('member'), res_type)


def test_without_its_rules_a_type_is_open_to_everybody(rules):
    cfg.CONF.set_override('policy_dirs', [], group='oslo_policy')

    assert rules.enforce(person('member'), 'OS::Heat::FailoverPolicy')


def test_every_type_of_ours_has_a_rule():
    root = SAMPLE.parents[2]
    modules = [*root.glob('policies/*.py'), *root.glob('resources/*.py')]
    types = {re.search("^TYPE = '(.*)'", m.read_text(), re.MULTILINE).group(1) for m in modules}

    assert types <= set(re.findall('resource_types:([A-Za-z:]+)', SAMPLE.read_text()))
