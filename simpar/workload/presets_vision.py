"""Convolutional networks for ImageNet: 224 x 224 images of 3 channels, 1000 classes.

Layer and tensor names are those of torchvision for ResNet, those of the paper for VGG. Dropout is
left out: it has no parameters, and its mask is small beside the activations.
"""

from __future__ import annotations

from simpar.workload.builder import Builder, Output
from simpar.workload.layers import Layer

_IMAGE = (3, 224, 224)
_CLASSES = 1000

_RESNET_50_BLOCKS = (3, 4, 6, 3)
"""Bottleneck blocks of each stage: He et al., arXiv:1512.03385, Table 1, 50-layer."""

_VGG = {
    11: (1, 1, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
}
"""Convolutions of each stage: Simonyan and Zisserman, arXiv:1409.1556, Table 1, columns A and D."""


def resnet_50(dtype_bytes: int, *, stride_in_3x3: bool = True) -> tuple[Layer, ...]:
    """Return the layers of ResNet-50.

    Args:
        dtype_bytes: bytes of one element of an activation.
        stride_in_3x3: where a stage's first block halves the image: in its 3x3 convolution, as
            torchvision and most training code do ("v1.5"), or in its first 1x1, as the paper has it.

    Source: He et al., arXiv:1512.03385, Table 1; torchvision.models.resnet50.
    """
    net = Builder(dtype_bytes)
    x = net.conv("conv1", net.data(*_IMAGE), 64, kernel=7, stride=2, padding=3)
    x = net.norm("bn1", x)
    x = net.max_pool("maxpool", x, kernel=3, stride=2, padding=1)
    for stage, blocks in enumerate(_RESNET_50_BLOCKS):
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            name = f"layer{stage + 1}.{block}"
            x = _bottleneck(net, name, x, 64 * 2**stage, stride, stride_in_3x3)
    x = net.global_avg_pool("avgpool", x)
    net.linear("fc", net.flatten(x), _CLASSES)
    return net.layers()


def _bottleneck(net: Builder, name: str, x: Output, width: int, stride: int, stride_in_3x3: bool) -> Output:
    """Add a 1x1, a 3x3 and a 1x1 convolution beside a shortcut, which is a 1x1 where shapes change."""
    first, second = (1, stride) if stride_in_3x3 else (stride, 1)
    channels = 4 * width
    y = net.norm(f"{name}.bn1", net.conv(f"{name}.conv1", x, width, kernel=1, stride=first))
    y = net.norm(f"{name}.bn2", net.conv(f"{name}.conv2", y, width, kernel=3, stride=second, padding=1))
    y = net.norm(f"{name}.bn3", net.conv(f"{name}.conv3", y, channels, kernel=1))
    if y.shape != x.shape:
        x = net.conv(f"{name}.downsample.0", x, channels, kernel=1, stride=stride)
        x = net.norm(f"{name}.downsample.1", x)
    return net.add(f"{name}.add", y, x)


def vgg_11(dtype_bytes: int) -> tuple[Layer, ...]:
    """Return the layers of VGG-11 (configuration A) for activations of *dtype_bytes* an element."""
    return _vgg(11, dtype_bytes)


def vgg_16(dtype_bytes: int) -> tuple[Layer, ...]:
    """Return the layers of VGG-16 (configuration D) for activations of *dtype_bytes* an element."""
    return _vgg(16, dtype_bytes)


def _vgg(depth: int, dtype_bytes: int) -> tuple[Layer, ...]:
    """Add stages of 3x3 convolutions, each closed by a pooling, then three linear layers."""
    net = Builder(dtype_bytes)
    x = net.data(*_IMAGE)
    for stage, convolutions in enumerate(_VGG[depth], start=1):
        for i in range(1, convolutions + 1):
            channels = min(512, 32 * 2**stage)
            x = net.conv(f"conv{stage}_{i}", x, channels, kernel=3, padding=1, bias=True)
        x = net.max_pool(f"pool{stage}", x, kernel=2, stride=2)
    x = net.linear("fc6", net.flatten(x), 4096)
    x = net.linear("fc7", x, 4096)
    net.linear("fc8", x, _CLASSES)
    return net.layers()
