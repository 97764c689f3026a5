# SPDX-License-Identifier: Apache-2.0
"""Where everything of the lab lies: one folder, ``.lab``, in the checkout.

Nothing outside of it is written (Debian packages apart), so two checkouts can run a lab each.
"""

import pathlib

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCES = ROOT / 'lab'
TEMPLATES = SOURCES / 'templates'

LAB = ROOT / '.lab'
BOOTSTRAP = LAB / 'bootstrap'
VENV = LAB / 'venv'
ETC = LAB / 'etc'
DATA = LAB / 'data'
LOG = LAB / 'log'
RUN = LAB / 'run'
HOME = LAB / 'home'
TMP = LAB / 'tmp'
GOLDEN = LAB / 'golden'
STAMPS = LAB / 'stamps'

CLOUDS = LAB / 'clouds.yaml'
ENV_JSON = LAB / 'env.json'
LOCK = LAB / 'lock'
PORT_BASE = LAB / 'port_base'
# There while RegionTwo's Heat is behind a Keystone of its own.
APART = LAB / 'apart'

DATABASE_DIR = DATA / 'mariadb'
DATABASE_SOCKET = RUN / 'mariadb.sock'
# Stamps about what is in the database lie beside it, so that a golden copy takes them along.
DATA_STAMPS = DATA / 'stamps'

# Linux refuses longer names for a socket.
LONGEST_SOCKET_PATH = 107


def make_folders() -> None:
    """Create the folders that every phase takes for granted."""
    for folder in (ETC, DATA, DATA_STAMPS, LOG, RUN, HOME, TMP, STAMPS):
        folder.mkdir(parents=True, exist_ok=True)


def log_of(service: str) -> pathlib.Path:
    """Return the log file of a service."""
    return LOG / f'{service}.log'


def heat_plugin_dirs() -> list[pathlib.Path]:
    """Return the folders into which an installed heat-ha puts its Heat types."""
    return [VENV / 'lib' / 'heat']
