"""Networks of the paper's experiments, for images of any size, as skorch nets.

`SmallResidual` is made for a processor; ResNet-18, ResNet-50 and VGG-19 are those of the
paper, in the form for small images: a first convolution of 3 x 3 without pooling.

He, Zhang, Ren, Sun, "Deep residual learning for image recognition", CVPR 2016.
Simonyan, Zisserman, "Very deep convolutional networks for large-scale image recognition",
ICLR 2015; with batch norm.
"""

import torch
from skorch import NeuralNetClassifier
from skorch.callbacks import LRScheduler
from torch import nn

FINETUNE_EPOCHS = 3
VGG19 = (64, 64, "M", 128, 128, "M", *[256] * 4, "M", *[512] * 4, "M", *[512] * 4, "M")


def convolution(n_in, n_out, size, stride=1):
    """Convolution without bias, then batch norm."""
    layer = nn.Conv2d(n_in, n_out, size, stride, size // 2, bias=False)
    return [layer, nn.BatchNorm2d(n_out)]


class Residual(nn.Module):
    """Sum of a branch and a shortcut, which is a 1 x 1 convolution where shapes differ.

    Parameters
    ----------
    n_in, width, stride : int
        Channels that come in, channels of the branch, and its stride.
    bottleneck : bool
        Whether the branch is 1 x 1, 3 x 3, 1 x 1 (out come 4 * width channels) in the place
        of twice 3 x 3.
    """

    def __init__(self, n_in, width, stride, bottleneck=False):
        super().__init__()
        if bottleneck:
            n_out = 4 * width
            branch = convolution(n_in, width, 1) + [nn.ReLU()]
            branch += convolution(width, width, 3, stride) + [nn.ReLU()]
            branch += convolution(width, n_out, 1)
        else:
            n_out = width
            branch = convolution(n_in, width, 3, stride) + [nn.ReLU()]
            branch += convolution(width, width, 3)
        self.branch, self.shortcut = nn.Sequential(*branch), nn.Sequential()
        if n_in != n_out or stride != 1:
            self.shortcut = nn.Sequential(*convolution(n_in, n_out, 1, stride))
        self.n_out = n_out

    def forward(self, images):
        """Add branch and shortcut."""
        return torch.relu(self.branch(images) + self.shortcut(images))


class ResidualNet(nn.Module):
    """Residual network: first convolution, stages of blocks, mean over the pixels, linear.

    Parameters
    ----------
    n_channels, n_classes : int
        Of the images, and of the outputs.
    widths : tuple of int
        Channels of each stage; every stage after the first halves the image.
    blocks : tuple of int
        Blocks of each stage.
    bottleneck : bool
        See `Residual`.
    first_stride : int
        Stride of the first convolution.
    """

    def __init__(
        self, n_channels, n_classes, widths, blocks, bottleneck=False, first_stride=1
    ):
        super().__init__()
        layers = convolution(n_channels, widths[0], 3, first_stride) + [nn.ReLU()]
        channels = widths[0]
        for stage, (width, repeats) in enumerate(zip(widths, blocks, strict=True)):
            for k in range(repeats):
                stride = 2 if stage and not k else 1
                layers.append(Residual(channels, width, stride, bottleneck))
                channels = layers[-1].n_out
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.output = nn.Linear(channels, n_classes)
        self.to(memory_format=torch.channels_last)

    def forward(self, images):
        """Give the logits."""
        images = images.contiguous(memory_format=torch.channels_last)
        return self.output(self.features(images))


class SmallResidual(ResidualNet):
    """About 77,000 weights in three residual blocks."""

    def __init__(self, n_channels, n_classes):
        super().__init__(n_channels, n_classes, (16, 32, 64), (1, 1, 1), first_stride=2)


class ResNet18(ResidualNet):
    """11 million weights."""

    def __init__(self, n_channels, n_classes):
        super().__init__(n_channels, n_classes, (64, 128, 256, 512), (2, 2, 2, 2))


class ResNet50(ResidualNet):
    """24 million weights."""

    def __init__(self, n_channels, n_classes):
        widths, blocks = (64, 128, 256, 512), (3, 4, 6, 3)
        super().__init__(n_channels, n_classes, widths, blocks, bottleneck=True)


class Vgg19(nn.Sequential):
    """Sixteen convolutions with batch norm and three linear layers, 39 million weights."""

    def __init__(self, n_channels, n_classes):
        layers, channels = [], n_channels
        for width in VGG19:
            if width == "M":
                layers.append(nn.MaxPool2d(2))
            else:
                layers += convolution(channels, width, 3) + [nn.ReLU()]
                channels = width
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        for n_in in (512, 4096):
            layers += [nn.Linear(n_in, 4096), nn.ReLU(), nn.Dropout(0.5)]
        super().__init__(*layers, nn.Linear(4096, n_classes))


NETWORKS = {
    "small": SmallResidual,
    "resnet18": ResNet18,
    "resnet50": ResNet50,
    "vgg19": Vgg19,
}


def make_net(name, n_channels, n_classes, *, epochs, device="cpu", lr=0.003, batch_size=128):
    """Skorch net around a network of `NETWORKS`.

    The learning rate falls along a cosine and starts again every `FINETUNE_EPOCHS` epochs
    (Loshchilov, Hutter, "SGDR", ICLR 2017), so that the dense training and every
    fine-tuning end at a low rate, whatever their length.
    """
    return NeuralNetClassifier(
        NETWORKS[name],
        module__n_channels=n_channels,
        module__n_classes=n_classes,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.AdamW,
        optimizer__fused=True,
        optimizer__weight_decay=0.01,
        lr=lr,
        batch_size=batch_size,
        max_epochs=epochs,
        iterator_train__shuffle=True,
        train_split=None,
        callbacks=[
            (
                "cosine",
                LRScheduler(
                    torch.optim.lr_scheduler.CosineAnnealingWarmRestarts, T_0=FINETUNE_EPOCHS
                ),
            )
        ],
        device=device,
        verbose=0,
    )
