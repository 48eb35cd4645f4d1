"""einkorn's operations: plain arrays in, arrays out; Tensors in, differentiable Tensors out.

Names and argument order are those of ``torch`` and ``torch.nn.functional``; arguments of our own are
keyword-only. One module per family, named as the family is in every layer.
"""

from einkorn.ops.activation import *  # noqa: F403
from einkorn.ops.arrange import *  # noqa: F403
from einkorn.ops.assemble import *  # noqa: F403
from einkorn.ops.attention import *  # noqa: F403
from einkorn.ops.augment import *  # noqa: F403
from einkorn.ops.boost_loss import *  # noqa: F403
from einkorn.ops.boxes import *  # noqa: F403
from einkorn.ops.conv import *  # noqa: F403
from einkorn.ops.copy import *  # noqa: F403
from einkorn.ops.crf import *  # noqa: F403
from einkorn.ops.criterion import *  # noqa: F403
from einkorn.ops.ctc import *  # noqa: F403
from einkorn.ops.distance import *  # noqa: F403
from einkorn.ops.einsum import *  # noqa: F403
from einkorn.ops.elementwise import *  # noqa: F403
from einkorn.ops.embedding import *  # noqa: F403
from einkorn.ops.gather import *  # noqa: F403
from einkorn.ops.gather_put import *  # noqa: F403
from einkorn.ops.glove import *  # noqa: F403
from einkorn.ops.haar import *  # noqa: F403
from einkorn.ops.histogram import *  # noqa: F403
from einkorn.ops.loss import *  # noqa: F403
from einkorn.ops.loss_classes import *  # noqa: F403
from einkorn.ops.math import *  # noqa: F403
from einkorn.ops.math_questions import *  # noqa: F403
from einkorn.ops.matmul import *  # noqa: F403
from einkorn.ops.norm import *  # noqa: F403
from einkorn.ops.norm_batch import *  # noqa: F403
from einkorn.ops.norm_local_response import *  # noqa: F403
from einkorn.ops.pool import *  # noqa: F403
from einkorn.ops.pool_average import *  # noqa: F403
from einkorn.ops.positions import *  # noqa: F403
from einkorn.ops.random import *  # noqa: F403
from einkorn.ops.reduce import *  # noqa: F403
from einkorn.ops.resample import *  # noqa: F403
from einkorn.ops.rnn import *  # noqa: F403
from einkorn.ops.sample import *  # noqa: F403
from einkorn.ops.scan import *  # noqa: F403
from einkorn.ops.similarity import *  # noqa: F403
from einkorn.ops.softmax import *  # noqa: F403
from einkorn.ops.sort import *  # noqa: F403
from einkorn.ops.sort_distinct import *  # noqa: F403
from einkorn.ops.special import *  # noqa: F403
from einkorn.ops.statistics import *  # noqa: F403
from einkorn.ops.stump import *  # noqa: F403
from einkorn.ops.summary import *  # noqa: F403
from einkorn.ops.tree_forest import *  # noqa: F403
from einkorn.ops.tree_grow import *  # noqa: F403
from einkorn.ops.tree_predict import *  # noqa: F403
from einkorn.ops.tree_shap import *  # noqa: F403
from einkorn.ops.vocabulary import *  # noqa: F403
from einkorn.ops.word2vec import *  # noqa: F403
