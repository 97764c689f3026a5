# SPDX-License-Identifier: Apache-2.0
"""The guest that image ``real`` boots: where its files are, and how Glance gets them.

``lab.real.guest.build`` builds it; until that is there, the placeholder stands in for it.
"""

import importlib
import importlib.util
import pathlib

from lab import rest, stamps
from lab.real import paths, placeholder

IMAGE = 'real'
COMMAND_LINE = 'console=ttyS0 quiet no_timer_check mitigations=off'

_GUEST = 'lab.real.guest.build'
_NAMES = ('kernel', 'initramfs', 'root')
_FORMATS = {'kernel': 'aki', 'initramfs': 'ari'}


def build() -> None:
    """Build the guest of the probe and that of the image."""
    _files_of_placeholder()
    guest = paths.BUILT / 'guest'
    guest.mkdir(parents=True, exist_ok=True)
    if importlib.util.find_spec('lab.real.guest') and importlib.util.find_spec(_GUEST):
        built = importlib.import_module(_GUEST).build(guest)
        files = [pathlib.Path(getattr(built, name)) for name in _NAMES]
    else:
        files = [*_files_of_placeholder()]
    for name, file in zip(_NAMES, files, strict=True):
        link = guest / f'image-{name}'
        link.unlink(missing_ok=True)
        link.symlink_to(file)


def probe() -> tuple[pathlib.Path, pathlib.Path]:
    """Return the kernel and the initramfs with which KVM is tried."""
    kernel, initramfs, _root = _files_of_placeholder()
    return kernel, initramfs


def _files_of_placeholder() -> tuple[pathlib.Path, pathlib.Path, pathlib.Path]:
    folder = paths.BUILT / 'placeholder'
    folder.mkdir(parents=True, exist_ok=True)
    return placeholder.build(folder)


def _file(name: str) -> pathlib.Path:
    return paths.BUILT / 'guest' / f'image-{name}'


def digest() -> str:
    """Return what changes with the guest's files."""
    return stamps.digest(*(_file(name) for name in _NAMES))


def upload(admin: rest.Cloud) -> None:
    """Give Glance the guest, unless it has this very one; an older one is renamed."""
    wanted = digest()
    for image in admin.get('image', f'/v2/images?name={IMAGE}')['images']:
        if image['status'] == 'active' and image.get('heat_ha_lab_digest') == wanted:
            return
        new_name = [{'op': 'replace', 'path': '/name', 'value': f'{IMAGE}-before'}]
        admin.patch('image', f'/v2/images/{image["id"]}', new_name)
    ids = {
        name: _upload_one(admin, f'{IMAGE}-{name}', name, kind, {})
        for name, kind in _FORMATS.items()
    }
    properties = {
        'kernel_id': ids['kernel'],
        'ramdisk_id': ids['initramfs'],
        'os_command_line': COMMAND_LINE,
        'heat_ha_lab_digest': wanted,
    }
    _upload_one(admin, IMAGE, 'root', 'raw', properties)


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
