# SPDX-License-Identifier: Apache-2.0
import itertools

import pytest

from lab.real.guest import modules

NEEDS = {
    'virtio_blk': ['virtio'],
    'virtio_pci': ['virtio_ring', 'virtio_pci_modern_dev', 'virtio'],
    'virtio_ring': ['virtio'],
    'virtio_pci_modern_dev': ['virtio_ring'],
    'virtio': [],
}


def test_what_a_module_needs_comes_before_it_in_any_order_of_wishes():
    for wanted in itertools.permutations(NEEDS):
        order = modules.load_order(wanted, NEEDS.__getitem__)
        assert sorted(order) == sorted(NEEDS)
        for name, needed in NEEDS.items():
            assert all(order.index(each) < order.index(name) for each in needed), order


def test_what_is_built_in_is_left_out():
    built_in = ['kernel/drivers/virtio/virtio.ko', 'kernel/fs/ext4/ext4.ko']
    order = modules.load_order(['virtio-blk', 'ext4'], NEEDS.__getitem__, built_in)
    assert order == ['virtio_blk']


def test_module_that_no_kernel_has_is_named():
    with pytest.raises(modules.Unknown, match='virtio_tea'):
        modules.load_order(['virtio_tea'], NEEDS.__getitem__)


def test_needs_are_read_from_a_module_file():
    assert modules.direct_needs(b'ELF\0license=GPL\0depends=virtio,virtio_ring\0x') == [
        'virtio',
        'virtio_ring',
    ]
    assert modules.direct_needs(b'\0depends=\0') == []
    assert modules.direct_needs(b'no section') == []
