"""CLIP: images and texts in one space, learned from pairs (Radford et al. 2021)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from einkorn import no_grad, ops
from einkorn.errors import ArgumentError, ShapeError
from einkorn.models._inputs import kept_of, plain, tokens_of
from einkorn.models._pretrained import Pretrained
from einkorn.models._towers import Blocks, Patches, resized_positions
from einkorn.nn import Embedding, LayerNorm, Linear, Module, init
from einkorn.nn.parameter import Parameter, blank

__all__ = ["CLIP", "CLIP_SIZES"]

#: Image size, patch size, the image tower's width, layers and heads, the text tower's, and the common width.
CLIP_SIZES = {
    "ViT-B/32": (224, 32, (768, 12, 12), (512, 12, 8), 512),
    "ViT-B/16": (224, 16, (768, 12, 12), (512, 12, 8), 512),
    "ViT-L/14": (224, 14, (1024, 24, 16), (768, 12, 12), 768),
    "ViT-L/14@336": (336, 14, (1024, 24, 16), (768, 12, 12), 768),
}

_TOWER = {
    "hidden_act": "quick_gelu",
    "attention_dropout": 0.0,
    "layer_norm_eps": 1e-5,
}
_TEXT = {
    "vocab_size": 49408,
    "max_position_embeddings": 77,
    "hidden_size": 512,
    "num_hidden_layers": 12,
    "num_attention_heads": 8,
    "intermediate_size": 2048,
    "eos_token_id": 49407,
    **_TOWER,
}
_VISION = {
    "image_size": 224,
    "patch_size": 32,
    "num_channels": 3,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    **_TOWER,
}


class _TextEmbeddings(Module):
    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.token_embedding = Embedding(config["vocab_size"], config["hidden_size"])
        self.position_embedding = Embedding(config["max_position_embeddings"], config["hidden_size"])

    def forward(self, tokens: Any) -> Any:
        return self.token_embedding(tokens) + self.position_embedding(np.arange(tokens.shape[1]))


class _TextTower(Module):
    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self._end, self._most = config["eos_token_id"], config["max_position_embeddings"]
        self.embeddings = _TextEmbeddings(config)
        self.encoder = Blocks("CLIP", config)
        self.final_layer_norm = LayerNorm(config["hidden_size"], config["layer_norm_eps"])

    def forward(self, tokens: Any, kept: Any) -> Any:
        if tokens.shape[1] > self._most:
            raise ArgumentError(f"CLIP: {tokens.shape[1]} tokens exceed max_position_embeddings {self._most}")
        mask = None if kept is None else kept[:, None, None, :]
        x = self.final_layer_norm(self.encoder(self.embeddings(tokens), mask, True))
        # A text is read off its end; the files that say 2 have the highest token there.
        ends = tokens.argmax(1) if self._end == 2 else (tokens == self._end).argmax(1)
        return ops.getitem(x, (np.arange(len(tokens)), ends))


class _VisionEmbeddings(Module):
    class_embedding: Parameter

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        width, image, patch = config["hidden_size"], config["image_size"], config["patch_size"]
        self.class_embedding = blank(width)
        self.patch_embedding = Patches("CLIP", config["num_channels"], width, image, patch, False)
        self._side, self._patch = image // patch, patch
        self.position_embedding = Embedding(self._side**2 + 1, width)

    def forward(self, images: Any, any_size: bool) -> Any:
        x = self.patch_embedding.squares(images, any_size)
        first = ops.broadcast_to(self.class_embedding, (x.shape[0], 1, x.shape[2]))
        size = (images.shape[2] // self._patch, images.shape[3] // self._patch)
        return ops.cat([first, x], 1) + resized_positions(self.position_embedding.weight, self._side, size)


class _VisionTower(Module):
    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        width, eps = config["hidden_size"], config["layer_norm_eps"]
        self.embeddings = _VisionEmbeddings(config)
        self.pre_layrnorm = LayerNorm(width, eps)  # the published files' spelling
        self.encoder = Blocks("CLIP", config)
        self.post_layernorm = LayerNorm(width, eps)

    def forward(self, images: Any, any_size: bool) -> Any:
        x = self.encoder(self.pre_layrnorm(self.embeddings(images, any_size)))
        return self.post_layernorm(ops.getitem(x, (slice(None), 0)))


class CLIP(Pretrained, Module):
    """A tower for texts and one for images; what belongs together points the same way.

    Parameters
    ----------
    text_config : mapping, optional
        Of the text tower: vocab_size, max_position_embeddings, hidden_size, num_hidden_layers,
        num_attention_heads, intermediate_size, eos_token_id, hidden_act, attention_dropout, layer_norm_eps;
        those of ViT-B/32 where not given.
    vision_config : mapping, optional
        Of the image tower: image_size, patch_size, num_channels, and as above.
    projection_dim : int, default 512
        Width of the common space.
    logit_scale_init_value : float, keyword-only, default 2.6592
        Logarithm of what cosines are multiplied with at first; it is learned.

    Notes
    -----
    Names of the state are those of Hugging Face's ``CLIPModel``.

    Raises
    ------
    ArgumentError
        An option is unknown or out of its range.
    """

    logit_scale: Parameter

    def __init__(
        self,
        text_config: Mapping[str, Any] | None = None,
        vision_config: Mapping[str, Any] | None = None,
        projection_dim: int = 512,
        *,
        logit_scale_init_value: float = 2.6592,
    ) -> None:
        super().__init__()
        text, vision = (
            _whole("text_config", _TEXT, text_config),
            _whole("vision_config", _VISION, vision_config),
        )
        self.text_model, self.vision_model = _TextTower(text), _VisionTower(vision)
        self.visual_projection = Linear(vision["hidden_size"], projection_dim, bias=False)
        self.text_projection = Linear(text["hidden_size"], projection_dim, bias=False)
        self.logit_scale = blank()
        self.config: dict[str, Any] = {
            "text_config": text,
            "vision_config": vision,
            "projection_dim": int(projection_dim),
            "logit_scale_init_value": float(logit_scale_init_value),
        }
        self.reset_parameters()

    @classmethod
    def of_size(cls, size: str, **options: Any) -> CLIP:
        """A model of the published sizes.

        Parameters
        ----------
        size : str
            One of ``CLIP_SIZES``: "ViT-B/32" to "ViT-L/14@336".
        **options
            As of the class.
        """
        if size not in CLIP_SIZES:
            raise ArgumentError(f"CLIP.of_size: size is {size!r}, expected one of {', '.join(CLIP_SIZES)}")
        image, patch, vision, text, common = CLIP_SIZES[size]

        def tower(sizes: tuple[int, int, int]) -> dict[str, int]:
            names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
            return dict(zip(names, (*sizes, 4 * sizes[0]), strict=True))

        own: dict[str, Any] = {
            "text_config": tower(text),
            "vision_config": {"image_size": image, "patch_size": patch, **tower(vision)},
            "projection_dim": common,
        }
        return cls(**{**own, **options})

    def reset_parameters(self) -> None:
        """Draw new initial values: deviations by width and depth, as section 2.4 of the paper has them."""
        for tower, config in ((self.text_model, "text_config"), (self.vision_model, "vision_config")):
            own: Any = self.config[config]
            width, depth = own["hidden_size"], own["num_hidden_layers"]
            for name, parameter in tower.named_parameters():
                if name.endswith("bias"):
                    init.zeros_(parameter)
                elif name.endswith("class_embedding"):
                    init.normal_(parameter, 0.0, width**-0.5)
                elif parameter.ndim > 1:
                    deep = ("q_proj.weight", "k_proj.weight", "v_proj.weight", "fc2.weight")
                    deviation = width**-0.5 * (2 * depth) ** -0.5 if name.endswith(deep) else width**-0.5
                    deviation = (2 * width) ** -0.5 if name.endswith("fc1.weight") else deviation
                    init.normal_(parameter, 0.0, 0.02 if "embedding" in name else deviation)
        for projection in (self.visual_projection, self.text_projection):
            init.normal_(projection.weight, 0.0, projection.in_features**-0.5)
        init.constant_(self.logit_scale, self.config["logit_scale_init_value"])

    def text_features(self, input_ids: Any, attention_mask: Any = None) -> Any:
        """Texts in the common space, [batch, projection_dim], of any length.

        Parameters
        ----------
        input_ids : integer array [batch, length]
            Each ends with the tower's eos_token_id; what follows it does not count.
        attention_mask : array [batch, length], optional
        """
        tokens = tokens_of("CLIP", "input_ids", input_ids)
        kept = kept_of("CLIP", "attention_mask", attention_mask, tokens.shape)
        return self.text_projection(self.text_model(tokens, kept))

    def image_features(self, pixel_values: Any, *, interpolate_pos_encoding: bool = False) -> Any:
        """Images [batch, channels, height, width] in the common space, [batch, projection_dim]."""
        return self.visual_projection(self.vision_model(pixel_values, interpolate_pos_encoding))

    def forward(self, input_ids: Any, pixel_values: Any, attention_mask: Any = None) -> tuple[Any, Any]:
        """Scaled cosines of all images and texts.

        Parameters
        ----------
        input_ids : integer array [texts, length]
        pixel_values : array or Tensor [images, channels, height, width]
        attention_mask : array [texts, length], optional

        Returns
        -------
        logits_per_image : array or Tensor [images, texts]
        logits_per_text : array or Tensor [texts, images]
        """
        texts = _unit(self.text_features(input_ids, attention_mask))
        images = _unit(self.image_features(pixel_values))
        of_text = ops.linear(texts, images) * ops.exp(self.logit_scale)
        return ops.transpose(of_text, 0, 1), of_text

    def loss(self, input_ids: Any, pixel_values: Any, attention_mask: Any = None) -> Any:
        """How badly text i and image i find each other: the mean of both cross-entropies (figure 3)."""
        of_image, of_text = self.forward(input_ids, pixel_values, attention_mask)
        if of_text.shape[0] != of_text.shape[1]:
            raise ShapeError(
                f"CLIP.loss: {of_text.shape[0]} texts and {of_text.shape[1]} images, expected pairs"
            )
        own = np.arange(of_text.shape[0])
        return (ops.cross_entropy(of_text, own) + ops.cross_entropy(of_image, own)) * 0.5

    def zero_shot(self, prompts: Sequence[Any]) -> ZeroShotClassifier:
        """A classifier of images from texts that say what the classes are.

        Parameters
        ----------
        prompts : sequence of integer arrays, one a class
            Each [texts, length] or [length]: "a photo of a dog.", "a drawing of a dog."; the mean of their
            directions is the class's (section 3.1.4).

        Returns
        -------
        callable
            Images [batch, channels, height, width] to probabilities [batch, classes].
        """
        if not len(prompts):
            raise ArgumentError("CLIP.zero_shot: there are no classes")
        training = self.training
        self.eval()
        try:
            with no_grad():
                rows = [
                    plain(_unit(self.text_features(np.atleast_2d(plain(texts))))).mean(0) for texts in prompts
                ]
        finally:
            self.train(training)
        return ZeroShotClassifier(self, np.stack(rows))


class ZeroShotClassifier:
    """Probabilities of classes that texts describe; of :meth:`CLIP.zero_shot`."""

    def __init__(self, model: CLIP, directions: Any) -> None:
        self._model = model
        self.directions = directions / np.linalg.norm(directions, axis=1, keepdims=True)

    def __call__(self, pixel_values: Any) -> Any:
        """Probabilities [batch, classes] of images [batch, channels, height, width]."""
        training = self._model.training
        self._model.eval()
        try:
            with no_grad():
                images = _unit(self._model.image_features(pixel_values))
                scale = math.exp(float(plain(self._model.logit_scale)))
                return plain(ops.softmax(ops.linear(images, self.directions) * scale, -1))
        finally:
            self._model.train(training)


def _unit(x: Any) -> Any:
    return x / ops.norm(x, 2, -1, True)


def _whole(name: str, defaults: dict[str, Any], given: Mapping[str, Any] | None) -> dict[str, Any]:
    unknown = set(given or {}) - set(defaults)
    if unknown:
        raise ArgumentError(
            f"CLIP: {name} has {sorted(unknown)[0]!r}, expected only {', '.join(sorted(defaults))}"
        )
    return {**defaults, **(given or {})}
