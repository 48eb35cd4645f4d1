"""Seeing inside networks of images: where their evidence lies, what they look for, how they are fooled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from einkorn._later import later

# What is reached as einkorn.explain.NAME, and the module it lives in.
_HOMES = {
    "MaximalPatches": "layers",
    "Synthesis": "synthesis",
    "activation_maximization": "fooling",
    "cam": "activation_maps",
    "deconvnet": "pixels",
    "deep_dream": "synthesis",
    "deletion_curve": "faithful",
    "feature_inversion": "synthesis",
    "fgsm": "fooling",
    "filters": "layers",
    "fooling_image": "fooling",
    "gradcam": "activation_maps",
    "gradcam_plus_plus": "activation_maps",
    "gradients": "pixels",
    "gram_matrix": "synthesis",
    "guided_backpropagation": "pixels",
    "insertion_curve": "faithful",
    "integrated_gradients": "pixels",
    "layer_activations": "layers",
    "maximal_patches": "layers",
    "model_inversion": "synthesis",
    "occlusion": "pixels",
    "pgd": "fooling",
    "plot_activations": "plot",
    "plot_filters": "plot",
    "plot_gradient": "plot",
    "plot_heatmap": "plot",
    "plot_image": "plot",
    "plot_images": "plot",
    "plot_patches": "plot",
    "plot_synthesis": "plot",
    "receptive_field": "layers",
    "smoothgrad": "pixels",
    "style_transfer": "synthesis",
    "texture_synthesis": "synthesis",
    "total_variation": "synthesis",
}

__all__ = [*_HOMES]

if TYPE_CHECKING:
    from einkorn.explain.activation_maps import cam, gradcam, gradcam_plus_plus
    from einkorn.explain.faithful import deletion_curve, insertion_curve
    from einkorn.explain.fooling import activation_maximization, fgsm, fooling_image, pgd
    from einkorn.explain.layers import (
        MaximalPatches,
        filters,
        layer_activations,
        maximal_patches,
        receptive_field,
    )
    from einkorn.explain.pixels import (
        deconvnet,
        gradients,
        guided_backpropagation,
        integrated_gradients,
        occlusion,
        smoothgrad,
    )
    from einkorn.explain.plot import (
        plot_activations,
        plot_filters,
        plot_gradient,
        plot_heatmap,
        plot_image,
        plot_images,
        plot_patches,
        plot_synthesis,
    )
    from einkorn.explain.synthesis import (
        Synthesis,
        deep_dream,
        feature_inversion,
        gram_matrix,
        model_inversion,
        style_transfer,
        texture_synthesis,
        total_variation,
    )

__getattr__, __dir__ = later(__name__, _HOMES)
