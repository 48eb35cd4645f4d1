"""Models of the course, and the closed registry that checkpoints are rebuilt from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from einkorn._later import later

# What is reached as einkorn.models.NAME, and the module it lives in.
_HOMES = {
    "AlexNet": "alexnet",
    "Bahdanau": "seq2seq",
    "Bert": "bert",
    "BertForMaskedLM": "bert",
    "BertForPreTraining": "bert",
    "BertForQuestionAnswering": "bert",
    "BertForSequenceClassification": "bert",
    "BertForTokenClassification": "bert",
    "CIFARResNet": "cifar_resnet",
    "CLIP": "clip",
    "CLIP_SIZES": "clip",
    "CausalLM": "causal",
    "Captioner": "captioner",
    "ConformerCTC": "conformer",
    "Darknet": "darknet",
    "DenseNet": "densenet",
    "ESPCN": "espcn",
    "EncoderDecoder": "encoder_decoder",
    "FCN": "fcn",
    "FastStyle": "fast_style",
    "GNMT": "seq2seq",
    "GPT": "gpt",
    "GPT_SIZES": "gpt",
    "ImageClassifier": "classifier",
    "InceptionOutputs": "inception",
    "InceptionResNetV2": "inception_resnet",
    "InceptionV3": "inception",
    "KerasCNN": "keras_cnn",
    "LeNet5": "lenet",
    "LinearRegression": "linear",
    "Llama": "llama",
    "LoRALinear": "lora",
    "Localizer": "detector",
    "LogisticRegression": "linear",
    "Luong": "seq2seq",
    "M2M100": "transformer",
    "MLP": "mlp",
    "MobileNet": "mobilenet",
    "MobileNetV2": "mobilenet",
    "Network": "_blocks",
    "Perceptron": "perceptron",
    "Preprocessing": "preprocessing",
    "RecGAN": "recommender",
    "RecGANCell": "recommender",
    "RecurrentLM": "recurrent_lm",
    "ResNet": "resnet",
    "ResNetV2": "resnet_v2",
    "SoftmaxRegression": "linear",
    "SqueezeNet": "squeezenet",
    "T5": "t5",
    "T5_SIZES": "t5",
    "TRANSFORMER_SIZES": "transformer",
    "TinyYolo": "detector",
    "Transformer": "transformer",
    "UNet": "unet",
    "UltraFace": "ultraface",
    "VGG": "vgg",
    "VIT_SIZES": "vit",
    "ViT": "vit",
    "WHISPER_SIZES": "whisper",
    "Wav2Vec2Conformer": "conformer",
    "WeightsReport": "weights",
    "Whisper": "whisper",
    "Xception": "xception",
    "YoloHead": "darknet",
    "add_lora": "lora",
    "alexnet": "alexnet",
    "build": "registry",
    "config_of": "registry",
    "densenet121": "densenet",
    "densenet161": "densenet",
    "densenet169": "densenet",
    "densenet201": "densenet",
    "discriminative_rates": "transfer",
    "extract_features": "transfer",
    "fcn_resnet101": "fcn",
    "fcn_resnet50": "fcn",
    "freeze": "transfer",
    "from_pretrained": "hugging_face",
    "get_model": "registry",
    "get_model_builder": "registry",
    "inception_resnet_v2": "inception_resnet",
    "inception_v3": "inception",
    "list_models": "registry",
    "load_lora": "lora",
    "load_ncnn": "ncnn",
    "load_pretrained": "weights",
    "lora_state": "lora",
    "merge_lora": "lora",
    "mobilenet": "mobilenet",
    "mobilenet_v2": "mobilenet",
    "name_of": "registry",
    "names": "registry",
    "plain110": "cifar_resnet",
    "plain20": "cifar_resnet",
    "plain32": "cifar_resnet",
    "plain44": "cifar_resnet",
    "plain56": "cifar_resnet",
    "read_cfg": "darknet",
    "read_class_names": "weights",
    "quantize": "quantized",
    "read_config": "hugging_face",
    "read_ncnn": "ncnn",
    "read_onnx_arrays": "onnx_arrays",
    "register": "registry",
    "resnet101": "resnet",
    "resnet101_v2": "resnet_v2",
    "resnet110": "cifar_resnet",
    "resnet152": "resnet",
    "resnet152_v2": "resnet_v2",
    "resnet18": "resnet",
    "resnet20": "cifar_resnet",
    "resnet32": "cifar_resnet",
    "resnet34": "resnet",
    "resnet44": "cifar_resnet",
    "resnet50": "resnet",
    "resnet50_v2": "resnet_v2",
    "resnet56": "cifar_resnet",
    "resnext101_32x8d": "resnet",
    "resnext101_64x4d": "resnet",
    "resnext50_32x4d": "resnet",
    "squeezenet1_0": "squeezenet",
    "squeezenet1_1": "squeezenet",
    "stages": "transfer",
    "unet": "unet",
    "unfreeze": "transfer",
    "vgg11": "vgg",
    "vgg11_bn": "vgg",
    "vgg13": "vgg",
    "vgg13_bn": "vgg",
    "vgg16": "vgg",
    "vgg16_bn": "vgg",
    "vgg19": "vgg",
    "vgg19_bn": "vgg",
    "wide_resnet101_2": "resnet",
    "wide_resnet50_2": "resnet",
    "xception": "xception",
}

__all__ = [*_HOMES]

if TYPE_CHECKING:
    from einkorn.models._blocks import Network
    from einkorn.models.alexnet import AlexNet, alexnet
    from einkorn.models.bert import (
        Bert,
        BertForMaskedLM,
        BertForPreTraining,
        BertForQuestionAnswering,
        BertForSequenceClassification,
        BertForTokenClassification,
    )
    from einkorn.models.captioner import Captioner
    from einkorn.models.causal import CausalLM
    from einkorn.models.cifar_resnet import (
        CIFARResNet,
        plain20,
        plain32,
        plain44,
        plain56,
        plain110,
        resnet20,
        resnet32,
        resnet44,
        resnet56,
        resnet110,
    )
    from einkorn.models.classifier import ImageClassifier
    from einkorn.models.clip import CLIP, CLIP_SIZES
    from einkorn.models.conformer import ConformerCTC, Wav2Vec2Conformer
    from einkorn.models.darknet import Darknet, YoloHead, read_cfg
    from einkorn.models.densenet import DenseNet, densenet121, densenet161, densenet169, densenet201
    from einkorn.models.detector import Localizer, TinyYolo
    from einkorn.models.encoder_decoder import EncoderDecoder
    from einkorn.models.espcn import ESPCN
    from einkorn.models.fast_style import FastStyle
    from einkorn.models.fcn import FCN, fcn_resnet50, fcn_resnet101
    from einkorn.models.gpt import GPT, GPT_SIZES
    from einkorn.models.hugging_face import from_pretrained, read_config
    from einkorn.models.inception import InceptionOutputs, InceptionV3, inception_v3
    from einkorn.models.inception_resnet import InceptionResNetV2, inception_resnet_v2
    from einkorn.models.keras_cnn import KerasCNN
    from einkorn.models.lenet import LeNet5
    from einkorn.models.linear import LinearRegression, LogisticRegression, SoftmaxRegression
    from einkorn.models.llama import Llama
    from einkorn.models.lora import LoRALinear, add_lora, load_lora, lora_state, merge_lora
    from einkorn.models.mlp import MLP
    from einkorn.models.mobilenet import MobileNet, MobileNetV2, mobilenet, mobilenet_v2
    from einkorn.models.ncnn import load_ncnn, read_ncnn
    from einkorn.models.onnx_arrays import read_onnx_arrays
    from einkorn.models.perceptron import Perceptron
    from einkorn.models.preprocessing import Preprocessing
    from einkorn.models.quantized import quantize
    from einkorn.models.recommender import RecGAN, RecGANCell
    from einkorn.models.recurrent_lm import RecurrentLM
    from einkorn.models.registry import (
        build,
        config_of,
        get_model,
        get_model_builder,
        list_models,
        name_of,
        names,
        register,
    )
    from einkorn.models.resnet import (
        ResNet,
        resnet18,
        resnet34,
        resnet50,
        resnet101,
        resnet152,
        resnext50_32x4d,
        resnext101_32x8d,
        resnext101_64x4d,
        wide_resnet50_2,
        wide_resnet101_2,
    )
    from einkorn.models.resnet_v2 import ResNetV2, resnet50_v2, resnet101_v2, resnet152_v2
    from einkorn.models.seq2seq import GNMT, Bahdanau, Luong
    from einkorn.models.squeezenet import SqueezeNet, squeezenet1_0, squeezenet1_1
    from einkorn.models.t5 import T5, T5_SIZES
    from einkorn.models.transfer import discriminative_rates, extract_features, freeze, stages, unfreeze
    from einkorn.models.transformer import M2M100, TRANSFORMER_SIZES, Transformer
    from einkorn.models.ultraface import UltraFace
    from einkorn.models.unet import UNet, unet
    from einkorn.models.vgg import VGG, vgg11, vgg11_bn, vgg13, vgg13_bn, vgg16, vgg16_bn, vgg19, vgg19_bn
    from einkorn.models.vit import VIT_SIZES, ViT
    from einkorn.models.weights import WeightsReport, load_pretrained, read_class_names
    from einkorn.models.whisper import WHISPER_SIZES, Whisper
    from einkorn.models.xception import Xception, xception

# Of torchvision's modules, what is here in their place.
_INSTEAD = {
    "detection": "detectors are Darknet, TinyYolo and UltraFace",
    "segmentation": "its networks are here themselves: fcn_resnet50, fcn_resnet101, unet",
    "get_model_weights": "weights are files: get_model(name, weights=path)",
    "get_weight": "weights are files: get_model(name, weights=path)",
}
__getattr__, __dir__ = later(__name__, _HOMES, _INSTEAD)
