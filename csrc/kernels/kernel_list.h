// Every kernel of einkorn, one line each: X(name, argument struct).
//
// The table of function pointers, the per-ISA tables, the support matrix and the recorder's names all come from these lines.
// The contract of a kernel (formula, layouts, cost) stands beside its argument struct in kernels/<family>.h.

#pragma once

#include "kernels/boost_loss.h"
#include "kernels/conv/conv.h"
#include "kernels/copy.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/haar/haar.h"
#include "kernels/histogram.h"
#include "kernels/loss.h"
#include "kernels/machine.h"
#include "kernels/matmul.h"
#include "kernels/optimizer.h"
#include "kernels/pool/pool.h"
#include "kernels/random.h"
#include "kernels/reduce.h"
#include "kernels/softmax.h"
#include "kernels/stump/stump.h"
#include "kernels/tree/tree_forest.h"
#include "kernels/tree/tree_grow.h"
#include "kernels/tree/tree_predict.h"
#include "kernels/tree/tree_shap.h"

// Kernels over float and double arrays: struct Args<T>, body `template <class T> void name(const Args<T>&)`.
#define EINKORN_FLOAT_KERNELS(X) \
  EINKORN_CONV_KERNELS(X)        \
  X(copy, Copy)                  \
  X(cast, Cast)                  \
  X(fill, Fill)                  \
  EINKORN_UNARY_KERNELS(X)       \
  EINKORN_UNARY_GRAD_KERNELS(X)  \
  EINKORN_BINARY_KERNELS(X)      \
  X(where, Where)                \
  X(clip, Clip)                  \
  EINKORN_MACHINE_KERNELS(X)     \
  X(matmul, Matmul)              \
  EINKORN_REDUCE_KERNELS(X)      \
  EINKORN_RANDOM_KERNELS(X)      \
  EINKORN_OPTIMIZER_KERNELS(X)   \
  EINKORN_POOL_KERNELS(X)        \
  EINKORN_SOFTMAX_KERNELS(X)     \
  EINKORN_STUMP_KERNELS(X)       \
  EINKORN_LOSS_KERNELS(X)        \
  EINKORN_HISTOGRAM_KERNELS(X)   \
  X(tree_predict, TreePredict)   \
  X(tree_shap, TreeShap)         \
  EINKORN_TREE_GROW_KERNELS(X)

// Kernels over index arrays: struct Args, body `void name(const Args&)`.
#define EINKORN_INDEX_KERNELS(X)         \
  X(first_out_of_range, FirstOutOfRange) \
  EINKORN_RANDOM_INDEX_KERNELS(X)        \
  EINKORN_HISTOGRAM_INDEX_KERNELS(X)     \
  EINKORN_BOOST_LOSS_KERNELS(X)          \
  EINKORN_STUMP_INDEX_KERNELS(X)         \
  EINKORN_TREE_GROW_INDEX_KERNELS(X)     \
  EINKORN_HAAR_KERNELS(X)                \
  EINKORN_FOREST_INDEX_KERNELS(X)
