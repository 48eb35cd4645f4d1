"""Boxes: worked numbers, torchvision's, suppression of many, and what is refused."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import einkorn
from einkorn import ops
from einkorn.errors import ArgumentError, ShapeError


def heaps(count, seed=0):
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 200, (count, 2))
    boxes = np.concatenate([low, low + rng.uniform(5, 40, (count, 2))], 1).astype(np.float32)
    return boxes, rng.uniform(size=count).astype(np.float32)


def test_worked_ratios():
    a, b = np.array([[0.0, 0, 2, 2]]), np.array([[1.0, 1, 3, 3], [0, 0, 2, 2], [4, 0, 5, 1]])
    assert_allclose(ops.box_iou(a, b), [[1 / 7, 1, 0]])
    assert_allclose(ops.generalized_box_iou(a, b), [[1 / 7 - 2 / 9, 1, -5 / 10]])
    assert_allclose(ops.distance_box_iou(a, b), [[1 / 7 - 2 / 18, 1, -(3.5**2 + 0.5**2) / 29]], rtol=1e-6)
    assert_allclose(ops.complete_box_iou(a, b), ops.distance_box_iou(a, b))  # all are squares
    assert np.isnan(ops.box_iou(np.zeros((1, 4)), np.zeros((1, 4)))[0, 0])
    assert_allclose(ops.box_area(b), [4, 4, 1])
    assert_allclose(ops.box_convert(b, "xyxy", "cxcywh")[0], [2, 2, 2, 2])


def greedy(boxes, scores, limit, classes=None):
    kept = []
    ratios = ops.box_iou(boxes, boxes)
    for i in np.argsort(-scores, kind="stable"):
        rivals = [j for j in kept if classes is None or classes[i] == classes[j]]
        if not (ratios[i, rivals] > limit).any():
            kept.append(i)
    return kept


@pytest.mark.parametrize("limit", [0.1, 0.5, 1.0])
def test_suppression_of_many(limit):
    boxes, scores = heaps(700)
    found = ops.nms(boxes, scores, limit)
    assert found.dtype == np.int64
    assert found.tolist() == greedy(boxes, scores, limit)
    classes = np.random.default_rng(1).integers(0, 5, 700)
    assert ops.batched_nms(boxes, scores, classes, limit).tolist() == greedy(boxes, scores, limit, classes)
    tensors = einkorn.tensor(boxes, requires_grad=True), einkorn.tensor(scores, requires_grad=True)
    assert ops.nms(*tensors, limit).tolist() == found.tolist()


def test_soft_suppression_lowers_scores():
    boxes = np.array([[0.0, 0, 10, 10], [1, 0, 11, 10], [30, 30, 40, 40]])
    scores = np.array([0.9, 0.8, 0.7])
    iou = 9 / 11
    kept, values = ops.soft_nms(boxes, scores)
    assert kept.tolist() == [0, 2, 1]
    assert_allclose(values, [0.9, 0.7, 0.8 * np.exp(-(iou**2) / 0.5)])
    kept, values = ops.soft_nms(boxes, scores, method="linear", score_threshold=0.2)
    assert kept.tolist() == [0, 2]
    assert_allclose(ops.soft_nms(boxes, scores, method="linear")[1][2], 0.8 * (1 - iou))


def softened(boxes, scores, least, gaussian):
    """The paper's algorithm, a box at a time."""
    left, taken = scores.astype(np.float64), []
    while (left >= least).any():
        best = int(np.where(left >= least, left, -np.inf).argmax())
        taken.append((best, left[best]))
        iou = np.nan_to_num(
            ops.box_iou(boxes[best : best + 1].astype(np.float64), boxes.astype(np.float64))[0]
        )
        left *= np.exp(-(iou**2) / 0.5) if gaussian else np.where(iou > 0.3, 1 - iou, 1)
        left[best] = np.nan
    return taken


@pytest.mark.parametrize("method", ["gaussian", "linear"])
def test_soft_suppression_of_many(method):
    boxes, scores = heaps(150)
    scores = np.round(scores * 16) / 16  # of equals the first
    boxes[7] = boxes[8] = 0  # nothing by nothing
    scores[3] = np.nan
    wanted = softened(boxes, scores, 0.1, method == "gaussian")
    for dtype in (np.float32, np.float64):
        kept, values = ops.soft_nms(boxes.astype(dtype), scores.astype(dtype), 0.3, 0.5, 0.1, method=method)
        assert kept.dtype == np.int64
        assert values.dtype == dtype
        assert kept.tolist() == [place for place, _ in wanted]
        assert_allclose(values, [value for _, value in wanted], rtol=1e-5)
    kept, values = ops.soft_nms(
        boxes, scores.astype(np.float64), score_threshold=-np.inf
    )  # none falls but NaN
    assert (sorted(kept.tolist()), values.dtype) == ([i for i in range(150) if i != 3], np.float64)


def test_soft_suppression_leaves_other_classes_alone():
    boxes, scores = heaps(120)
    classes = np.random.default_rng(1).integers(0, 4, 120)
    kept, values = ops.soft_nms(boxes, scores, idxs=classes)
    assert (np.diff(values) <= 0).all()
    for each in range(4):
        (mine,) = np.nonzero(classes == each)
        alone, lowered = ops.soft_nms(boxes[mine], scores[mine])
        assert kept[classes[kept] == each].tolist() == mine[alone].tolist()
        assert_allclose(values[classes[kept] == each], lowered)
    apart = boxes + 1000 * classes[:, None].astype(np.float32)
    assert set(ops.soft_nms(apart, scores)[0].tolist()) == set(kept.tolist())
    assert ops.soft_nms(boxes[:0], scores[:0], idxs=classes[:0])[0].shape == (0,)
    with pytest.raises(ShapeError, match=r"soft_nms: idxs has shape \(1,\)"):
        ops.soft_nms(boxes, scores, idxs=[0])


def test_gradients_of_the_complete_ratio_are_torchvisions():
    torch, vision = pytest.importorskip("torch"), pytest.importorskip("torchvision")
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 3, (5, 2))
    a = np.concatenate([low, low + rng.uniform(1, 4, (5, 2))], 1)
    b = a + rng.uniform(0, 0.5, a.shape)
    for name in ("complete_box_iou", "distance_box_iou", "generalized_box_iou", "box_iou"):
        theirs = torch.tensor(a, requires_grad=True)
        wanted = getattr(vision.ops, name)(theirs, torch.tensor(b))
        wanted.sum().backward()
        ours = einkorn.tensor(a, requires_grad=True)
        found = getattr(ops, name)(ours, b)
        found.sum().backward()
        assert_allclose(found.numpy(), wanted.detach().numpy(), rtol=1e-9)
        assert_allclose(getattr(ops, name)(a, b), wanted.detach().numpy(), rtol=1e-9)
        assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), rtol=1e-6, atol=1e-9)


def test_what_does_not_fit_is_refused():
    boxes, scores = heaps(3)
    with pytest.raises(ShapeError, match=r"nms: scores has shape \(2,\), expected \(3,\)"):
        ops.nms(boxes, scores[:2], 0.5)
    with pytest.raises(ShapeError, match=r"nms: boxes has shape \(3, 3\)"):
        ops.nms(boxes[:, :3], scores, 0.5)
    with pytest.raises(ArgumentError, match=r"iou_threshold is 1\.5"):
        ops.nms(boxes, scores, 1.5)
    with pytest.raises(ShapeError, match=r"idxs has shape \(1,\)"):
        ops.batched_nms(boxes, scores, [0], 0.5)
    with pytest.raises(ShapeError, match=r"boxes2 has shape \(4,\)"):
        ops.box_iou(boxes, boxes[0, :])
    with pytest.raises(ArgumentError, match="in_fmt is 'yxyx'"):
        ops.box_convert(boxes, "yxyx", "xyxy")
    with pytest.raises(ArgumentError, match="method is 'hard'"):
        ops.soft_nms(boxes, scores, method="hard")
