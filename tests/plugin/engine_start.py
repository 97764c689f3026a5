# SPDX-License-Identifier: Apache-2.0
"""Start Heat's resource registry again and again, each time in another world.

A program of its own, because a process can fill Heat's registry only once: it imports Heat,
then reads one world per line (JSON) and forks a child that starts in it, as an engine does.
``test_half_installed`` calls it; the answers are one JSON line each.

A world has ``plugin_dirs`` and ``python_path``, the folders that come first on ``sys.path``.
``blocked`` names packages that cannot be found.
"""

import gc
import io
import json
import logging
import os
import sys
import traceback

from heat.common import config  # noqa: F401  registers plugin_dirs
from heat.engine import plugin_manager, resources
from oslo_config import cfg


def start(world):
    """Fill the registry as a starting engine does and say what is in it."""
    sys.path[:0] = world['python_path']
    if world['python_path']:
        # The finder of an editable installation would fill the gaps of half a heat_ha.
        sys.meta_path[:] = [
            f for f in sys.meta_path if 'Editable' not in getattr(f, '__name__', '')
        ]
    sys.modules.update(dict.fromkeys(world['blocked']))
    cfg.CONF.set_override('plugin_dirs', world['plugin_dirs'])
    errors = io.StringIO()
    handler = logging.StreamHandler(errors)
    handler.setLevel(logging.ERROR)
    logging.getLogger().addHandler(handler)
    answer = {'started': True, 'types': {}}
    try:
        resources.initialise()
    except Exception:
        answer |= {'started': False, 'why': traceback.format_exc()}
    else:
        registry = resources.global_env().registry
        for name in registry.get_types():
            if name.startswith('OS::Heat::'):
                cls = registry.get_class(name)
                answer['types'][name] = f'{cls.__module__}.{cls.__name__}'
    answer['errors'] = errors.getvalue()
    return answer


def main():
    logging.disable(logging.WARNING)
    cfg.CONF([], project='heat', default_config_files=[])
    cfg.CONF.set_override('plugin_dirs', [])
    # The first start imports all of Heat's own types, which is the slow part.
    resources.initialise()
    for module in plugin_manager.PluginManager('heat.engine.resources').modules:
        sys.modules.setdefault(module.__name__, module)
    resources._environment = None
    gc.freeze()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            print(json.dumps(start(json.loads(line))), flush=True)
            os._exit(0)
        os.waitpid(child, 0)


if __name__ == '__main__':
    main()
