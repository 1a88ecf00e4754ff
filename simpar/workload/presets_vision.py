"""Convolutional networks for ImageNet: 224 x 224 images of 3 channels, 1000 classes.

Layer and tensor names are those of torchvision for ResNet, those of the paper for VGG and AlexNet. Dropout
is left out: it has no parameters, and its mask is small beside the activations. A plain perceptron,
:func:`mlp`, and a small net for images of any size, :func:`cnn`, stand at the end; Inception has a module of
its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from simpar.workload.builder import Builder, Output
from simpar.workload.layers import Layer

_IMAGE = (3, 224, 224)
_CLASSES = 1000

_RESNET = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
"""Blocks of each stage by depth: He et al., arXiv:1512.03385, Table 1."""

_BOTTLENECKS_FROM = 50
"""Depth from which a block is a bottleneck of three convolutions, not a pair of 3x3."""

_VGG = {
    11: (1, 1, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
"""Convolutions of each stage: Simonyan and Zisserman, arXiv:1409.1556, Table 1, columns A, D and E."""

_ALEXNET = (
    # channels, kernel, stride, padding, pooled
    (64, 11, 4, 2, True),
    (192, 5, 1, 2, True),
    (384, 3, 1, 1, False),
    (256, 3, 1, 1, False),
    (256, 3, 1, 1, True),
)
"""Convolutions of torchvision.models.alexnet: Krizhevsky, arXiv:1404.5997, one column."""


def resnet(depth: int, dtype_bytes: int, *, stride_in_3x3: bool = True) -> tuple[Layer, ...]:
    """Return the layers of a ResNet of *depth* 18, 34, 50, 101 or 152.

    Args:
        dtype_bytes: bytes of one element of an activation.
        stride_in_3x3: where the first bottleneck of a stage halves the image: in its 3x3 convolution,
            as torchvision and most training code do ("v1.5"), or in its first 1x1, as the paper has it.

    Source: He et al., arXiv:1512.03385, Table 1; torchvision.models.resnet50 and its like.
    """
    net = Builder(dtype_bytes)
    x = net.conv("conv1", net.data(*_IMAGE), 64, kernel=7, stride=2, padding=3)
    x = net.norm("bn1", x)
    x = net.pool("maxpool", x, kernel=3, stride=2, padding=1)
    for stage, blocks in enumerate(_RESNET[depth]):
        for block in range(blocks):
            name, width = f"layer{stage + 1}.{block}", 64 * 2**stage
            stride = 2 if stage > 0 and block == 0 else 1
            if depth < _BOTTLENECKS_FROM:
                x = _basic_block(net, name, x, width, stride)
            else:
                x = _bottleneck(net, name, x, width, stride, stride_in_3x3)
    x = net.global_avg_pool("avgpool", x)
    net.linear("fc", net.flatten(x), _CLASSES)
    return net.layers()


def resnet_50(dtype_bytes: int, *, stride_in_3x3: bool = True) -> tuple[Layer, ...]:
    """Return the layers of ResNet-50; see :func:`resnet`."""
    return resnet(50, dtype_bytes, stride_in_3x3=stride_in_3x3)


def _basic_block(net: Builder, name: str, x: Output, width: int, stride: int) -> Output:
    """Add two 3x3 convolutions beside a shortcut."""
    y = net.norm(f"{name}.bn1", net.conv(f"{name}.conv1", x, width, kernel=3, stride=stride, padding=1))
    y = net.norm(f"{name}.bn2", net.conv(f"{name}.conv2", y, width, kernel=3, padding=1))
    return net.add(f"{name}.add", y, _shortcut(net, name, x, y, stride))


def _bottleneck(net: Builder, name: str, x: Output, width: int, stride: int, stride_in_3x3: bool) -> Output:
    """Add a 1x1, a 3x3 and a 1x1 convolution beside a shortcut."""
    first, second = (1, stride) if stride_in_3x3 else (stride, 1)
    y = net.norm(f"{name}.bn1", net.conv(f"{name}.conv1", x, width, kernel=1, stride=first))
    y = net.norm(f"{name}.bn2", net.conv(f"{name}.conv2", y, width, kernel=3, stride=second, padding=1))
    y = net.norm(f"{name}.bn3", net.conv(f"{name}.conv3", y, 4 * width, kernel=1))
    return net.add(f"{name}.add", y, _shortcut(net, name, x, y, stride))


def _shortcut(net: Builder, name: str, x: Output, y: Output, stride: int) -> Output:
    """Return *x*, brought into the shape of *y* by a 1x1 convolution where they differ."""
    if x.shape == y.shape:
        return x
    x = net.conv(f"{name}.downsample.0", x, y.shape[0], kernel=1, stride=stride)
    return net.norm(f"{name}.downsample.1", x)


def vgg_11(dtype_bytes: int) -> tuple[Layer, ...]:
    """Return the layers of VGG-11 (configuration A) for activations of *dtype_bytes* an element."""
    return vgg(11, dtype_bytes)


def vgg_16(dtype_bytes: int) -> tuple[Layer, ...]:
    """Return the layers of VGG-16 (configuration D) for activations of *dtype_bytes* an element."""
    return vgg(16, dtype_bytes)


def vgg(depth: int, dtype_bytes: int) -> tuple[Layer, ...]:
    """Return the layers of a VGG of *depth* 11, 16 or 19: stages of 3x3 convolutions, each pooled."""
    net = Builder(dtype_bytes)
    x = net.data(*_IMAGE)
    for stage, convolutions in enumerate(_VGG[depth], start=1):
        for i in range(1, convolutions + 1):
            channels = min(512, 32 * 2**stage)
            x = net.conv(f"conv{stage}_{i}", x, channels, kernel=3, padding=1, bias=True)
        x = net.pool(f"pool{stage}", x, kernel=2, stride=2)
    _classifier(net, x)
    return net.layers()


def alexnet(dtype_bytes: int) -> tuple[Layer, ...]:
    """Return the layers of AlexNet in one column, as torchvision has it, without normalisation.

    Source: Krizhevsky, arXiv:1404.5997 ("one weird trick"); torchvision.models.alexnet.
    """
    net = Builder(dtype_bytes)
    x = net.data(*_IMAGE)
    for i, (channels, kernel, stride, padding, pooled) in enumerate(_ALEXNET, start=1):
        x = net.conv(f"conv{i}", x, channels, kernel=kernel, stride=stride, padding=padding, bias=True)
        if pooled:
            x = net.pool(f"pool{i}", x, kernel=3, stride=2)
    _classifier(net, x)
    return net.layers()


def _classifier(net: Builder, x: Output) -> None:
    """Add the three linear layers of VGG and AlexNet."""
    x = net.linear("fc6", net.flatten(x), 4096)
    x = net.linear("fc7", x, 4096)
    net.linear("fc8", x, _CLASSES)


def mlp(sizes: Sequence[int], dtype_bytes: int) -> tuple[Layer, ...]:
    """Return the layers of a perceptron with *sizes* features, the first those of the data.

    Raises:
        ValueError: there are fewer than two sizes, or one is below 1.
    """
    if len(sizes) < 2 or min(sizes) < 1:
        raise ValueError(f"{list(sizes)} are not the sizes of a perceptron; give two or more, each above 0")
    net = Builder(dtype_bytes)
    x = net.data(sizes[0])
    for i, features in enumerate(sizes[1:], start=1):
        x = net.linear(f"fc{i}", x, features)
    return net.layers()


def cnn(
    image: Sequence[int], channels: Sequence[int], sizes: Sequence[int], dtype_bytes: int
) -> tuple[Layer, ...]:
    """Return the layers of a small net: 3x3 convolutions, each pooled to half, then linear layers.

    Args:
        image: channels, height and width of the data.
        channels: what each convolution makes.
        sizes: features of each linear layer, the last those of the result.
        dtype_bytes: bytes of one element of an activation.

    Raises:
        ValueError: the image is not three numbers above 0, or too small to be halved so often.
    """
    if len(image) != 3 or min(image) < 1 or min(image[1:]) >> len(channels) < 1:
        raise ValueError(f"{list(image)} is no image that can be halved {len(channels)} times")
    net = Builder(dtype_bytes)
    x = net.data(*image)
    for i, features in enumerate(channels, start=1):
        x = net.conv(f"conv{i}", x, features, kernel=3, padding=1, bias=True)
        x = net.pool(f"pool{i}", x, kernel=2, stride=2)
    x = net.flatten(x)
    for i, features in enumerate(sizes, start=1):
        x = net.linear(f"fc{i}", x, features)
    return net.layers()
