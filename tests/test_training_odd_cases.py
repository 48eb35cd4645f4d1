"""What users give to metrics, samplers, the image generator and Bayesian tools: meant, or refused."""

import numpy as np
import pytest

from einkorn import bayes, data, metrics, nn
from einkorn.data.augment import ImageDataGenerator
from einkorn.errors import ArgumentError, EinkornError, ShapeError

NAN = float("nan")
LABELS, SCORES = np.array([0, 1, 1, 0]), np.array([0.1, 0.9, 0.4, 0.6], np.float32)
PICTURES = np.random.default_rng(0).integers(0, 256, (10, 8, 8, 3)).astype(np.uint8)


def entered(metric, *batch):
    metric.update_state(*batch)
    return metric.result()


# --- metrics ---------------------------------------------------------------------------------------------

OF_TWO = ("AUC", "BinaryAccuracy", "Precision", "Recall", "F1Score", "ExpectedCalibrationError")
OF_NUMBERS = ("MeanAbsoluteError", "MeanSquaredError", "R2Score", "CosineSimilarity")


@pytest.mark.parametrize("name", [*OF_TWO, *OF_NUMBERS, "Accuracy"])
@pytest.mark.parametrize(
    ("batch", "error", "message"),
    [
        ((list("abca"), SCORES), ArgumentError, "y_true has the type <U1, expected real numbers"),
        ((LABELS, SCORES * 1j), ArgumentError, "y_pred has the type complex64, expected real numbers"),
        ((np.array([object()] * 4), SCORES), ArgumentError, "y_true holds objects, expected numbers"),
        ((1, 0.5), ShapeError, "y_true is a single number, expected an array of rows"),
        ((LABELS, SCORES[:3]), ShapeError, "shape"),
        ((LABELS[:, None], SCORES[:, None], [1, NAN, 1, 1]), ArgumentError, "sample_weight holds NaN"),
        ((LABELS[:, None], SCORES[:, None], list("abcd")), ArgumentError, "sample_weight has the type <U1"),
    ],
)
def test_metrics_refuse_what_is_no_number(name, batch, error, message):
    with pytest.raises(error, match=message):
        entered(getattr(metrics, name)(), *batch)


def test_metrics_take_objects_that_are_numbers_and_texts_that_are_equal():
    assert entered(metrics.MeanAbsoluteError(), np.array([1, 2.5], object), [1.0, 2.0]) == 0.25
    assert entered(metrics.Accuracy(), np.array(["a", "b"]), np.array(["a", "c"])) == 0.5


def test_classes_that_there_are_not_are_among_no_largest_scores():
    scores = np.array([[0.1, 0.2, 0.7], [0.3, 0.4, 0.3]], np.float32)
    metric = metrics.SparseTopKCategoricalAccuracy(k=2)
    assert entered(metric, np.array([2, 1]), scores) == 1.0
    metric.reset_state()
    assert entered(metric, np.array([7, -1]), scores) == 0.0


def test_nan_stays_nan_and_has_no_place_among_scores():
    scores = np.full((2, 3), NAN, np.float32)
    assert np.isnan(entered(metrics.Perplexity(), np.array([0, 1]), scores))
    for curve in (metrics.roc_curve, metrics.precision_recall_curve):
        with pytest.raises(ArgumentError, match="y_score holds NaN"):
            curve(LABELS, SCORES * NAN)


def test_a_single_row_without_an_axis_has_no_weights():
    with pytest.raises(ShapeError, match=r"cosine_similarity: y_pred has shape \(4,\), one row"):
        entered(metrics.CosineSimilarity(), LABELS, SCORES, np.ones(4))


@pytest.mark.parametrize("bad", [np.zeros((2, 3)), np.zeros(5), ["a"]])
def test_boxes_have_four_numbers(bad):
    with pytest.raises((ShapeError, ArgumentError), match="box_iou: first"):
        metrics.box_iou(bad, np.zeros((2, 4)))
    assert metrics.box_iou([], np.zeros((2, 4))).shape == (0, 2)


# --- samplers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: data.SequentialSampler(5), "data_source is 5, expected an object with len"),
        (lambda: data.RandomSampler(None), "data_source is None, expected an object with len"),
        (lambda: list(data.RandomSampler([], True, 3)), "data_source has no rows to take 3 of"),
        (lambda: data.RandomSampler([1], replacement=1), "replacement is 1, expected True or False"),
        (lambda: data.SubsetRandomSampler(np.array([True, False])), "of a mask, numpy.flatnonzero"),
        (lambda: data.SubsetRandomSampler([1.5, 2.0]), "indices are not all integers"),
        (lambda: data.WeightedRandomSampler(["a"], 5), "weights has the type <U1, expected real numbers"),
        (lambda: data.BatchSampler(5, 2, False), "sampler is 5, expected an iterable"),
        (lambda: data.DistributedSampler([1], 2, 0, seed="a"), "seed is 'a', expected an integer"),
        (lambda: data.DistributedSampler([1], 2, 0, shuffle="no"), "shuffle is 'no', expected True or"),
        (lambda: data.DistributedSampler([1], 2, 0).set_epoch("a"), "epoch is 'a', expected an integer"),
        (lambda: data.BucketSampler([1, NAN], 2), "lengths are not all finite"),
        (lambda: data.BucketSampler(["ab", "c"], 2), "lengths has the type <U2"),
        (lambda: list(data.DataLoader(SCORES, batch_sampler=[[]])), "batch_sampler gave \\[\\], expected"),
        (lambda: list(data.DataLoader(SCORES, batch_sampler=[1, 2])), "batch_sampler gave 1, expected"),
    ],
)
def test_samplers_refuse(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


def test_samplers_take_what_can_be_walked_through():
    assert sorted(data.SubsetRandomSampler({3, 1})) == [1, 3]
    assert sorted(data.SubsetRandomSampler(i for i in range(3))) == [0, 1, 2]
    assert list(data.SubsetRandomSampler([])) == []
    assert list(data.RandomSampler([], replacement=True, num_samples=None)) == []
    assert sorted(data.RandomSampler([1, 2], replacement=np.False_)) == [0, 1]


def test_huge_weights_are_drawn_in_proportion():
    drawn = list(data.WeightedRandomSampler([1e308, 1e308, 0.0], 400))
    assert 150 < drawn.count(0) < 250
    assert drawn.count(2) == 0


# --- the generator of Keras ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rotation_range": "10"}, "rotation_range is '10', expected a number"),
        ({"rotation_range": NAN}, "rotation_range is nan, expected a finite number"),
        ({"width_shift_range": NAN}, "width_shift_range is nan, expected finite numbers"),
        ({"height_shift_range": "a"}, "height_shift_range has the type <U1, expected real numbers"),
        ({"zoom_range": [1, 2, 3]}, "zoom_range is .*, expected two numbers"),
        ({"zoom_range": [NAN, 1]}, "zoom_range is .*, expected finite numbers"),
        ({"brightness_range": (NAN, 1)}, "brightness_range is .*, expected finite numbers"),
        ({"channel_shift_range": float("inf")}, "channel_shift_range is inf, expected a finite number"),
        ({"cval": "a"}, "cval is 'a', expected a number"),
        ({"horizontal_flip": "yes"}, "horizontal_flip is 'yes', expected True or False"),
        ({"rescale": "1/255"}, "rescale is '1/255', expected a number"),
        ({"preprocessing_function": 3}, "preprocessing_function is 3, expected a function"),
        ({"validation_split": "a"}, "validation_split is 'a', expected a number"),
        ({"zca_epsilon": -1}, "zca_epsilon is -1, expected at least 0"),
        ({"dtype": "floaty"}, "dtype is 'floaty', expected float32"),
    ],
)
def test_a_generator_refuses_options(options, message):
    with pytest.raises(ArgumentError, match=message):
        ImageDataGenerator(**options)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda g: g.flow(PICTURES, batch_size=NAN), ArgumentError, "flow: batch_size is nan"),
        (lambda g: g.flow(PICTURES, shuffle="no"), ArgumentError, "flow: shuffle is 'no'"),
        (lambda g: g.flow(PICTURES, seed=1.5), ArgumentError, "flow: seed is 1.5"),
        (lambda g: g.flow(PICTURES * 1j), ArgumentError, "flow: x has the type complex128"),
        (lambda g: g.flow(PICTURES)[0:1], ArgumentError, "the number of a batch is slice"),
        (lambda g: g.fit(PICTURES[:0]), ShapeError, "fit: x has shape .*none of them empty"),
        (lambda g: g.fit(PICTURES, rounds=0.5), ArgumentError, "fit: rounds is 0.5"),
        (lambda g: g.apply_transform(PICTURES[0], None), ArgumentError, "transform_parameters is None"),
        (lambda g: g.apply_transform(PICTURES[0], {"theta": NAN}), ArgumentError, "theta is nan"),
        (lambda g: g.apply_transform(PICTURES[0], {"theta": "a"}), ArgumentError, "theta is 'a'"),
        (lambda g: g.apply_transform(PICTURES[0], {"angle": 1}), ArgumentError, "unknown parameters angle"),
    ],
)
def test_a_generator_refuses_calls(call, error, message):
    with pytest.raises(error, match=message):
        call(ImageDataGenerator(featurewise_center=True))


@pytest.mark.parametrize("given", [lambda p: p[:4], lambda p: None, lambda p: "a"])
def test_a_function_of_pictures_gives_pictures(given):
    generator = ImageDataGenerator(preprocessing_function=given)
    with pytest.raises((ShapeError, ArgumentError), match="preprocessing_function gave"):
        next(generator.flow(PICTURES))


def test_a_generator_takes_what_keras_takes():
    assert [len(x) for x in ImageDataGenerator().flow(PICTURES[:0])] == []
    flow = ImageDataGenerator(rotation_range=-10, zoom_range=[1.2, 0.8], width_shift_range=[-1, 0, 1]).flow
    assert next(flow(PICTURES.tolist(), batch_size=np.int64(4), seed=3)).shape == (4, 8, 8, 3)


# --- Bayesian tools --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: bayes.BayesLinear(2, 3, initial_sigma="a"), "initial_sigma is 'a', expected a number"),
        (lambda: bayes.BayesLinear(2, 3, kl_weight="a"), "kl_weight is 'a', expected a number"),
        (lambda: bayes.BayesLinear(2, 3, "no"), "bias is 'no', expected True or False"),
        (lambda: bayes.BayesLinear(2, 3, prior=bayes.Normal("a")), "prior is Normal"),
        (lambda: bayes.BayesLinear(2, 3, local_reparameterization=1), "local_reparameterization is 1"),
        (lambda: bayes.kl_loss("a"), "kl_loss: model is str, expected a Module"),
        (lambda: bayes.set_kl_weight(None, 0.1), "set_kl_weight: model is NoneType, expected a Module"),
        (lambda: bayes.sample_outputs(None, np.ones((2, 2))), "model is NoneType, expected a Module"),
        (lambda: bayes.DeepEnsemble(nn.Linear(2, 3)), "build is Linear, expected a function.*built anew"),
        (lambda: bayes.DeepEnsemble(lambda: None, 2).fit(SCORES, LABELS), "build gave NoneType"),
        (lambda: bayes.mean_probability("a"), "samples has the type <U1"),
    ],
)
def test_bayesian_tools_refuse(make, message):
    with pytest.raises(EinkornError, match=message):
        make()


def test_outputs_are_sampled_of_whatever_predict_takes():
    model = nn.Sequential(bayes.BayesLinear(2, 3))
    rows = np.random.default_rng(0).random((5, 2))
    assert bayes.sample_outputs(model, rows, 2).dtype == np.float32
    assert bayes.sample_outputs(model, rows.tolist(), 2).shape == (2, 5, 3)
    mean = bayes.mean_probability(bayes.sample_probabilities(model, rows, 3))
    assert mean.shape == (5, 3)
