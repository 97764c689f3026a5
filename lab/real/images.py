# SPDX-License-Identifier: Apache-2.0
"""The guest: where its files are, and the images of it in Glance.

``lab.real.guest.build`` builds it; where that is missing, the placeholder stands in for it. Images
differ in the kernel's command line only, which the guest takes as an order.
"""

import importlib
import importlib.util
import pathlib
import types

from lab import rest, stamps
from lab.real import paths, placeholder

IMAGE = 'real'
COMMAND_LINE = 'console=ttyS0 quiet no_timer_check mitigations=off'

_GUEST = 'lab.real.guest'
# The constants of the guest's builder that have the command lines.
_COMMAND_LINES = {IMAGE: 'COMMAND_LINE', f'{IMAGE}-files': 'COMMAND_LINE_FILES'}
_NAMES = ('kernel', 'initramfs', 'root')
_FORMATS = {'kernel': 'aki', 'initramfs': 'ari'}


def needed() -> dict[str, str]:
    """Return programs with which the guest is built, each with the package that brings it."""
    return dict(getattr(_builder(), 'NEEDED', {}))


def command_lines() -> dict[str, str]:
    """Return the kernel's command line of each image, by the image's name."""
    builder = _builder()
    lines = {image: getattr(builder, name, '') for image, name in _COMMAND_LINES.items()}
    return {image: line for image, line in lines.items() if line} or {IMAGE: COMMAND_LINE}


def build() -> None:
    """Build the guest; quick when nothing has changed."""
    guest = paths.BUILT / 'guest'
    guest.mkdir(parents=True, exist_ok=True)
    builder = _builder()
    if builder is None:
        files = list(_files_of_placeholder())
    else:
        built = builder.build(guest)
        files = [pathlib.Path(getattr(built, name)) for name in _NAMES]
    for name, file in zip(_NAMES, files, strict=True):
        link = _file(name)
        link.unlink(missing_ok=True)
        link.symlink_to(file)


def probe() -> tuple[pathlib.Path, pathlib.Path]:
    """Return the kernel and the initramfs with which KVM is tried."""
    kernel, initramfs, _root = _files_of_placeholder()
    return kernel, initramfs


def upload(admin: rest.Cloud) -> None:
    """Give Glance the images, unless it has these very ones; older ones are renamed."""
    wanted = stamps.digest(*(_file(name) for name in _NAMES), *command_lines().values())
    missing = {image for image in command_lines() if not _has(admin, image, wanted)}
    if not missing:
        return
    parts = {
        f'{"ramdisk" if name == "initramfs" else name}_id': _upload_one(
            admin, f'{IMAGE}-{name}', name, kind, {}
        )
        for name, kind in _FORMATS.items()
    }
    for image in sorted(missing):
        line = command_lines()[image]
        properties = {**parts, 'os_command_line': line, 'heat_ha_lab_digest': wanted}
        _upload_one(admin, image, 'root', 'raw', properties)


def _builder() -> types.ModuleType | None:
    if importlib.util.find_spec(_GUEST) is None:
        return None
    return importlib.import_module(f'{_GUEST}.build')


def _files_of_placeholder() -> tuple[pathlib.Path, pathlib.Path, pathlib.Path]:
    folder = paths.BUILT / 'placeholder'
    folder.mkdir(parents=True, exist_ok=True)
    return placeholder.build(folder)


def _file(name: str) -> pathlib.Path:
    return paths.BUILT / 'guest' / f'image-{name}'


def _has(admin: rest.Cloud, name: str, wanted: str) -> bool:
    """Tell whether Glance has this very image; another one of that name gets out of the way."""
    for image in admin.get('image', f'/v2/images?name={name}')['images']:
        if image['status'] == 'active' and image.get('heat_ha_lab_digest') == wanted:
            return True
        new_name = [{'op': 'replace', 'path': '/name', 'value': f'{name}-before'}]
        admin.patch('image', f'/v2/images/{image["id"]}', new_name)
    return False


def _upload_one(
    admin: rest.Cloud, name: str, part: str, disk_format: str, properties: rest.Json
) -> str:
    container = 'bare' if disk_format == 'raw' else disk_format
    body = {
        'name': name,
        'disk_format': disk_format,
        'container_format': container,
        'visibility': 'public',
        **properties,
    }
    made = admin.post('image', '/v2/images', body)
    admin.put('image', f'/v2/images/{made["id"]}/file', _file(part).read_bytes())
    return str(made['id'])
