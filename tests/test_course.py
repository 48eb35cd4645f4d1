"""Worked examples of the course, sections 2 and 3: the library must reproduce their digits."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import einkorn
from einkorn import nn, ops, optim
from einkorn.models import KerasCNN, LogisticRegression, Perceptron


def fill(layer, weight, bias):
    layer.load_state_dict({"weight": np.array(weight), "bias": np.array(bias)})
    return layer


# --- section 2 ---------------------------------------------------------------------------------


def forward_example():
    return nn.Sequential(
        fill(nn.Linear(2, 2, activation="sigmoid"), [[1, -2], [-1, 1]], [1, 0]),
        fill(nn.Linear(2, 2, activation="sigmoid"), [[2, -1], [-2, -1]], [0, 0]),
        fill(nn.Linear(2, 2), [[3, -1], [-1, 4]], [-2, 2]),
    ).to("float64")


@pytest.mark.parametrize(("x", "y"), [([1, -1], [0.480, 1.579]), ([0, 0], [0.048, 1.770])])
def test_forward_example(x, y):
    assert_allclose(forward_example()(np.array([x], float)).numpy(), [y], atol=1e-3)


def test_backpropagation_example():
    hidden = fill(nn.Linear(2, 2, activation="sigmoid"), [[0.15, 0.20], [0.25, 0.30]], [0.35] * 2)
    output = fill(nn.Linear(2, 2, activation="sigmoid"), [[0.40, 0.45], [0.50, 0.55]], [0.60] * 2)
    model = nn.Sequential(hidden, output).to("float64")
    # decimal fractions go through float32 on their way into the layers: set them exactly
    for layer, values in ((hidden, [0.15, 0.20, 0.25, 0.30]), (output, [0.40, 0.45, 0.50, 0.55])):
        layer.weight.data[...] = np.reshape(values, (2, 2))
    hidden.bias.data[...] = 0.35
    output.bias.data[...] = 0.60
    optimizer = optim.SGD(model.parameters(), lr=0.5)
    x, target = np.array([[0.05, 0.10]]), np.array([[0.01, 0.99]])

    h = hidden(x)
    out = output(h)
    loss = ops.mse_loss(out, target, reduction="sum") * 0.5
    loss.backward()
    optimizer.step()

    assert_allclose(h.numpy(), [[0.593269992, 0.596884378]], atol=5e-10)
    assert_allclose(out.numpy(), [[0.751365070, 0.772928465]], atol=5e-10)
    assert_allclose(loss.item(), 0.298371109, atol=5e-10)
    assert_allclose(output.weight.numpy(), [[0.35891648, 0.408666186], [0.511301270, 0.561370121]], atol=5e-9)
    assert_allclose(hidden.weight.numpy(), [[0.149780716, 0.19956143], [0.24975114, 0.29950229]], atol=5e-9)


@pytest.mark.parametrize(("gate", "labels"), [("and", [-1, -1, -1, 1]), ("or", [-1, 1, 1, 1])])
def test_perceptron_converges_on_separable_classes(gate, labels):
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    model = Perceptron(2).fit(x, labels)
    assert model.converged
    assert_array_equal(model.predict(x), labels)


def test_perceptron_never_converges_on_xor():
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    model = Perceptron(2).fit(x, [-1, 1, 1, -1], max_iter=200)
    assert not model.converged
    assert model.updates == 200


def test_perceptron_keeps_the_bound_of_its_convergence_theorem():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (400, 2))
    direction = np.array([0.6, 0.8])
    distance = x @ direction + 0.1
    x, distance = x[abs(distance) > 0.05], distance[abs(distance) > 0.05]
    model = Perceptron(2).fit(x, np.sign(distance), max_iter=100_000)
    assert model.converged
    # with the bias as one more input of 1, and the separating vector scaled to length 1
    radius = np.sqrt((x**2).sum(1) + 1).max()
    margin = abs(distance).min() / np.sqrt(1 + 0.1**2)
    # rows of a zero score move by eta instead of 2 eta, which at most adds the first step
    assert 0 < model.updates <= (radius / margin) ** 2 + 1


def test_perceptron_update_is_the_rule_of_the_course():
    model = Perceptron(2, learning_rate=0.25)
    model.linear.weight.data[...] = [[1.0, -1.0]]
    model.linear.bias.data[...] = 0.5
    model.fit(np.array([[2.0, 1.0]]), np.array([-1]), max_iter=1)
    # y = -1, y_hat = sgn(2 - 1 + 0.5) = 1: w += 0.25 (-2) x
    assert_array_equal(model.linear.weight.numpy(), [[0.0, -1.5]])
    assert_array_equal(model.linear.bias.numpy(), [0.0])


def test_logistic_regression_finds_a_linear_border():
    einkorn.manual_seed(0)
    rng = np.random.default_rng(1)
    x = rng.normal(size=(300, 2)).astype(np.float32)
    y = (x @ [2.0, -1.0] > 0.3).astype(np.float32)[:, None]
    model = LogisticRegression(2)
    model.compile(optim.Adam(model.parameters(), lr=0.1), "binary_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=20, verbose=0)
    assert model.evaluate(x, y)[1] > 0.97


# --- section 3 ---------------------------------------------------------------------------------


def images(values):
    return np.asarray(values, np.float32)[None, None]


def test_convolution_example():
    x = [[0, 1, 1, 0, 0], [0, 1, 1, 0, 0], [1, 0, 0, 1, 1], [0, 1, 1, 0, 1], [1, 1, 1, 1, 1]]
    w = [[0, -1, 0], [-1, 5, -1], [0, -1, 0]]
    assert_array_equal(ops.conv2d(images(x), images(w))[0, 0], [[3, 3, -2], [-3, -3, 4], [3, 3, -4]])


def test_asymmetric_convolution_example():
    x = [[9, 9, 9, 3, 3, 4], [9, 9, 3, 5, 5, 8]]
    w = [[-1, 0], [-1, 1], [0, 1]]
    # two rows of zeros above and two below make 6 rows, and 6 - 3 + 1 = 4 outputs
    y = ops.conv2d(images(x), images(w), stride=(1, 2), padding=(2, 0))
    assert_array_equal(y[0, 0], [[9, 3, 4], [9, -1, 9], [-9, -7, 0], [-9, -3, -5]])


def test_x_filter_example():
    x = -np.ones((9, 9))
    for i in range(1, 8):
        x[i, i] = x[i, 8 - i] = 1
    layer = nn.Conv2d(1, 1, 3, bias=False)
    layer.weight.data[...] = images(2 * np.eye(3) - 1) / 9
    y = layer(images(x)).numpy()
    assert y.shape == (1, 1, 7, 7)
    # printed digits are cut off, not rounded
    assert_array_equal(
        np.trunc(y[0, 0, 0] * 100 + 1e-3 * np.sign(y[0, 0, 0])), [77, -11, 11, 33, 55, -11, 33]
    )
    relu = nn.ReLU()(y)
    assert_allclose(relu[0, 0, 0], np.array([7, 0, 1, 3, 5, 0, 3]) / 9, rtol=1e-6)
    pooled = nn.MaxPool2d(2, ceil_mode=True)(relu)
    assert pooled.shape == (1, 1, 4, 4)
    assert_allclose(pooled[0, 0, 0], np.array([9, 3, 5, 3]) / 9, rtol=1e-6)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding"), [(36, 11, 1, 0), (7, 3, 2, 1), (28, 5, 1, 2), (9, 3, 3, 0)]
)
def test_output_size_formula(size, kernel, stride, padding):
    layer = nn.Conv2d(1, 1, kernel, stride=stride, padding=padding)
    expected = (size - kernel + 2 * padding) // stride + 1
    assert layer(np.zeros((1, 1, size, size), np.float32)).shape == (1, 1, expected, expected)


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameter_counts():
    layer = nn.Conv2d(3, 9, 11, bias=False)
    assert layer(np.zeros((1, 3, 36, 36), np.float32)).shape == (1, 9, 26, 26)
    assert parameters(layer) == 3_267
    assert parameters(nn.Linear(200 * 200 * 3, 300)) == 36_000_300
    assert parameters(KerasCNN()) == 3_453_121


MATRIX = images([[12, 20, 30, 0], [8, 12, 2, 0], [34, 70, 37, 4], [112, 100, 25, 12]])


def test_pooling_example():
    assert_array_equal(nn.MaxPool2d(2)(MATRIX)[0, 0], [[20, 30], [112, 37]])
    assert_array_equal(nn.AvgPool2d(2)(MATRIX)[0, 0], [[13, 8], [79, 19.5]])
    assert_array_equal(ops.sum_pool2d(MATRIX, 2)[0, 0], [[52, 32], [316, 78]])
    squares = [[144 + 400 + 64 + 144, 900 + 4], [34**2 + 70**2 + 112**2 + 100**2, 37**2 + 16 + 625 + 144]]
    assert_allclose(nn.LPPool2d(2, 2)(MATRIX)[0, 0], np.sqrt(squares), rtol=1e-6)
    assert_allclose(nn.LPPool2d(1, 2)(MATRIX), ops.sum_pool2d(MATRIX, 2), rtol=1e-6)


# --- section 4 ---------------------------------------------------------------------------------


def test_the_slope_of_the_sigmoid_is_at_most_a_quarter():
    x = einkorn.Tensor(np.linspace(-8, 8, 1601), requires_grad=True)
    ops.sigmoid(x).sum().backward()
    assert x.grad.numpy().max() == 0.25
    assert x.grad.numpy().argmax() == 800


def test_the_gradient_vanishes_through_sigmoids_and_not_through_relus():
    def first_gradient(activation, depth=12):
        einkorn.manual_seed(0)
        layers = [nn.Linear(32, 32, activation=activation) for _ in range(depth)]
        for layer in layers:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        model = nn.Sequential(*layers)
        model(ops.normal((16, 32))).sum().backward()
        return abs(layers[0].weight.grad.numpy()).mean()

    assert first_gradient("sigmoid") < 1e-3 * first_gradient("relu")
