"""``einkorn style``: a picture in the style of another."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from einkorn._extras import need
from einkorn.cli.networks import Named, add_network
from einkorn.cli.outputs import picture_file
from einkorn.cli.settings import add_settings, apply_settings
from einkorn.errors import ArgumentError

__all__ = ["add_style", "style"]


def add_style(commands: Any) -> None:
    """Define the command's arguments."""
    command = commands.add_parser(
        "style",
        help="paint a picture in the style of another",
        description="STYLE is a picture, whose style a network of --model carries over step by step, or the "
        ".npz file of a network that has learned one and paints at once.",
    )
    command.add_argument("content", metavar="CONTENT", help="image file")
    command.add_argument("style", metavar="STYLE", help="image file, or the weights of a fast style network")
    add_network(command, "a name of einkorn.models with --weights, for a picture as STYLE")
    command.add_argument("--out", default="styled.png", metavar="FILE", help="default: styled.png")
    command.add_argument("--overwrite", action="store_true", help="replace the picture if it is there")
    command.add_argument("--size", type=int, metavar="PIXELS", help="of the longer side (default: 256)")
    command.add_argument("--steps", type=int, default=100, metavar="N", help="default: 100")
    command.add_argument("--optimizer", choices=("lbfgs", "adam"), default="lbfgs", help="default: lbfgs")
    command.add_argument("--content-weight", type=float, default=0.05, metavar="X", help="default: 0.05")
    add_settings(command)


def style(arguments: argparse.Namespace) -> None:
    """Paint as the command line says."""
    from einkorn import models
    from einkorn.models.fast_style import fitted
    from einkorn.vision.images import load_image

    apply_settings(arguments)
    size = 256 if arguments.size is None else arguments.size
    if size < 32:
        raise ArgumentError(f"--size is {size}, expected at least 32")
    image = need("PIL.Image", "einkorn style")
    endings = [end[1:] for end, kind in image.registered_extensions().items() if kind in image.SAVE]
    file = picture_file(arguments.out, arguments.overwrite, endings)
    content = load_image(arguments.content)
    if arguments.style.endswith(".npz"):
        if arguments.model is not None:
            raise ArgumentError("--model goes with a picture as STYLE, not with a fast style network")
        painted = models.FastStyle(arguments.style).paint(content, size)
    else:
        from einkorn.explain import style_transfer

        network = Named(arguments, "einkorn style CONTENT STYLE --model ...")
        way = getattr(network.model, "preprocessing", None)
        if way is None:
            raise ArgumentError("--model: a network of einkorn.models by its name is expected")
        both = [fitted(pixels, size) for pixels in (content, load_image(arguments.style))]
        x, painting = (way.normalize((p[..., ::-1] if way.bgr else p).transpose(2, 0, 1)[None]) for p in both)
        found = style_transfer(
            network.model,
            x,
            painting,
            steps=arguments.steps,
            optimizer=arguments.optimizer,
            content_weight=arguments.content_weight,
        )
        print(f"loss {found.losses[0]:.4g} -> {min(found.losses):.4g} in {len(found.losses)} evaluations")
        painted = way.restore(found.images)[0]
    image.fromarray(np.ascontiguousarray(painted)).save(file)
    print(file)
