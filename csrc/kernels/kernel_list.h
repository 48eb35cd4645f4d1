// Every family of kernels, one line each: F(table, list). The table and the list stand in the family's contract,
// kernels/<family>.h, beside the argument structs.
//
// The tables of an instruction set, the support matrix and the recorder's names all come from these lines. Only what puts
// families together includes this file: isa_table.cpp, dispatch.cpp, bind/kernels.h and bind/cuda/runtime.cpp.

#pragma once

#include "kernels/attention/attention.h"
#include "kernels/augment/augment.h"
#include "kernels/boost_loss.h"
#include "kernels/boxes.h"
#include "kernels/cast.h"
#include "kernels/conv/conv.h"
#include "kernels/copy.h"
#include "kernels/crf.h"
#include "kernels/ctc.h"
#include "kernels/elementwise/activation.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/elementwise/math.h"
#include "kernels/embedding.h"
#include "kernels/gather.h"
#include "kernels/glove.h"
#include "kernels/haar/haar.h"
#include "kernels/histogram.h"
#include "kernels/loss.h"
#include "kernels/machine.h"
#include "kernels/matmul.h"
#include "kernels/matmul_bf16.h"
#include "kernels/matmul_int8.h"
#include "kernels/norm/norm.h"
#include "kernels/optimizer/optimizer.h"
#include "kernels/pool/pool.h"
#include "kernels/random.h"
#include "kernels/reduce.h"
#include "kernels/resample/resample.h"
#include "kernels/rnn/rnn.h"
#include "kernels/scan.h"
#include "kernels/softmax.h"
#include "kernels/sort.h"
#include "kernels/stump/stump.h"
#include "kernels/tree/tree_forest.h"
#include "kernels/tree/tree_grow.h"
#include "kernels/tree/tree_predict.h"
#include "kernels/tree/tree_shap.h"
#include "kernels/word2vec.h"

// Kernels over float and double arrays.
#define EINKORN_FLOAT_FAMILIES(F)                     \
  F(ActivationKernels, EINKORN_ACTIVATION_KERNELS)    \
  F(AttentionKernels, EINKORN_ATTENTION_KERNELS)      \
  F(BoxesKernels, EINKORN_BOXES_KERNELS)              \
  F(CastKernels, EINKORN_CAST_KERNELS)                \
  F(ConvKernels, EINKORN_CONV_KERNELS)                \
  F(CopyKernels, EINKORN_COPY_KERNELS)                \
  F(CrfKernels, EINKORN_CRF_KERNELS)                  \
  F(CtcKernels, EINKORN_CTC_KERNELS)                  \
  F(ElementwiseKernels, EINKORN_ELEMENTWISE_KERNELS)  \
  F(GatherKernels, EINKORN_GATHER_KERNELS)            \
  F(EmbeddingKernels, EINKORN_EMBEDDING_KERNELS)      \
  F(HistogramKernels, EINKORN_HISTOGRAM_KERNELS)      \
  F(LossKernels, EINKORN_LOSS_KERNELS)                \
  F(MachineKernels, EINKORN_MACHINE_KERNELS)          \
  F(MathKernels, EINKORN_MATH_KERNELS)                \
  F(MatmulKernels, EINKORN_MATMUL_KERNELS)            \
  F(NormKernels, EINKORN_NORM_KERNELS)                \
  F(OptimizerKernels, EINKORN_OPTIMIZER_KERNELS)      \
  F(PoolKernels, EINKORN_POOL_KERNELS)                \
  F(RandomKernels, EINKORN_RANDOM_KERNELS)            \
  F(ReduceKernels, EINKORN_REDUCE_KERNELS)            \
  F(ResampleKernels, EINKORN_RESAMPLE_KERNELS)        \
  F(RnnKernels, EINKORN_RNN_KERNELS)                  \
  F(ScanKernels, EINKORN_SCAN_KERNELS)                \
  F(SoftmaxKernels, EINKORN_SOFTMAX_KERNELS)          \
  F(SortKernels, EINKORN_SORT_KERNELS)                \
  F(StumpKernels, EINKORN_STUMP_KERNELS)              \
  F(TreeGrowKernels, EINKORN_TREE_GROW_KERNELS)       \
  F(TreePredictKernels, EINKORN_TREE_PREDICT_KERNELS) \
  F(TreeShapKernels, EINKORN_TREE_SHAP_KERNELS)

// Those of them that take arrays of bfloat16 as they are, by their lists of these: on every instruction set, and where pairs of
// bfloat16 are multiplied (gemm_pairs.h).
#define EINKORN_STORED_FAMILIES(F) F(NormKernels, EINKORN_NORM_STORED_KERNELS)
#define EINKORN_PAIR_FAMILIES(F)                 \
  F(AttentionKernels, EINKORN_ATTENTION_KERNELS) \
  F(ConvKernels, EINKORN_CONV_PAIR_KERNELS)      \
  F(RnnKernels, EINKORN_RNN_KERNELS)
#define EINKORN_BFLOAT16_FAMILIES(F) EINKORN_STORED_FAMILIES(F) EINKORN_PAIR_FAMILIES(F)

// Kernels over narrow numbers. Some instruction sets are made for these alone: they have a table of these families, and take
// the rest from the one before them (runtime/dispatch.cpp).
#define EINKORN_NARROW_FAMILIES(F)                  \
  F(MatmulBf16Kernels, EINKORN_MATMUL_BF16_KERNELS) \
  F(MatmulInt8Kernels, EINKORN_MATMUL_INT8_KERNELS)

// Kernels over arrays of fixed types: indices, codes, pixels.
#define EINKORN_INDEX_FAMILIES(F)                              \
  F(AugmentIndexKernels, EINKORN_AUGMENT_INDEX_KERNELS)        \
  F(BoostLossIndexKernels, EINKORN_BOOST_LOSS_INDEX_KERNELS)   \
  F(GloveIndexKernels, EINKORN_GLOVE_INDEX_KERNELS)            \
  F(HaarIndexKernels, EINKORN_HAAR_INDEX_KERNELS)              \
  F(HistogramIndexKernels, EINKORN_HISTOGRAM_INDEX_KERNELS)    \
  F(RandomIndexKernels, EINKORN_RANDOM_INDEX_KERNELS)          \
  F(ReduceIndexKernels, EINKORN_REDUCE_INDEX_KERNELS)          \
  F(ScanIndexKernels, EINKORN_SCAN_INDEX_KERNELS)              \
  F(StumpIndexKernels, EINKORN_STUMP_INDEX_KERNELS)            \
  F(TreeForestIndexKernels, EINKORN_TREE_FOREST_INDEX_KERNELS) \
  F(TreeGrowIndexKernels, EINKORN_TREE_GROW_INDEX_KERNELS)     \
  F(Word2VecIndexKernels, EINKORN_WORD2VEC_INDEX_KERNELS)      \
  EINKORN_NARROW_FAMILIES(F)
