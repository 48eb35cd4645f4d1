"""Models, the registry, and that the models learn."""

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose

import einkorn
from einkorn import data, models, nn, optim
from einkorn.errors import ArgumentError, ShapeError

CONFIGS = {
    "perceptron": {"in_features": 3},
    "linear_regression": {"in_features": 3, "out_features": 2},
    "logistic_regression": {"in_features": 3},
    "softmax_regression": {"in_features": 3, "num_classes": 4},
    "mlp": {"sizes": [3, 5, 4], "activation": "gelu"},
    "lenet5": {"num_classes": 7, "in_channels": 3, "image_size": 32, "classic": True},
    "keras_cnn": {"image_size": 64, "logits": True},
}


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


_BERT = {
    "vocab_size": 9,
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 12,
}
_PAIR = {"source_size": 7, "vocab_size": 9, "hidden_size": 8}
_STACKS = {"vocab_size": 9, "d_model": 8, "encoder_layers": 1, "decoder_layers": 1}
_STACKS |= {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
_STACKS |= {"encoder_ffn_dim": 12, "decoder_ffn_dim": 12}
_TOWER = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 12}
SMALL = {
    "gpt": {"vocab_size": 9, "n_positions": 8, "n_embd": 8, "n_layer": 1, "n_head": 2, "head_size": 3},
    "llama": {"vocab_size": 9, "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 1}
    | {"num_attention_heads": 2, "num_key_value_heads": 1},
    "bert": _BERT,
    "bert_masked_lm": _BERT,
    "bert_pre_training": _BERT,
    "bert_question_answering": _BERT,
    "bert_sequence_classification": {**_BERT, "num_labels": 3},
    "bert_token_classification": {**_BERT, "num_labels": 3},
    "transformer": {"vocab_size": 9, "d_model": 8, "num_layers": 1, "num_heads": 2, "d_ff": 12},
    "m2m100": {**_STACKS, "max_position_embeddings": 16},
    "t5": {"vocab_size": 9, "d_model": 8, "d_kv": 4, "d_ff": 12, "num_layers": 1, "num_heads": 2},
    "whisper": {**_STACKS, "num_mel_bins": 4, "max_source_positions": 8, "max_target_positions": 8},
    "vit": {"image_size": 8, "patch_size": 4, "num_labels": 3, **_TOWER},
    "clip": {"text_config": {"vocab_size": 9, **_TOWER}, "projection_dim": 6}
    | {"vision_config": {"image_size": 8, "patch_size": 4, **_TOWER}},
    "wav2vec2_conformer": {"vocab_size": 9, "conv_dim": [4, 4], "conv_stride": [5, 2], **_TOWER}
    | {"conv_kernel": [10, 3], "conv_depthwise_kernel_size": 3},
    "conformer_ctc": {"vocab_size": 9, "num_mel_bins": 8, "conv_depthwise_kernel_size": 3, **_TOWER},
    "rec_gan": {"num_items": 5, "embedding_size": 4, "hidden_size": 8},
    "recurrent_lm": {"vocab_size": 9, "embedding_size": 4, "hidden_size": 8, "num_layers": 1, "cell": "gru"},
    "captioner": {"vocab_size": 9, "image_size": 16, "embedding_size": 4, "hidden_size": 8, "width": 4},
    "bahdanau": {**_PAIR, "embedding_size": 4, "readout_size": 6},
    "luong": {**_PAIR, "num_layers": 1, "score": "concat"},
    "gnmt": {**_PAIR, "num_layers": 3},
    "localizer": {"num_classes": 3, "image_size": 32, "width": 4},
    "tiny_yolo": {"num_classes": 3, "image_size": 32, "width": 4},
    "espcn": {"upscale_factor": 2},
    "fast_style": {},
    "ultraface": {"image_size": [64, 96]},
}


def test_the_registry_is_complete():
    assert set(models.names()) - set(models.list_models()) == set(CONFIGS) | set(SMALL)


@pytest.mark.parametrize("name", SMALL)
def test_a_larger_kind_tells_how_to_build_it_again(name):
    model = models.build(name, **SMALL[name])
    assert models.name_of(model) == name
    twin = models.build(name, **json.loads(json.dumps(models.config_of(model))))
    shapes = {key: array.shape for key, array in model.state_dict().items()}
    assert {key: array.shape for key, array in twin.state_dict().items()} == shapes


@pytest.mark.parametrize("name", CONFIGS)
def test_a_model_tells_how_to_build_it_again(name):
    model = models.build(name, **CONFIGS[name])
    assert models.name_of(model) == name
    config = json.loads(json.dumps(models.config_of(model)))
    assert CONFIGS[name].items() <= config.items()
    twin = models.build(name, **config)
    shapes = {key: array.shape for key, array in model.state_dict().items()}
    assert {key: array.shape for key, array in twin.state_dict().items()} == shapes
    x = np.zeros((2, *model.input_shape), np.float32)
    assert model(x).shape == twin(x).shape


def test_build_refuses():
    with pytest.raises(ArgumentError, match="name is 'lenet', expected one of perceptron"):
        models.build("lenet")
    with pytest.raises(ArgumentError, match=r"lenet5.*classes"):
        models.build("lenet5", classes=3)
    with pytest.raises(ArgumentError, match="image_size is 29"):
        models.LeNet5(image_size=29)
    with pytest.raises(ArgumentError, match="at least 46"):
        models.KerasCNN(image_size=45)
    with pytest.raises(ArgumentError, match="sizes is"):
        models.MLP([3])
    with pytest.raises(ArgumentError, match="sizes is 'ab'"):
        models.MLP("ab")
    with pytest.raises(ArgumentError, match="activation is 'swish'"):
        models.MLP([3, 4, 5], "swish")
    with pytest.raises(ArgumentError, match="learning_rate is 0"):
        models.Perceptron(2, learning_rate=0)


def test_a_subclass_is_not_registered():
    class Mine(models.MLP):
        pass

    assert models.name_of(Mine([2, 2])) is None
    assert models.name_of(nn.Linear(2, 2)) is None


def test_parameter_counts():
    assert count(models.LeNet5()) == 61_706
    assert count(models.LeNet5(image_size=32, classic=True)) == 61_706
    assert count(models.MLP([784, 300, 10])) == 238_510
    assert count(models.KerasCNN()) == 3_453_121


@pytest.mark.parametrize("classic", [False, True])
def test_lenet_agrees_with_torch(classic):
    torch = pytest.importorskip("torch")
    t = torch.nn
    act, pool = (t.Tanh, t.AvgPool2d) if classic else (t.ReLU, t.MaxPool2d)
    theirs = t.Sequential()
    for name, layer in {
        "conv1": t.Conv2d(1, 6, 5, padding=2),
        "a": act(),
        "p": pool(2),
        "conv2": t.Conv2d(6, 16, 5),
        "b": act(),
        "q": pool(2),
        "f": t.Flatten(),
        "fc1": t.Linear(400, 120),
        "c": act(),
        "fc2": t.Linear(120, 84),
        "d": act(),
        "fc3": t.Linear(84, 10),
    }.items():
        theirs.add_module(name, layer)
    ours = models.LeNet5(classic=classic)
    ours.load_state_dict(theirs.state_dict())
    x = np.random.default_rng(0).uniform(size=(3, 1, 28, 28)).astype(np.float32)
    y = torch.tensor([1, 5, 9])
    scores = theirs(torch.from_numpy(x))
    assert_allclose(ours(x).numpy(), scores.detach().numpy(), atol=1e-5)
    torch.nn.functional.cross_entropy(scores, y).backward()
    einkorn.ops.cross_entropy(ours(x), y.numpy()).backward()
    for (name, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert_allclose(a.grad.numpy(), b.grad.numpy(), atol=1e-5, err_msg=name)


def test_images_and_rows_are_both_taken():
    images = np.random.default_rng(0).normal(size=(4, 1, 2, 3)).astype(np.float32)
    for model in (models.MLP([6, 4, 3]), models.SoftmaxRegression(6, 3)):
        assert_allclose(model(images).numpy(), model(images.reshape(4, 6)).numpy())


def test_perceptron_is_an_estimator():
    x = np.array([[2, 1], [1, 3], [-1, -2], [-3, -1]])
    y = np.array([1, 1, -1, -1])
    model = models.Perceptron(2)
    assert model.fit(x, y) is model
    assert model.score(x, y) == 1
    assert model.predict(x).dtype == np.int64
    with pytest.raises(ArgumentError, match="only -1 and 1"):
        model.fit(x, [0, 1, 0, 1])
    with pytest.raises(ShapeError, match=r"y has shape \(3,\), expected \(4,\)"):
        model.fit(x, y[:3])
    with pytest.raises(ShapeError, match=r"x has shape \(4,\), expected \[n, 2\]"):
        model.predict(y)
    with pytest.raises(ArgumentError, match="max_iter is 'many'"):
        model.fit(x, y, max_iter="many")


def test_linear_regression_finds_the_coefficients():
    einkorn.manual_seed(0)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(500, 3)).astype(np.float32)
    y = x @ np.array([[1.5], [-2.0], [0.5]], np.float32) + 4
    model = models.LinearRegression(3)
    model.compile(optim.SGD(model.parameters(), lr=0.1), "mse")
    model.fit(x, y, epochs=10, verbose=0)
    assert_allclose(model.linear.weight.numpy(), [[1.5, -2.0, 0.5]], atol=1e-3)
    assert_allclose(model.linear.bias.numpy(), [4], atol=1e-3)


def test_logits_and_probabilities_are_the_same_model():
    einkorn.manual_seed(0)
    for build in (
        lambda logits: models.LogisticRegression(4, logits=logits),
        lambda logits: models.KerasCNN(1, 46, logits=logits),
    ):
        score, probability = build(True), build(False)
        probability.load_state_dict(score.state_dict())
        x = np.random.default_rng(0).normal(size=(3, *score.input_shape)).astype(np.float32)
        assert_allclose(probability(x).numpy(), 1 / (1 + np.exp(-score(x).numpy())), rtol=1e-5)


def digits():
    pytest.importorskip("sklearn")
    return data.load_digits()


@pytest.mark.parametrize(
    ("name", "config", "rate", "epochs", "least"),
    [
        ("softmax_regression", {"in_features": 64, "num_classes": 10}, 1e-2, 10, 0.93),
        ("mlp", {"sizes": [64, 64, 10]}, 5e-3, 20, 0.95),
        ("lenet5", {"image_size": 32}, 3e-3, 4, 0.95),
    ],
)
def test_models_learn_the_digits(name, config, rate, epochs, least):
    (x, y), (xt, yt) = digits()
    if name == "lenet5":
        x, xt = data.enlarge(x, 4), data.enlarge(xt, 4)
    einkorn.manual_seed(0)
    model = models.build(name, **config)
    model.compile(optim.Adam(model.parameters(), rate), "cross_entropy", metrics=["accuracy"])
    model.fit(x, y, epochs=epochs, batch_size=32, verbose=0)
    assert model.evaluate(xt, yt)[1] >= least
