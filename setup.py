# SPDX-License-Identifier: Apache-2.0
"""The metadata is in setup.cfg; only files outside of the package are listed here.

The plugin modules go straight into ``lib/heat``, which Heat searches below ``/usr`` and
``/usr/local`` without being told, and which is one entry of ``plugin_dirs`` for a virtual
environment. A folder of their own would have to be a package for Heat to look into it, and Heat
fails on packages there when a process searches twice. pbr cannot list the files in ``[files]
data_files``: it has ``policies/*``, which takes ``__pycache__`` along, but no ``policies/*.py``.
"""

import glob

import setuptools

setuptools.setup(
    setup_requires=['pbr>=6.1.1'],
    pbr=True,
    data_files=[
        ('lib/heat', sorted(glob.glob('policies/*.py') + glob.glob('resources/*.py'))),
        ('etc/heat_ha', glob.glob('etc/heat_ha/*.sample')),
    ],
)
