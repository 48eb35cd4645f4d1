// Losses of boosting: gradients and hessians of every row, and what a leaf should add under losses without curvature.
//
// With score F, target y, d = F - y, p = sigmoid(F) or softmax(F)_k:
//
//                loss                                        gradient            hessian
//   squared      d^2 / 2                                     d                   1
//   absolute     |d|                                         sign(d)             1
//   huber        d^2 / 2, delta (|d| - delta / 2) beyond     d cut at +-delta    1             parameter: delta
//   quantile     alpha max(-d, 0) + (1 - alpha) max(d, 0)    1 - alpha, -alpha   1             parameter: alpha
//   logistic     log(1 + exp(F)) - y F                       p - y               p (1 - p)
//   multinomial  log(sum_k exp(F_k)) - F_y                   p_k - [y = k]       K / (K - 1) p_k (1 - p_k)
//   poisson      exp(F) - y F                                exp(F) - y          exp(F)
//
//   boost_loss     gradient[k, r], hessian[k, r] times the row's weight; loss = scale * sum of weight * loss
//   leaf_quantile  out[l] = the quantile alpha of y - F over the rows of leaf l, by weight: the least value that
//                  a share alpha of the weight does not exceed, or the mean of it and the next where the share is met
//                  exactly. `absolute`: of |y - F|. delta > 0: and one Huber step from there (Friedman 2001, eq. 31),
//                  out[l] += sum w sign(r - out) min(delta, |r - out|) / sum w, r = y - F
//
// Multinomial  K / (K - 1): Friedman (2001), algorithm 6: of K scores only K - 1 are free.
// Shapes     raw, gradient, hessian [outputs, rows] contiguous, target [rows] double (multinomial: label int32), weight float
//            [rows] or null (ones). outputs is 1 for all but multinomial. gradient, hessian, loss: null where not wanted.
//            leaf int32 [rows], null: all rows in leaf 0; rows with a leaf outside [0, leaves) take no part.
// Aliasing   none.   Zero sizes  the loss of no rows is 0; a leaf without weight gives 0.
// NaN        propagates, to the row's or the leaf's result. A label outside [0, outputs) belongs to no class.
// Accumulates  F - y in double, the rest of a row in float; losses and weights in double.
// Determinism  rows in blocks of kBoostBlock, their sums added in order; a leaf is one task: same bits for any thread count.
// Cost       boost_loss: bytes 16 read, 8 written a row (multinomial 8 and 8 a score); 3 to 40 FLOP.
//            leaf_quantile: a scatter and about 3 passes over the rows.

#pragma once

#include "kernels/layout.h"
#include "kernels/table.h"
#include "runtime/carver.h"
#include "runtime/parallel.h"

namespace einkorn {

enum class BoostLossKind : int { squared, absolute, huber, quantile, logistic, multinomial, poisson };

struct BoostLoss {
  float* gradient;
  float* hessian;
  double* loss;
  const double* raw;
  const double* target;
  const int32_t* label;
  const float* weight;
  int64_t rows, outputs;
  BoostLossKind kind;
  double parameter, scale;
  Workspace ws;  // scratch: BoostLossParts
};

struct LeafQuantile {
  double* out;
  const double* target;
  const double* raw;  // null: zeros
  const int32_t* leaf;
  const float* weight;
  int64_t rows, leaves;
  double alpha, delta;
  bool absolute;
  Workspace ws;  // scratch: LeafQuantileParts
};

// Rows that one task takes.
constexpr int64_t kBoostBlock = 16384;

inline int64_t boost_blocks(int64_t rows) {
  return (rows + kBoostBlock - 1) / kBoostBlock;
}

inline namespace EINKORN_ISA {

struct BoostLossParts {
  double* partial;  // [blocks]

  BoostLossParts(Carver& c, const BoostLoss& k) : partial(c.take<double>(boost_blocks(k.rows))) {}
};

struct LeafQuantileParts {
  int64_t* place;    // [blocks, leaves]: where a block's rows of a leaf go
  int64_t* start;    // [leaves + 1]
  double* residual;  // by leaf
  float* weight;     // theirs

  LeafQuantileParts(Carver& c, const LeafQuantile& k)
      : place(c.take<int64_t>(boost_blocks(k.rows) * k.leaves)),
        start(c.take<int64_t>(k.leaves + 1)),
        residual(c.take<double>(k.rows)),
        weight(c.take<float>(k.weight != nullptr ? k.rows : 0)) {}
};

}  // namespace EINKORN_ISA

#define EINKORN_BOOST_LOSS_INDEX_KERNELS(X) \
  X(boost_loss, BoostLoss)                  \
  X(leaf_quantile, LeafQuantile)

EINKORN_INDEX_TABLE(BoostLossIndexKernels, EINKORN_BOOST_LOSS_INDEX_KERNELS)

}  // namespace einkorn
