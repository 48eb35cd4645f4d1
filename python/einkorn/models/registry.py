"""The closed registry: the names under which models are built and checkpoints rebuilt.

A checkpoint names a model and its configuration. What the name may be is decided here, by these lists and by
what a program adds with ``register``, and nowhere else: there is no import by path, so a file cannot choose
code to run.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Any, TypeVar

from einkorn._objects import described, made, remembered, remembering, signature_of
from einkorn.errors import ArgumentError
from einkorn.nn import Module

__all__ = [
    "build", "config_of", "get_model", "get_model_builder", "list_models", "name_of", "names", "register",
]  # fmt: skip

# Names of classes: the module here that has the class, and the class.
_MODELS = {
    "perceptron": ("perceptron", "Perceptron"),
    "linear_regression": ("linear", "LinearRegression"),
    "logistic_regression": ("linear", "LogisticRegression"),
    "softmax_regression": ("linear", "SoftmaxRegression"),
    "mlp": ("mlp", "MLP"),
    "lenet5": ("lenet", "LeNet5"),
    "keras_cnn": ("keras_cnn", "KerasCNN"),
    "bert": ("bert", "Bert"),
    "bert_masked_lm": ("bert", "BertForMaskedLM"),
    "bert_pre_training": ("bert", "BertForPreTraining"),
    "bert_question_answering": ("bert", "BertForQuestionAnswering"),
    "bert_sequence_classification": ("bert", "BertForSequenceClassification"),
    "bert_token_classification": ("bert", "BertForTokenClassification"),
    "espcn": ("espcn", "ESPCN"),
    "fast_style": ("fast_style", "FastStyle"),
    "gpt": ("gpt", "GPT"),
    "llama": ("llama", "Llama"),
    "m2m100": ("transformer", "M2M100"),
    "clip": ("clip", "CLIP"),
    "conformer_ctc": ("conformer", "ConformerCTC"),
    "captioner": ("captioner", "Captioner"),
    "rec_gan": ("recommender", "RecGAN"),
    "recurrent_lm": ("recurrent_lm", "RecurrentLM"),
    "bahdanau": ("seq2seq", "Bahdanau"),
    "gnmt": ("seq2seq", "GNMT"),
    "luong": ("seq2seq", "Luong"),
    "t5": ("t5", "T5"),
    "transformer": ("transformer", "Transformer"),
    "localizer": ("detector", "Localizer"),
    "tiny_yolo": ("detector", "TinyYolo"),
    "ultraface": ("ultraface", "UltraFace"),
    "vit": ("vit", "ViT"),
    "wav2vec2_conformer": ("conformer", "Wav2Vec2Conformer"),
    "whisper": ("whisper", "Whisper"),
}

# Modules here, and the functions in them that build networks of images.
_NETWORKS = {
    "alexnet": ("alexnet",),
    "cifar_resnet": (
        "plain20",
        "plain32",
        "plain44",
        "plain56",
        "plain110",
        "resnet20",
        "resnet32",
        "resnet44",
        "resnet56",
        "resnet110",
    ),
    "densenet": ("densenet121", "densenet161", "densenet169", "densenet201"),
    "fcn": ("fcn_resnet50", "fcn_resnet101"),
    "inception": ("inception_v3",),
    "inception_resnet": ("inception_resnet_v2",),
    "mobilenet": ("mobilenet", "mobilenet_v2"),
    "resnet": (
        "resnet18",
        "resnet34",
        "resnet50",
        "resnet101",
        "resnet152",
        "resnext50_32x4d",
        "resnext101_32x8d",
        "resnext101_64x4d",
        "wide_resnet50_2",
        "wide_resnet101_2",
    ),
    "resnet_v2": ("resnet50_v2", "resnet101_v2", "resnet152_v2"),
    "squeezenet": ("squeezenet1_0", "squeezenet1_1"),
    "unet": ("unet",),
    "vgg": ("vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn"),
    "xception": ("xception",),
}

_HOMES = {name: module for module, several in _NETWORKS.items() for name in several}


_OWN: dict[str, type[Module]] = {}  # what programs add
_REST = "*"  # where a configuration has what a constructor took as *args
Kind = TypeVar("Kind", bound=type)


def names() -> tuple[str, ...]:
    """The registered names."""
    return (*_MODELS, *_HOMES, *_OWN)


def register(name: str) -> Callable[[Kind], Kind]:
    """Decorate a class of models of your own, which ``einkorn.save`` then writes whole, for ``load``.

    >>> @einkorn.models.register("tagger")
    ... class Tagger(einkorn.nn.Module):
    ...     def __init__(self, words, width=64):
    ...         super().__init__()
    ...         self.table = einkorn.nn.Embedding(words, width)
    ...         self.head = einkorn.nn.Linear(width, 2)

    The file keeps the name and the arguments of the constructor: numbers, texts, lists and dicts of them,
    layers of ``einkorn.nn``, and other registered models. A program that reads it registers the class too.

    Parameters
    ----------
    name : str
        What the file calls the model. A class that is registered again takes the place of the one before.

    Raises
    ------
    ArgumentError
        The name is one of the library's models, or what is decorated is no ``Module`` class.
    """
    if not isinstance(name, str) or not name or name in (*_MODELS, *_HOMES, "keras", "nn"):
        raise ArgumentError(
            f"register: name is {name!r}, expected a text that is none of the library's models"
        )

    def take(kind: Kind) -> Kind:
        if not isinstance(kind, type) or not issubclass(kind, Module):
            raise ArgumentError(f"register: {name} is {kind!r}, expected a class of einkorn.nn.Module")
        _OWN[name] = kind
        setattr(kind, "__init__", remembering(kind, kind.__init__))  # noqa: B010 - a method is replaced
        return kind

    return take


def list_models(
    include: str | Iterable[str] | None = None, exclude: str | Iterable[str] | None = None
) -> list[str]:
    """The names of the networks of images, sorted, as torchvision's function of this name.

    Parameters
    ----------
    include, exclude : str or several, optional
        Patterns such as ``"resnet*"``, of which one is enough.

    Raises
    ------
    ArgumentError
        A pattern is no text.
    """
    wanted, other = _patterns("include", include, ["*"]), _patterns("exclude", exclude, [])
    found = (name for name in _HOMES if any(fnmatchcase(name, each) for each in wanted))
    return sorted(name for name in found if not any(fnmatchcase(name, each) for each in other))


def _patterns(name: str, given: Any, default: list[str]) -> list[str]:
    if given is None:
        return default
    several = [given] if isinstance(given, str) or not isinstance(given, Iterable) else list(given)
    if not all(isinstance(each, str) for each in several):
        raise ArgumentError(f"list_models: {name} is {given!r}, expected a pattern or several")
    return several


def get_model_builder(name: str) -> Callable[..., Any]:
    """The function that builds the network of this name.

    Raises
    ------
    ArgumentError
        There is no such network.
    """
    if not isinstance(name, str) or name not in _HOMES:
        raise ArgumentError(f"get_model: name is {name!r}, expected one of {', '.join(sorted(_HOMES))}")
    return getattr(importlib.import_module(f"einkorn.models.{_HOMES[name]}"), name)


def get_model(name: str, **config: Any) -> Any:
    """A network of images by its name: ``get_model("resnet50", num_classes=10)`` is
    ``resnet50(num_classes=10)``.

    Parameters
    ----------
    name : str
        One of :func:`list_models`.
    **config
        ``weights``: a file that :func:`einkorn.models.load_pretrained` reads, or None for random initial
        values, the default. ``num_classes``: 1000 unless the network says otherwise; where the file has
        another number, the last layer keeps its initial values. Then the options of the network's class,
        such as ``keras=True``, Keras' variant of a network that torchvision has too.

    Raises
    ------
    ArgumentError
        The name is unknown, or an argument is unknown or bad.
    CheckpointError
        The file does not fit.
    """
    builder = get_model_builder(name)
    try:
        return builder(**config)
    except TypeError as error:
        raise ArgumentError(f"get_model: {name}: {error}") from error


def build(name: str, **config: Any) -> Any:
    """A new model, of any registered name.

    Parameters
    ----------
    name : str
        One of ``names()``.
    **config
        The arguments of its class, or of its function.

    Raises
    ------
    ArgumentError
        The name is unknown, or an argument is unknown or bad.
    """
    if name not in names():
        raise ArgumentError(f"build: name is {name!r}, expected one of {', '.join(names())}")
    try:
        if name in _OWN:
            return _own(_OWN[name], {key: made(value) for key, value in config.items()})
        return (get_model_builder(name) if name in _HOMES else _class_of(name))(**config)
    except TypeError as error:
        raise ArgumentError(f"build: {name}: {error}") from error


def _own(kind: Any, config: dict[str, Any]) -> Any:
    rest = config.pop(_REST, None)
    if rest is None:
        return kind(**config)
    first = [config.pop(parameter.name) for parameter in _before_rest(kind)]
    return kind(*first, *rest, **config)


def _before_rest(kind: Any) -> Iterator[Any]:
    """The parameters of a constructor that stand before ``*args``."""
    for parameter in signature_of(kind.__init__):
        if parameter.kind is parameter.VAR_POSITIONAL:
            return
        yield parameter


def _class_of(name: str) -> type[Module]:
    module, kind = _MODELS[name]
    return getattr(importlib.import_module(f"einkorn.models.{module}"), kind)


def name_of(model: Any) -> str | None:
    """The name a model is registered under; None for other classes, subclasses included."""
    for name, own_kind in _OWN.items():
        if type(model) is own_kind:
            return name
    home, _, module = type(model).__module__.rpartition(".")
    if home != "einkorn.models":
        return None
    for name, (where, kind) in _MODELS.items():
        if (module, type(model).__name__) == (where, kind):
            return name
    own = getattr(model, "name", None)
    return own if own in _HOMES else None


def config_of(model: Any) -> dict[str, Any]:
    """The arguments that build a registered model again.

    Raises
    ------
    ArgumentError
        One of them is no plain value; the message names it.
    """
    if type(model) not in _OWN.values():
        return model.config
    found = {}
    for key, value in remembered(model, type(model), _REST).items():
        try:
            found[key] = described(value)
        except ArgumentError as error:
            raise ArgumentError(f"{type(model).__name__}: {key}: {error}") from error
    return found
