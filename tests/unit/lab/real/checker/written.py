# SPDX-License-Identifier: Apache-2.0
"""What guests would have written: sectors and lines of a console, made for tests."""

import zlib

VOLUME = 'aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee'
OLD, NEW = '11111111-0000', '99999999-0000'


def sector(seq, by=OLD, t=None, boot='b1'):
    t = 1_000_000 + 100 * seq if t is None else t
    text = f'HAREC seq={seq} by={by} boot={boot} up=1 t={t}'.encode()
    return (text + b' crc=%08x' % zlib.crc32(text)).ljust(511) + b'\n'


def volume(*writers):
    """A volume on which record n is of the n-th of the writers; None leaves its sector blank."""
    return b''.join(bytes(512) if by is None else sector(seq, by) for seq, by in enumerate(writers))


def line(event, by=OLD, boot='b1', t=1, vol=VOLUME[:20], **values):
    fields = ' '.join(f'{name}={value}' for name, value in values.items())
    text = f'HACON by={by} boot={boot} vol={vol} event={event} {fields} t={t}'
    return f'{text} crc={zlib.crc32(text.encode()):08x}\r\n'
