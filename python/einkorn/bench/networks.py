"""The larger networks of the training rows, twice: in einkorn.nn as its users write them, and in torch.nn.

Ours use what is fused there: ``activation=`` on layers, ``residual=`` on a batch norm, a sum with its norm,
attention of one packed projection. Both sides have the same layers of the same sizes.
"""

from __future__ import annotations

from typing import Any

from einkorn import nn, ops

__all__ = ["CharRecurrent", "Gpt", "ResNet18", "dcgan", "torch_dcgan", "torch_networks"]

_WIDTHS = (64, 128, 256, 512)  # channels of a ResNet-18's four stages, two blocks each


class _BasicBlock(nn.Module):
    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width, activation="relu")
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width, activation="relu")
        self.shortcut: Any = None
        if stride != 1 or channels != width:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width)
            )

    def forward(self, x: Any) -> Any:
        way = x if self.shortcut is None else self.shortcut(x)
        return self.bn2(self.conv2(self.bn1(self.conv1(x))), residual=way)


class ResNet18(nn.Module):
    """He et al. 2016 for 32x32 images: a 3x3 stem and no pool behind it."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Conv2d(3, 64, 3, 1, 1, bias=False),
            nn.BatchNorm2d(64, activation="relu"),
        ]
        channels = 64
        for width in _WIDTHS:
            layers += [_BasicBlock(channels, width, 1 if width == 64 else 2), _BasicBlock(width, width, 1)]
            channels = width
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Any) -> Any:
        return self.layers(x)


class CharRecurrent(nn.Module):
    """Characters in, scores of the next ones out, through two recurrent layers of 256."""

    def __init__(self, kind: str, characters: int = 65, width: int = 256) -> None:
        super().__init__()
        self.embedding = nn.Embedding(characters, width)
        self.rnn = getattr(nn, kind)(width, width, num_layers=2, batch_first=True)
        self.head = nn.Linear(width, characters)

    def forward(self, tokens: Any) -> Any:
        return ops.reshape(self.head(self.rnn(self.embedding(tokens))[0]), (tokens.size, -1))


class _GptBlock(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_2 = nn.LayerNorm(width)
        self.fc = nn.Linear(width, 4 * width)
        self.proj = nn.Linear(4 * width, width)

    def forward(self, x: Any) -> Any:
        h = self.ln_1(x)
        h = self.attn(h, h, h, need_weights=False, is_causal=True)[0]
        norm = self.ln_2
        x, h = ops.add_layer_norm(x, h, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
        return x + self.proj(ops.gelu(self.fc(h)))


class Gpt(nn.Module):
    """A decoder of the GPT-2 kind: learned positions, norms before the blocks."""

    def __init__(self, layers: int, width: int, heads: int, length: int, characters: int = 65) -> None:
        super().__init__()
        self.wte = nn.Embedding(characters, width)
        self.wpe = nn.Embedding(length, width)
        self.blocks = nn.Sequential(*(_GptBlock(width, heads) for _ in range(layers)))
        self.ln_f = nn.LayerNorm(width)
        self.head = nn.Linear(width, characters, bias=False)

    def forward(self, tokens: Any) -> Any:
        h = self.blocks(self.wte(tokens) + self.wpe.weight)
        return ops.reshape(self.head(self.ln_f(h)), (tokens.size, -1))


def dcgan() -> tuple[nn.Module, nn.Module]:
    """Generator and discriminator for 3x64x64 images (Radford et al. 2016)."""
    generator: list[nn.Module] = []
    channels = 100
    for i, width in enumerate((512, 256, 128, 64)):
        generator += [
            nn.ConvTranspose2d(channels, width, 4, min(i + 1, 2), min(i, 1), bias=False),
            nn.BatchNorm2d(width, activation="relu"),
        ]
        channels = width
    generator += [nn.ConvTranspose2d(64, 3, 4, 2, 1, bias=False), nn.Tanh()]
    discriminator: list[nn.Module] = [nn.Conv2d(3, 64, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
    for width in (128, 256, 512):
        discriminator += [
            nn.Conv2d(width // 2, width, 4, 2, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.LeakyReLU(0.2),
        ]
    discriminator += [nn.Conv2d(512, 1, 4, bias=False), nn.Flatten(0)]
    return nn.Sequential(*generator), nn.Sequential(*discriminator)


def torch_networks(torch: Any) -> Any:
    """The same networks as classes of torch modules, in a namespace: ResNet18, CharRecurrent, Gpt."""
    from types import SimpleNamespace

    nn, functional = torch.nn, torch.nn.functional

    class BasicBlock(nn.Module):  # type: ignore[name-defined]
        def __init__(self, channels: int, width: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(width)
            self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(width)
            self.shortcut = nn.Sequential()
            if stride != 1 or channels != width:
                self.shortcut = nn.Sequential(
                    nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width)
                )

        def forward(self, x: Any) -> Any:
            out = functional.relu(self.bn1(self.conv1(x)))
            return functional.relu(self.bn2(self.conv2(out)) + self.shortcut(x))

    def resnet18() -> Any:
        layers = [nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
        channels = 64
        for width in _WIDTHS:
            layers += [BasicBlock(channels, width, 1 if width == 64 else 2), BasicBlock(width, width, 1)]
            channels = width
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))

    class CharRecurrent(nn.Module):  # type: ignore[name-defined]
        def __init__(self, kind: str, characters: int = 65, width: int = 256) -> None:
            super().__init__()
            self.embedding = nn.Embedding(characters, width)
            self.rnn = getattr(nn, kind)(width, width, num_layers=2, batch_first=True)
            self.head = nn.Linear(width, characters)

        def forward(self, tokens: Any) -> Any:
            return self.head(self.rnn(self.embedding(tokens))[0]).flatten(0, 1)

    class GptBlock(nn.Module):  # type: ignore[name-defined]
        def __init__(self, width: int, heads: int) -> None:
            super().__init__()
            self.heads = heads
            self.ln_1 = nn.LayerNorm(width)
            self.c_attn = nn.Linear(width, 3 * width)
            self.c_proj = nn.Linear(width, width)
            self.ln_2 = nn.LayerNorm(width)
            self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

        def forward(self, x: Any) -> Any:
            shape = x.shape
            parts = self.c_attn(self.ln_1(x)).split(shape[-1], dim=2)
            q, k, v = (part.view(*shape[:2], self.heads, -1).transpose(1, 2) for part in parts)
            y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.c_proj(y.transpose(1, 2).reshape(shape))
            return x + self.mlp(self.ln_2(x))

    class Gpt(nn.Module):  # type: ignore[name-defined]
        def __init__(self, layers: int, width: int, heads: int, length: int, characters: int = 65) -> None:
            super().__init__()
            self.wte = nn.Embedding(characters, width)
            self.wpe = nn.Embedding(length, width)
            self.blocks = nn.Sequential(*(GptBlock(width, heads) for _ in range(layers)))
            self.ln_f = nn.LayerNorm(width)
            self.head = nn.Linear(width, characters, bias=False)

        def forward(self, tokens: Any) -> Any:
            h = self.blocks(self.wte(tokens) + self.wpe.weight)
            return self.head(self.ln_f(h)).flatten(0, 1)

    return SimpleNamespace(ResNet18=resnet18, CharRecurrent=CharRecurrent, Gpt=Gpt)


def torch_dcgan(torch: Any) -> tuple[Any, Any]:
    """:func:`dcgan` in torch's modules."""
    nn = torch.nn
    generator: list[Any] = []
    channels = 100
    for i, width in enumerate((512, 256, 128, 64)):
        generator += [
            nn.ConvTranspose2d(channels, width, 4, min(i + 1, 2), min(i, 1), bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        ]
        channels = width
    generator += [nn.ConvTranspose2d(64, 3, 4, 2, 1, bias=False), nn.Tanh()]
    discriminator = [nn.Conv2d(3, 64, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True)]
    for width in (128, 256, 512):
        discriminator += [
            nn.Conv2d(width // 2, width, 4, 2, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.LeakyReLU(0.2, inplace=True),
        ]
    discriminator += [nn.Conv2d(512, 1, 4, bias=False), nn.Flatten(0)]
    return nn.Sequential(*generator), nn.Sequential(*discriminator)
