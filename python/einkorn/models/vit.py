"""ViT: a transformer that reads an image as a sequence of squares (Dosovitskiy et al. 2021)."""

from __future__ import annotations

from typing import Any

from einkorn import ops
from einkorn.errors import ArgumentError
from einkorn.models._pretrained import Pretrained
from einkorn.models._towers import Blocks, Patches, resized_positions
from einkorn.nn import Dropout, LayerNorm, Linear, Module, init
from einkorn.nn.parameter import Parameter, blank

__all__ = ["VIT_SIZES", "ViT"]

#: Layers, width, inner width and heads, as the paper's table 1 has them.
VIT_SIZES = {
    "base": (12, 768, 3072, 12),
    "large": (24, 1024, 4096, 16),
    "huge": (32, 1280, 5120, 16),
}


class _Embeddings(Module):
    cls_token: Parameter
    position_embeddings: Parameter

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        width, image, patch = config["hidden_size"], config["image_size"], config["patch_size"]
        self.patch_embeddings = Patches("ViT", config["num_channels"], width, image, patch, True)
        self._side, self._patch = image // patch, patch
        self.cls_token = blank(1, 1, width)
        self.position_embeddings = blank(1, self._side**2 + 1, width)
        self.dropout = Dropout(config["dropout"])

    def forward(self, images: Any, any_size: bool) -> Any:
        x = self.patch_embeddings.squares(images, any_size)
        first = ops.broadcast_to(self.cls_token, (x.shape[0], 1, x.shape[2]))
        size = (images.shape[2] // self._patch, images.shape[3] // self._patch)
        places = resized_positions(ops.reshape(self.position_embeddings, (-1, x.shape[2])), self._side, size)
        return self.dropout(ops.cat([first, x], 1) + places)


class ViT(Pretrained, Module):
    """Squares of an image, a token for the whole of it, and blocks of attention, norms before them.

    Parameters
    ----------
    image_size, patch_size : int, default 224, 16
        Sides of the images, and of the squares that they are cut into.
    num_labels : int or None, default 1000
        Classes; None: no head, the class token comes out.
    hidden_size, num_hidden_layers, num_attention_heads, intermediate_size : int, default 768, 12, 12, 3072
        ViT-Base's; :meth:`of_size` knows "large" and "huge".
    num_channels : int, keyword-only, default 3
    hidden_act : str, keyword-only, default "gelu"
    dropout, attention_dropout : float, keyword-only, default 0.0
    layer_norm_eps : float, keyword-only, default 1e-12

    Notes
    -----
    :func:`einkorn.models.from_pretrained` reads files of Hugging Face's ``ViTForImageClassification``.

    Raises
    ------
    ArgumentError
        A size or an option is out of its range.
    """

    def __init__(
        self,
        image_size: int = 224,
        patch_size: int = 16,
        num_labels: int | None = 1000,
        hidden_size: int = 768,
        num_hidden_layers: int = 12,
        num_attention_heads: int = 12,
        intermediate_size: int = 3072,
        *,
        num_channels: int = 3,
        hidden_act: str = "gelu",
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        layer_norm_eps: float = 1e-12,
    ) -> None:
        super().__init__()
        self.config = {
            "image_size": int(image_size),
            "patch_size": int(patch_size),
            "num_labels": None if num_labels is None else int(num_labels),
            "hidden_size": int(hidden_size),
            "num_hidden_layers": int(num_hidden_layers),
            "num_attention_heads": int(num_attention_heads),
            "intermediate_size": int(intermediate_size),
            "num_channels": int(num_channels),
            "hidden_act": hidden_act,
            "dropout": float(dropout),
            "attention_dropout": float(attention_dropout),
            "layer_norm_eps": float(layer_norm_eps),
        }
        self.embeddings = _Embeddings(self.config)
        self.encoder = Blocks("ViT", self.config)
        self.layernorm = LayerNorm(hidden_size, layer_norm_eps)
        self.classifier: Any = None if num_labels is None else Linear(hidden_size, num_labels)
        self.reset_parameters()

    @classmethod
    def of_size(cls, size: str, **options: Any) -> ViT:
        """A model of the paper's sizes.

        Parameters
        ----------
        size : "base", "large" or "huge"
        **options
            As of the class.
        """
        if size not in VIT_SIZES:
            raise ArgumentError(f"ViT.of_size: size is {size!r}, expected one of {', '.join(VIT_SIZES)}")
        layers, width, inner, heads = VIT_SIZES[size]
        sizes = {
            "hidden_size": width,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "intermediate_size": inner,
        }
        return cls(**{**sizes, **options})

    def reset_parameters(self) -> None:
        """Draw new initial values: normal of deviation .02, cut off at two of them."""
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                init.zeros_(parameter)
            elif parameter.ndim > 1:
                init.trunc_normal_(parameter, 0.0, 0.02, -0.04, 0.04)

    def hidden(self, pixel_values: Any, *, interpolate_pos_encoding: bool = False) -> Any:
        """The last layer's output [batch, 1 + squares, hidden_size], the class token first."""
        x = self.embeddings(pixel_values, interpolate_pos_encoding)
        return self.layernorm(self.encoder(x))

    def forward(self, pixel_values: Any, *, interpolate_pos_encoding: bool = False) -> Any:
        """Scores of the classes.

        Parameters
        ----------
        pixel_values : array or Tensor [batch, channels, height, width]
            Of image_size, scaled as the model was trained: published ones to -1 to 1.
        interpolate_pos_encoding : bool, keyword-only, default False
            Take images of other sizes, multiples of patch_size: positions are resized, bicubic.

        Returns
        -------
        array or Tensor [batch, num_labels], or [batch, hidden_size] without a head

        Raises
        ------
        ShapeError
            The images are of another size.
        """
        h = self.hidden(pixel_values, interpolate_pos_encoding=interpolate_pos_encoding)
        h = ops.getitem(h, (slice(None), 0))
        return h if self.classifier is None else self.classifier(h)
