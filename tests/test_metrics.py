"""Metrics over batches are those of the whole, and scikit-learn's."""

import math
from functools import partial

import numpy as np
import pytest
from small_problems import blobs, classifier, rows

import einkorn
from einkorn import metrics, nn
from einkorn.errors import ArgumentError, IndexRangeError, ShapeError

N = 203
RNG = np.random.default_rng(0)
SCORES = RNG.normal(size=(N, 4)).astype(np.float32)
CHANCES = np.exp(SCORES) / np.exp(SCORES).sum(1, keepdims=True)
CLASSES = RNG.integers(0, 4, N)
WEIGHT = RNG.random(N)
BINARY = RNG.integers(0, 2, N)
SINGLE = np.round(np.clip(BINARY * 0.3 + RNG.random(N) * 0.7, 0, 1), 2)  # with ties
NUMBERS = RNG.normal(size=(N, 2)) + 1000
GUESSES = NUMBERS + RNG.normal(size=(N, 2))


def in_batches(metric, y_true, y_pred, weight=None):
    """The result after batches of odd sizes, a state that was kept among them."""
    for start in range(0, len(y_pred), 37):
        part = slice(start, start + 37)
        metric.update_state(y_true[part], y_pred[part], None if weight is None else weight[part])
        kept = metric.state_dict()
        metric.reset_state()
        metric.load_state_dict(kept)
    return metric.result()


def sk(name, *arguments, **options):
    return getattr(pytest.importorskip("sklearn.metrics"), name)(*arguments, **options)


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_figures_of_classes_are_scikit_learns(weight):
    best = SCORES.argmax(1)
    more = {"sample_weight": weight}
    for metric, wanted in [
        (metrics.SparseCategoricalAccuracy(), sk("accuracy_score", CLASSES, best, **more)),
        (metrics.SparseTopKCategoricalAccuracy(2), sk("top_k_accuracy_score", CLASSES, SCORES, k=2, **more)),
        (metrics.Precision(average="macro"), sk("precision_score", CLASSES, best, average="macro", **more)),
        (metrics.Recall(average="weighted"), sk("recall_score", CLASSES, best, average="weighted", **more)),
        (metrics.F1Score("micro"), sk("f1_score", CLASSES, best, average="micro", **more)),
        (metrics.F1Score(), sk("f1_score", CLASSES, best, average=None, **more)),
        (metrics.Precision(class_id=2), sk("precision_score", CLASSES, best, average=None, **more)[2]),
        (metrics.ConfusionMatrix(4), sk("confusion_matrix", CLASSES, best, **more)),
        (metrics.MeanIoU(4), sk("jaccard_score", CLASSES, best, average="macro", **more)),
        (metrics.Perplexity(True), math.exp(sk("log_loss", CLASSES, CHANCES, **more))),
    ]:
        assert in_batches(metric, CLASSES, SCORES, weight) == pytest.approx(wanted, rel=1e-6), metric
    one_hot = np.eye(4)[CLASSES]
    accuracy = sk("accuracy_score", CLASSES, best, **more)
    assert in_batches(metrics.CategoricalAccuracy(), one_hot, SCORES, weight) == pytest.approx(accuracy)
    assert in_batches(metrics.Perplexity(), CLASSES, CHANCES, weight) == pytest.approx(
        math.exp(sk("log_loss", CLASSES, CHANCES, **more)), rel=1e-5
    )


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_figures_of_two_classes_are_scikit_learns(weight):
    more = {"sample_weight": weight}
    guess = SINGLE > 0.5
    for metric, wanted in [
        (metrics.BinaryAccuracy(), sk("accuracy_score", BINARY, guess, **more)),
        (metrics.Precision(), sk("precision_score", BINARY, guess, **more)),
        (metrics.Precision(0.7), sk("precision_score", BINARY, SINGLE > 0.7, **more)),
        (metrics.Recall(), sk("recall_score", BINARY, guess, **more)),
        (metrics.F1Score("binary"), sk("f1_score", BINARY, guess, **more)),
        (metrics.AUC(), sk("roc_auc_score", BINARY, SINGLE, **more)),
        (metrics.AUC("PR"), sk("average_precision_score", BINARY, SINGLE, **more)),
    ]:
        assert in_batches(metric, BINARY, SINGLE, weight) == pytest.approx(wanted, rel=1e-9), metric
        assert in_batches(metric, BINARY[:, None], SINGLE[:, None], weight) is not None
    for ours, theirs in [
        (metrics.roc_curve, sk("roc_curve", BINARY, SINGLE, **more)),
        (
            partial(metrics.roc_curve, drop_intermediate=False),
            sk("roc_curve", BINARY, SINGLE, drop_intermediate=False, **more),
        ),
        (
            partial(metrics.roc_curve, pos_label=0),
            sk("roc_curve", BINARY, SINGLE, pos_label=0, **more),
        ),
        (
            partial(metrics.precision_recall_curve, drop_intermediate=True),
            sk("precision_recall_curve", BINARY, SINGLE, drop_intermediate=True, **more),
        ),
        (metrics.precision_recall_curve, sk("precision_recall_curve", BINARY, SINGLE, **more)),
    ]:
        for a, b in zip(ours(BINARY, SINGLE, **more), theirs, strict=True):
            assert a == pytest.approx(b)
    both = np.stack([1 - SINGLE, SINGLE], 1)
    assert in_batches(metrics.AUC(), BINARY, both) == pytest.approx(sk("roc_auc_score", BINARY, SINGLE))


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_figures_of_numbers_are_scikit_learns(weight):
    more = {"sample_weight": weight}
    for metric, wanted in [
        (metrics.MeanSquaredError(), sk("mean_squared_error", NUMBERS, GUESSES, **more)),
        (metrics.RootMeanSquaredError(), sk("mean_squared_error", NUMBERS, GUESSES, **more) ** 0.5),
        (metrics.MeanAbsoluteError(), sk("mean_absolute_error", NUMBERS, GUESSES, **more)),
        (
            metrics.MeanAbsolutePercentageError(),
            100 * sk("mean_absolute_percentage_error", NUMBERS, GUESSES, **more),
        ),
        (metrics.MeanSquaredLogarithmicError(), sk("mean_squared_log_error", NUMBERS, GUESSES, **more)),
        (metrics.R2Score(), sk("r2_score", NUMBERS, GUESSES, **more)),
    ]:
        assert in_batches(metric, NUMBERS, GUESSES, weight) == pytest.approx(wanted, rel=1e-9), metric


def test_the_calibration_error_is_that_of_its_definition():
    confidence, right = CHANCES.max(1), CHANCES.argmax(1) == CLASSES
    wanted = 0.0
    for low in np.arange(10) / 10:
        inside = (confidence > low) & (confidence <= low + 0.1)
        if inside.any():
            wanted += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert in_batches(metrics.ExpectedCalibrationError(10), CLASSES, CHANCES) == pytest.approx(wanted)
    sure = metrics.ExpectedCalibrationError()
    assert sure(np.array([1, 1, 0, 1]), np.array([1.0, 1.0, 1.0, 1.0])) == pytest.approx(0.25)
    with pytest.raises(ArgumentError, match="expected probabilities"):
        sure.update_state(CLASSES, SCORES)


def test_segmentations_leave_out_what_is_not_counted():
    truth = np.array([[[0, 1], [1, 255]]])
    found = np.array([[[0, 1], [0, 0]]])
    assert metrics.MeanIoU(2, ignore_class=255)(truth, found) == pytest.approx((1 / 2 + 1 / 2) / 2)
    scores = np.moveaxis(np.eye(2)[found], 3, 1)
    assert metrics.MeanIoU(2, ignore_class=255)(truth, scores) == pytest.approx(0.5)
    with pytest.raises(IndexRangeError, match="y_true holds class 255, expected 0 to 1"):
        metrics.MeanIoU(2)(truth, found)


def test_perplexity_leaves_out_padding():
    target = np.array([[1, 2, 0], [3, 0, 0]])
    scores = rows(2, 4, 3)
    metric = metrics.Perplexity(True, mask_token_id=0)
    chances = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    losses = [-math.log(chances[0, 1, 0]), -math.log(chances[0, 2, 1]), -math.log(chances[1, 3, 0])]
    assert metric(target, scores) == pytest.approx(math.exp(np.mean(losses)), rel=1e-6)


def test_bleu_is_that_of_the_paper():
    # the example of Papineni et al.: seven times "the" matches twice
    candidate = "the the the the the the the"
    references = ["the cat is on the mat", "there is a cat on the mat"]
    assert metrics.BLEU(1)([references], [candidate]) == pytest.approx(2 / 7)
    text = "it is a guide to action which ensures that the military always obeys the commands of the party"
    assert metrics.BLEU()([[text]], [text]) == pytest.approx(1.0)
    short = metrics.BLEU(2)([["a", "b", "c", "d", "e", "f"]], [["a", "b", "c"]])
    assert short == pytest.approx(math.exp(1 - 6 / 3))
    corpus = metrics.BLEU(2)
    corpus.update_state(["a b c d"], ["a b c x"])
    corpus.update_state(["e f g h"], ["e x g h"])
    assert corpus.result() == pytest.approx(math.sqrt((3 + 3) / 8 * (2 + 1) / 6))
    assert metrics.BLEU()(["a b c"], ["a b x"]) == 0.0
    assert metrics.BLEU(smooth=True)(["a b c d e"], ["a b x d e"]) > 0


def test_average_precision_of_boxes():
    box, other, far = [0, 0, 10, 10], [20, 20, 30, 30], [50, 50, 60, 60]
    truth = [{"boxes": [box, other], "labels": [0, 0]}, {"boxes": [box], "labels": [0]}]
    found = [
        {"boxes": [box, far, box], "labels": [0, 0, 0], "scores": [0.9, 0.8, 0.7]},
        {"boxes": [[0, 0, 10, 8]], "labels": [0], "scores": [0.6]},
    ]
    # hit, miss, the same box again, hit: precision 1 at a third, 1/2 at two thirds
    metric = metrics.MeanAveragePrecision()
    for one, guess in zip(truth, found, strict=True):
        metric.update_state([one], [guess])
    assert metric.result() == pytest.approx(1 / 3 * 1 + 1 / 3 * 0.5)
    assert metrics.MeanAveragePrecision([0.5, 0.9])(truth, found) == pytest.approx((0.5 + 1 / 3) / 2)
    assert metrics.box_iou([box], [[0, 0, 10, 8], far]) == pytest.approx(np.array([[0.8, 0.0]]))
    perfect = [{**one, "scores": [1.0] * len(one["labels"])} for one in truth]
    assert metrics.MeanAveragePrecision()(truth, perfect) == pytest.approx(1.0)
    missing = {"boxes": [[0, 0, 1, 1]], "labels": [1]}
    assert metrics.MeanAveragePrecision()(
        [missing], [{"boxes": [], "labels": [], "scores": []}]
    ) == pytest.approx(0.0)


def test_metrics_in_fit_are_exact_whatever_the_batches():
    x, y = blobs(83)
    names = ["sparse_categorical_accuracy", "Precision", "top_k", metrics.F1Score("macro")]
    model = classifier(metrics=names)
    x[40:] *= -1  # so that some are wrong
    scores = model.predict(x)
    logs = model.evaluate(x, y, 9, return_dict=True)
    assert logs["sparse_categorical_accuracy"] == pytest.approx((scores.argmax(1) == y).mean())
    assert logs["precision"] == pytest.approx(sk("precision_score", y, scores.argmax(1), average="macro"))
    assert logs["f1_score"] == pytest.approx(sk("f1_score", y, scores.argmax(1), average="macro"))
    assert logs["top_k"] == 1.0
    history = model.fit(x, y, 9, 2, validation_data=(x, y), verbose=0).history
    assert history["val_f1_score"][-1] == pytest.approx(
        model.evaluate(x, y, 50, return_dict=True)["f1_score"]
    )
    einkorn.manual_seed(0)
    two = nn.Linear(2, 1)
    two.compile(
        "sgd", "bce_with_logits", metrics=["auc", "recall", "f1"], weighted_metrics=[metrics.AUC("PR", "pr")]
    )
    target = (y == 0).astype(np.float32)[:, None]
    score = two.predict(x)
    weight = np.linspace(0, 2, 83).astype(np.float32)
    logs = two.evaluate(x, target, 10, sample_weight=weight, return_dict=True)
    assert logs["auc"] == pytest.approx(sk("roc_auc_score", target, score))
    assert logs["recall"] == pytest.approx(sk("recall_score", target, score > 0))
    assert logs["f1"] == pytest.approx(sk("f1_score", target, score > 0))
    assert logs["pr"] == pytest.approx(sk("average_precision_score", target, score, sample_weight=weight))


def test_what_metrics_cannot_take_is_refused():
    with pytest.raises(ShapeError, match="sample_weight has shape"):
        metrics.BinaryAccuracy().update_state(BINARY, SINGLE, WEIGHT[:5])
    with pytest.raises(ShapeError, match="should have it too"):
        metrics.MeanSquaredError().update_state(NUMBERS[:, 0], GUESSES)
    with pytest.raises(IndexRangeError, match="holds class 7"):
        metrics.ConfusionMatrix(4).update_state([7], [0])
    with pytest.raises(ArgumentError, match="average is 'mean'"):
        metrics.F1Score("mean")
    with pytest.raises(ArgumentError, match="curve is 'roc'"):
        metrics.AUC("roc")
    with pytest.raises(ArgumentError, match=r"metric is 'acuracy', .*auc"):
        nn.Linear(2, 2).compile("sgd", metrics=["acuracy"])
    for metric in (metrics.AUC(), metrics.R2Score(), metrics.Precision(), metrics.MeanIoU(2)):
        assert math.isnan(metric.result())


def test_scores_that_are_nan_have_no_area():
    for metric in (metrics.AUC(), metrics.AUC("PR")):
        metric.update_state(np.array([0, 1, 0, 1]), np.array([0.1, np.nan, 0.3, 0.9]))
        assert math.isnan(metric.result())


_TRANSLATIONS = [
    'He said: "It\'s 3.5% of 1,000 - no more."',
    "the cat sat on the mat",
    "A man, in an orange hat, starring at something.",
    "x",
    "Zwei junge Männer &quot;stehen&quot; herum!",
]
_REFERENCES = [
    ['He said: "it is 3.5 % of 1,000; no more!"', "They said it's 3.5% of 1,000 - no more."],
    ["the cat is on the mat", "there is a cat on the mat"],
    ["A man in an orange hat starring at something.", "Someone, in a hat, stares."],
    ["yes", "no, x"],
    ["Zwei junge weiße Männer sind im Freien.", "Zwei Männer stehen herum!"],
]


#: BLEU, chrF and chrF++ of sacrebleu 2.6: all references, the first of each, and the second text alone.
_SACREBLEU = [
    *(0.5140590206249268, 0.7036751039975598, 0.6870552320629146),
    *(0.34525872241765304, 0.6221898646023293, 0.6189802736883581),
    *(0.3799178428257963, 0.645779420625287, 0.6636067072084818),
]


def test_figures_of_translations_are_those_of_sacrebleu():
    first = [[one[0]] for one in _REFERENCES]
    found = []
    first_alone = (first[1:2], _TRANSLATIONS[1:2])
    for references, given in ((_REFERENCES, _TRANSLATIONS), (first, _TRANSLATIONS), first_alone):
        found += [
            metrics.BLEU(smooth="exp", tokenize="13a")(references, given),
            metrics.ChrF()(references, given),
        ]
        found.append(metrics.ChrF(word_order=2)(references, given))
    assert found == pytest.approx(_SACREBLEU, abs=1e-9)
    assert metrics.BLEU(smooth="exp", tokenize="13a")(first[3:4], _TRANSLATIONS[3:4]) == 0
    words = [_REFERENCES[1][0].split()], [_TRANSLATIONS[1].split()]
    assert metrics.BLEU(smooth="exp", tokenize="13a")(*words) == pytest.approx(_SACREBLEU[6])
    assert metrics.ChrF()(["abc"], [""]) == 0
    with pytest.raises(ArgumentError, match="ChrF: char_order is 0"):
        metrics.ChrF(0)
    with pytest.raises(ArgumentError, match="BLEU: smooth is 'floor'"):
        metrics.BLEU(smooth="floor")
    with pytest.raises(ArgumentError, match="BLEU: tokenize is 'zh'"):
        metrics.BLEU(tokenize="zh")


@pytest.mark.parametrize("metric", [metrics.BLEU, metrics.ChrF])
def test_what_is_no_text_is_refused(metric):
    with pytest.raises(ArgumentError, match="the references are one text"):
        metric().update_state("a b", ["a b", "a", "b"])
    with pytest.raises(ArgumentError, match="a translation is None"):
        metric().update_state(["a"], [None])
    with pytest.raises(ArgumentError, match="no references"):
        metric().update_state([[]], ["a"])


def test_bleu_of_numbers_of_words():
    numbers, words = metrics.BLEU(), metrics.BLEU()
    numbers.update_state([[1, 2, 3, 4, 5], [[1, 2], [1, 2, 3, 4]]], [[1, 2, 3, 4, 6], [1, 2, 3, 4]])
    words.update_state([list("12345"), [list("12"), list("1234")]], [list("12346"), list("1234")])
    assert numbers.result() == words.result() > 0
