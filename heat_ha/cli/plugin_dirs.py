# SPDX-License-Identifier: Apache-2.0
"""The command ``heat-ha-plugin-dirs``: where our plugin modules are, and whether Heat loads them.

For the person who adds heat-ha to Heat's engines. Without an option it prints the line for
``heat.conf``. With ``--check`` it starts Heat's registry as an engine does and reports each type.
The plugin modules themselves are in ``policies`` and ``resources``.
"""

import argparse
import dataclasses
import importlib.metadata
import logging
import pathlib
import sys
import warnings
from collections.abc import Container, Iterable, Sequence

import heat_ha

CHECKOUT_FOLDERS = ('policies', 'resources')


@dataclasses.dataclass(frozen=True)
class Report:
    """The result for one plugin module: a type that it offers, or why it offers none."""

    subject: str
    is_good: bool
    text: str


def plugin_modules() -> list[pathlib.Path]:
    """Find the plugin modules that came with this ``heat_ha``: a checkout's, else the wheel's."""
    root = pathlib.Path(heat_ha.__file__).resolve().parents[1]
    in_checkout = [path for name in CHECKOUT_FOLDERS for path in root.glob(f'{name}/ha_*.py')]
    return sorted(in_checkout or _installed())


def _installed() -> Iterable[pathlib.Path]:
    try:
        files = importlib.metadata.files('heat-ha') or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    if listed := [file.locate() for file in files if file.match('lib/heat/ha_*.py')]:
        return {pathlib.Path(str(path)).resolve() for path in listed}
    # A distribution's package may have no list of its files.
    return pathlib.Path(sys.prefix, 'lib', 'heat').resolve().glob('ha_*.py')


def configured(config_files: Sequence[str]) -> list[str]:
    """Read Heat's ``plugin_dirs``: of the files, or Heat's default."""
    from heat.common import config  # noqa: F401  registers the options
    from oslo_config import cfg

    cfg.CONF([], project='heat', default_config_files=list(config_files))
    return list(cfg.CONF.plugin_dirs)


def wanted(already: Iterable[str], modules: Iterable[pathlib.Path]) -> list[str]:
    """List the folders for ``heat.conf``, Heat's default too, which a line there would drop."""
    return list(dict.fromkeys([*already, *(str(path.parent) for path in modules)]))


class _Errors(logging.Handler):
    """Keeps the last error that each module logged."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.by_module: dict[str, str] = {}

    def emit(self, record: logging.LogRecord) -> None:
        cause = record.exc_info[1] if record.exc_info else None
        self.by_module[record.name] = (
            f'{type(cause).__name__}: {cause}' if cause else record.getMessage()
        )


def check(plugin_dirs: Sequence[str], names: Container[str]) -> list[Report]:
    """Load the plugins as a starting engine does; report on modules with one of the names."""
    from heat.engine import plugin_manager, resources
    from oslo_config import cfg

    cfg.CONF.set_override('plugin_dirs', list(plugin_dirs))
    errors = _Errors()
    logging.getLogger().addHandler(errors)
    try:
        resources.initialise()
    except Exception as exc:
        return [Report('heat-engine', False, f'does not start: {type(exc).__name__}: {exc}')]
    registry = resources.global_env().registry
    mapping = plugin_manager.PluginMapping(['available_resource', 'resource'])
    reports = []
    for module in plugin_manager.PluginManager().modules:
        file = pathlib.Path(module.__file__).resolve()
        if file.name not in names:
            continue
        types = mapping.load_from_module(module)
        for name, cls in types.items():
            used = _name(registry.get_class(name))
            reports.append(
                Report(name, True, f'loaded from {file}')
                if used == _name(cls)
                else Report(name, False, f'{file} gives {_name(cls)}, but Heat uses {used}')
            )
        if not types:
            why = errors.by_module.get(module.__name__, 'it offers no type')
            reports.append(Report(file.name, False, why))
    return reports or [Report('heat-ha', False, 'plugin_dirs has no plugin module of heat-ha')]


def _name(cls: type) -> str:
    return f'{cls.__module__}.{cls.__qualname__}'


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 1 if anything keeps a type from being used."""
    parser = argparse.ArgumentParser(
        prog='heat-ha-plugin-dirs',
        description='Print the plugin_dirs line that heat.conf needs for heat-ha.',
    )
    parser.add_argument(
        '--check', action='store_true', help='load the plugins as Heat does and report each type'
    )
    parser.add_argument(
        '--config-file',
        action='append',
        default=[],
        metavar='FILE',
        help="a heat.conf to start from instead of Heat's default; may be given again",
    )
    options = parser.parse_args(arguments)
    warnings.simplefilter('ignore')
    modules = plugin_modules()
    try:
        already = configured(options.config_file)
    except ImportError as exc:
        print(f'Heat is not installed for {sys.executable}: {exc}', file=sys.stderr)
        return 1
    if not modules:
        print('heat-ha is installed without its plugin modules', file=sys.stderr)
        return 1
    print('plugin_dirs = ' + ','.join(wanted(already, modules)))
    if not options.check:
        return 0
    # A given heat.conf is checked as it is: it may lack our folder.
    used = already if options.config_file else wanted(already, modules)
    reports = check(used, {path.name for path in modules})
    for report in reports:
        print(f'{"ok " if report.is_good else "NOT"} {report.subject}: {report.text}')
    return 0 if all(report.is_good for report in reports) else 1


if __name__ == '__main__':
    sys.exit(main())
