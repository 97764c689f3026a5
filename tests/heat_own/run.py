# SPDX-License-Identifier: Apache-2.0
"""Run Heat's own unit tests of scaling with our types in the place of Heat's.

    python -m tests.heat_own.run [test or module of heat.tests ...]

The tests ship in Heat's wheel and are run as they are, none left out. They say that whoever uses
OS::Heat::ScalingPolicy and OS::Heat::AutoScalingGroup as they come with Heat can go on doing so
with ours.
"""

import contextlib
import pathlib
import pkgutil
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).parents[2]
FOLDERS = [str(ROOT / 'policies'), str(ROOT / 'resources')]
PACKAGE = 'heat.tests.autoscaling'


def use_threads():
    """Choose threads, where Heat does, before anything of Heat is imported.

    Older releases of Heat run on eventlet. Beside them oslo.service has no choice, or lacks what
    its threads need, which only newer releases of Heat ask for.
    """
    with contextlib.suppress(ImportError, ValueError):
        from oslo_service import backend

        backend.init_backend(backend.BackendType.THREADING)


def load_our_types(etc):
    """Fill Heat's registry as an engine does, and check that the types in it are ours."""
    from heat.common import config  # noqa: F401  registers plugin_dirs
    from heat.engine import resources
    from oslo_config import cfg

    from heat_ha.plugin import autoscaling_group, scaling_policy

    cfg.CONF.set_default('plugin_dirs', FOLDERS)
    cfg.CONF.set_default('environment_dir', str(etc / 'heat' / 'environment.d'))
    resources.initialise()
    for name, ours in (
        ('OS::Heat::ScalingPolicy', scaling_policy.ScalingPolicy),
        ('OS::Heat::AutoScalingGroup', autoscaling_group.AutoScalingGroup),
    ):
        found = resources.global_env().registry.get_class(name)
        if found is not ours:
            raise SystemExit(f'{name} is {found}, not ours')


def place_beside(folder):
    """Let Heat's tests find ``etc/heat``, which a checkout of Heat has and its wheel puts away."""
    import heat.tests.common

    package = pathlib.Path(heat.__file__).parent
    places = (package.parent, pathlib.Path(sys.prefix), *package.parents[2:4])
    etc = next(place / 'etc' for place in places if (place / 'etc' / 'heat').is_dir())
    (folder / 'etc').symlink_to(etc)
    heat.tests.common.__file__ = str(folder / 'heat' / 'tests' / 'common.py')
    return folder / 'etc'


def all_modules():
    """Name the modules of Heat's tests of scaling."""
    package = __import__(PACKAGE, fromlist=['__path__'])
    return [f'{PACKAGE}.{m.name}' for m in pkgutil.iter_modules(package.__path__)]


def main(names):
    use_threads()
    with tempfile.TemporaryDirectory() as folder:
        load_our_types(place_beside(pathlib.Path(folder)))
        suite = unittest.defaultTestLoader.loadTestsFromNames(names or all_modules())
        result = unittest.TextTestRunner(verbosity=1).run(suite)
    print(f"{result.testsRun} of Heat's own tests ran with our types")
    return 0 if result.wasSuccessful() and result.testsRun else 1


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
