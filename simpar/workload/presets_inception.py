"""Inception v3 for ImageNet: 299 x 299 images of 3 channels, 1000 classes.

Layer and tensor names are those of torchvision. Each convolution is followed by a batch normalisation;
each block joins the channels of its branches. Dropout is left out.
"""

from __future__ import annotations

from collections.abc import Sequence

from simpar.workload.builder import Builder, Output, Square
from simpar.workload.layers import Layer

_IMAGE = (3, 299, 299)
_CLASSES = 1000

_Conv = tuple[str, int, Square, int, Square]
"""Name, channels, kernel, stride, padding."""


def inception_v3(dtype_bytes: int, *, auxiliary: bool = True) -> tuple[Layer, ...]:
    """Return the layers of Inception v3.

    Args:
        dtype_bytes: bytes of one element of an activation.
        auxiliary: whether to train the auxiliary classifier beside the main one, as torchvision does by
            default; it has an eighth of the parameters and a thousandth of the FLOPs.

    Source: Szegedy et al., arXiv:1512.00567, Table 1; torchvision.models.inception_v3.
    """
    net = Builder(dtype_bytes)
    x = net.data(*_IMAGE)
    x = _chain(net, "Conv2d_", x, ("1a_3x3", 32, 3, 2, 0), ("2a_3x3", 32, 3, 1, 0), ("2b_3x3", 64, 3, 1, 1))
    x = net.pool("maxpool1", x, kernel=3, stride=2)
    x = _chain(net, "Conv2d_", x, ("3b_1x1", 80, 1, 1, 0), ("4a_3x3", 192, 3, 1, 0))
    x = net.pool("maxpool2", x, kernel=3, stride=2)
    for letter, pooled in zip("bcd", (32, 64, 64), strict=True):
        x = _block_a(net, f"Mixed_5{letter}", x, pooled)
    x = _block_b(net, "Mixed_6a", x)
    for letter, width in zip("bcde", (128, 160, 160, 192), strict=True):
        x = _block_c(net, f"Mixed_6{letter}", x, width)
    if auxiliary:
        _auxiliary(net, x)
    x = _block_d(net, "Mixed_7a", x)
    for letter in "bc":
        x = _block_e(net, f"Mixed_7{letter}", x)
    x = net.global_avg_pool("avgpool", x)
    net.linear("fc", net.flatten(x), _CLASSES)
    return net.layers()


def _auxiliary(net: Builder, x: Output) -> None:
    x = net.pool("AuxLogits.avgpool", x, kernel=5, stride=3, average=True)
    x = _chain(net, "AuxLogits.", x, ("conv0", 128, 1, 1, 0), ("conv1", 768, 5, 1, 0))
    net.linear("AuxLogits.fc", net.flatten(x), _CLASSES)


def _block_a(net: Builder, name: str, x: Output, pooled: int) -> Output:
    branches: Sequence[Sequence[_Conv]] = (
        (("branch1x1", 64, 1, 1, 0),),
        (("branch5x5_1", 48, 1, 1, 0), ("branch5x5_2", 64, 5, 1, 2)),
        (
            ("branch3x3dbl_1", 64, 1, 1, 0),
            ("branch3x3dbl_2", 96, 3, 1, 1),
            ("branch3x3dbl_3", 96, 3, 1, 1),
        ),
    )
    made = [_chain(net, f"{name}.", x, *branch) for branch in branches]
    return net.concat(name, *made, _pooled_branch(net, name, x, pooled))


def _block_b(net: Builder, name: str, x: Output) -> Output:
    """Halve the image."""
    one = _chain(net, f"{name}.", x, ("branch3x3", 384, 3, 2, 0))
    double = _chain(
        net,
        f"{name}.",
        x,
        ("branch3x3dbl_1", 64, 1, 1, 0),
        ("branch3x3dbl_2", 96, 3, 1, 1),
        ("branch3x3dbl_3", 96, 3, 2, 0),
    )
    return net.concat(name, one, double, net.pool(f"{name}.maxpool", x, kernel=3, stride=2))


def _block_c(net: Builder, name: str, x: Output, width: int) -> Output:
    """Factorise 7x7 convolutions into rows and columns, *width* channels in between."""
    branches: Sequence[Sequence[_Conv]] = (
        (("branch1x1", 192, 1, 1, 0),),
        (
            ("branch7x7_1", width, 1, 1, 0),
            ("branch7x7_2", width, (1, 7), 1, (0, 3)),
            ("branch7x7_3", 192, (7, 1), 1, (3, 0)),
        ),
        (
            ("branch7x7dbl_1", width, 1, 1, 0),
            ("branch7x7dbl_2", width, (7, 1), 1, (3, 0)),
            ("branch7x7dbl_3", width, (1, 7), 1, (0, 3)),
            ("branch7x7dbl_4", width, (7, 1), 1, (3, 0)),
            ("branch7x7dbl_5", 192, (1, 7), 1, (0, 3)),
        ),
    )
    made = [_chain(net, f"{name}.", x, *branch) for branch in branches]
    return net.concat(name, *made, _pooled_branch(net, name, x, 192))


def _block_d(net: Builder, name: str, x: Output) -> Output:
    """Halve the image again."""
    three = _chain(net, f"{name}.", x, ("branch3x3_1", 192, 1, 1, 0), ("branch3x3_2", 320, 3, 2, 0))
    seven = _chain(
        net,
        f"{name}.",
        x,
        ("branch7x7x3_1", 192, 1, 1, 0),
        ("branch7x7x3_2", 192, (1, 7), 1, (0, 3)),
        ("branch7x7x3_3", 192, (7, 1), 1, (3, 0)),
        ("branch7x7x3_4", 192, 3, 2, 0),
    )
    return net.concat(name, three, seven, net.pool(f"{name}.maxpool", x, kernel=3, stride=2))


def _block_e(net: Builder, name: str, x: Output) -> Output:
    """Widen: two branches fork into a row and a column."""
    one = _chain(net, f"{name}.", x, ("branch1x1", 320, 1, 1, 0))
    three = _chain(net, f"{name}.", x, ("branch3x3_1", 384, 1, 1, 0))
    double = _chain(net, f"{name}.", x, ("branch3x3dbl_1", 448, 1, 1, 0), ("branch3x3dbl_2", 384, 3, 1, 1))
    forks = [
        _chain(net, f"{name}.", source, (stem + ending, 384, kernel, 1, padding))
        for source, stem in ((three, "branch3x3_2"), (double, "branch3x3dbl_3"))
        for ending, kernel, padding in (("a", (1, 3), (0, 1)), ("b", (3, 1), (1, 0)))
    ]
    return net.concat(name, one, *forks, _pooled_branch(net, name, x, 192))


def _pooled_branch(net: Builder, name: str, x: Output, channels: int) -> Output:
    x = net.pool(f"{name}.avgpool", x, kernel=3, stride=1, padding=1, average=True)
    return _chain(net, f"{name}.", x, ("branch_pool", channels, 1, 1, 0))


def _chain(net: Builder, prefix: str, x: Output, *convolutions: _Conv) -> Output:
    """Add *convolutions*, each with its normalisation, one after the other."""
    for name, channels, kernel, stride, padding in convolutions:
        x = net.conv(f"{prefix}{name}.conv", x, channels, kernel=kernel, stride=stride, padding=padding)
        x = net.norm(f"{prefix}{name}.bn", x)
    return x
