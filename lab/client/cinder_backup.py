# SPDX-License-Identifier: Apache-2.0
"""Cinder's backup service for volumes that are files; the lab's own Python runs this file.

The lab's volumes have no bytes. Here each is a file in a folder, called by the volume's id, in
the place of a device. All else is Cinder's own service with its driver for folders. The file
``published`` appears in the folder when the scheduler has been notified of the service.

Arguments: the folder, and those of cinder-backup.
"""

import pathlib
import sys


def main():
    folder = pathlib.Path(sys.argv.pop(1))
    # First: it changes how all later modules see threads.
    from cinder.cmd import backup  # isort: skip
    from cinder import objects

    # As the service's own main does, for what is imported now names them.
    objects.register_all()
    from cinder.backup import manager
    from cinder.volume import volume_utils

    notify = manager.BackupManager._publish_service_capabilities

    def attach(self, context, device, properties, is_snapshot=False):
        return {'device': {'path': str(folder / device.id)}}

    def publish(self, context):
        notify(self, context)
        (folder / 'published').touch()

    volume_utils.brick_get_connector_properties = lambda *args, **more: {}
    manager.BackupManager._attach_device = attach
    manager.BackupManager._detach_device = lambda *args, **more: None
    manager.BackupManager._publish_service_capabilities = publish
    backup.main()


if __name__ == '__main__':
    main()
