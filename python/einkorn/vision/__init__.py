"""Computer vision on compiled kernels: cascades (Viola and Jones 2001), YOLO, their figures and pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from einkorn._later import later

# What is reached as einkorn.vision.NAME, and the module it lives in.
_HOMES = {
    "COLORS": "drawing",
    "CascadeDetector": "cascade",
    "PrecisionRecall": "evaluation",
    "SHAPES": "scenes",
    "Scenes": "scenes",
    "YoloGrid": "yolo",
    "YoloLoss": "yolo",
    "anchor_clusters": "targets",
    "average_precision": "evaluation",
    "chosen_boxes": "yolo",
    "coco_evaluation": "evaluation",
    "complete_box_iou_loss": "losses",
    "dice_loss": "losses",
    "distance_box_iou_loss": "losses",
    "draw_boxes": "drawing",
    "draw_segmentation": "drawing",
    "generalized_box_iou_loss": "losses",
    "pack_targets": "targets",
    "placed_digits": "scenes",
    "plot_detections": "plot",
    "plot_precision_recall": "drawing",
    "precision_recall": "evaluation",
    "shape_scenes": "scenes",
    "sigmoid_focal_loss": "losses",
    "voc_map": "evaluation",
}

__all__ = [*_HOMES]

if TYPE_CHECKING:
    from einkorn.vision.cascade import CascadeDetector
    from einkorn.vision.drawing import COLORS, draw_boxes, draw_segmentation, plot_precision_recall
    from einkorn.vision.evaluation import (
        PrecisionRecall,
        average_precision,
        coco_evaluation,
        precision_recall,
        voc_map,
    )
    from einkorn.vision.losses import (
        complete_box_iou_loss,
        dice_loss,
        distance_box_iou_loss,
        generalized_box_iou_loss,
        sigmoid_focal_loss,
    )
    from einkorn.vision.plot import plot_detections
    from einkorn.vision.scenes import SHAPES, Scenes, placed_digits, shape_scenes
    from einkorn.vision.targets import anchor_clusters, pack_targets
    from einkorn.vision.yolo import YoloGrid, YoloLoss, chosen_boxes

__getattr__, __dir__ = later(__name__, _HOMES)
