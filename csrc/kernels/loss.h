// Losses: cross-entropy over classes, and sums of elementwise losses.
//
//   cross-entropy   losses[r] = (1 - e) w[t] nll(r, t) + e / n * sum_c w[c] nll(r, c)
//                   nll(r, c) = lse[r] - logits[r, c];  t = target[r], e = label_smoothing, w = class_weight (1 without)
//                   losses[r] = 0 where t = ignore_index
//                   loss = sum losses / sum row_weight  (mean),  sum losses  (sum)
//                   row_weight[r] = w[t], 0 where ignored
//                   glogits[r, c] = g_r * (p[c] * ((1 - e) w[t] + e / n * sum w) - (1 - e) w[t] [c = t] - e / n * w[c])
//   mse             loss = scale * sum (x - t)^2                                gx = g scale 2 (x - t)
//   l1              loss = scale * sum |x - t|                                  gx = g scale sign(x - t)
//   bce             loss = -scale * sum t log(x) + (1 - t) log(1 - x), logarithms at least -100
//                                                                    gx = g scale (x - t) / max(x (1 - x), 1e-12)
//   bce_with_logits loss = scale * sum (1 - t) x + log(1 + exp(-x))             gx = g scale (sigmoid(x) - t)
//   smooth_l1       loss = scale * sum d^2 / (2 beta), d - beta / 2 from d = |x - t| = beta on
//                                                                    gx = g scale (x - t) / beta within [-1, 1]
//   kl_div          loss = scale * sum t log(t) - t x, 0 log(0) = 0             gx = -g scale t
//   kl_div_log      loss = scale * sum exp(t) (t - x)                           gx = -g scale exp(t)
//   nll             losses[r] = -w[t] x[r, t], reduced as cross-entropy         gx[r, c] = -g_r w[t] [c = t]
//
// Shapes       logits [rows, n] contiguous, target int64 [rows], losses, row_weight, lse [rows], class_weight [n] or null;
//              loss and total_weight one number each, loss null for reduction none. gloss: one number, or [rows] for none.
//              nll: x [rows / inner, n, inner], row r = o inner + i has x[o, :, i].
//              The others: x, target, gx contiguous and alike, loss and gloss one number, or of x's shape for none.
// Targets      are in [0, n) or equal ignore_index: the op has checked. A kernel that meets another one gives that row NaN.
// Aliasing     glogits may be logits; gx may be x. Otherwise none.
// Zero sizes   rows = 0 or every row ignored: the mean is NaN (0 / 0), the sum 0.
// NaN          propagates. A row of nothing but -inf, or with a +inf, has loss NaN; an infinite target logit loss +inf.
// Accumulates  exponentials of a row in T, per lane and in blocks; sums over rows and elements in double.
// Writes       loss, losses, row_weight, total_weight, lse; all of glogits, gx.
// Determinism  partial sums by problem size, added in order: same bits for any thread count.
// Cost         cross-entropy: about 25 FLOP an element each way (exp); the forward reads logits once, the backward reads and
//              writes once. nll: one element a row, the backward writes gx. The others 3 to 40 FLOP an element, reading x and target once, the backward writing gx.
// Accuracy     the backward has p = exp(x - lse) from lse rounded to T: relative error of p up to half an ulp of lse.

#pragma once

#include "kernels/layout.h"
#include "kernels/table.h"
#include "runtime/carver.h"
#include "runtime/parallel.h"

namespace einkorn {

enum class Reduction : int { none, mean, sum };

template <class T>
struct CrossEntropyForward {
  T* loss;  // null for Reduction::none
  T* losses;
  T* row_weight;
  T* total_weight;
  T* lse;
  const T* logits;
  const int64_t* target;
  const T* class_weight;  // null: ones
  int64_t rows, n;
  int64_t ignore_index;
  T label_smoothing;
  Reduction reduction;
  Workspace ws;
};

template <class T>
struct CrossEntropyBackward {
  T* glogits;
  const T* gloss;
  const T* logits;
  const int64_t* target;
  const T* lse;
  const T* row_weight;
  const T* total_weight;
  const T* class_weight;  // null: ones
  int64_t rows, n;
  int64_t ignore_index;
  T label_smoothing;
  Reduction reduction;
  Workspace ws;
};

template <class T>
struct LossForward {
  T* loss;
  const T* x;
  const T* target;
  int64_t size;
  double scale, beta;  // beta: smooth_l1 alone
  bool each;           // loss has an element for each of x, not summed
  Workspace ws;        // scratch: LossParts
};

template <class T>
struct LossBackward {
  T* gx;
  const T* gloss;
  const T* x;
  const T* target;
  int64_t size;
  double scale, beta;
  bool each;  // gloss has an element for each of x
  Workspace ws;
};

template <class T>
struct NllForward {
  T* loss;  // null for Reduction::none
  T* losses;
  T* row_weight;
  T* total_weight;
  const T* x;
  const int64_t* target;
  const T* class_weight;  // null: ones
  int64_t rows, n, inner;
  int64_t ignore_index;
  Reduction reduction;
  Workspace ws;
};

template <class T>
struct NllBackward {
  T* gx;
  const T* gloss;
  const int64_t* target;
  const T* row_weight;
  const T* total_weight;
  int64_t rows, n, inner;
  Reduction reduction;
  Workspace ws;
};

// Elements whose losses one task adds up into one partial sum.
constexpr int64_t kLossBlock = 16384;

inline namespace EINKORN_ISA {

struct LossParts {
  double* partial;  // [blocks], none for each

  template <class T>
  LossParts(Carver& c, const LossForward<T>& k)
      : partial(c.take<double>(k.each ? 0 : (k.size + kLossBlock - 1) / kLossBlock)) {}
};

}  // namespace EINKORN_ISA

#define EINKORN_LOSS_KERNELS(X)                   \
  X(cross_entropy_forward, CrossEntropyForward)   \
  X(cross_entropy_backward, CrossEntropyBackward) \
  X(mse_forward, LossForward)                     \
  X(mse_backward, LossBackward)                   \
  X(l1_forward, LossForward)                      \
  X(l1_backward, LossBackward)                    \
  X(bce_forward, LossForward)                     \
  X(bce_backward, LossBackward)                   \
  X(bce_with_logits_forward, LossForward)         \
  X(bce_with_logits_backward, LossBackward)       \
  X(smooth_l1_forward, LossForward)               \
  X(smooth_l1_backward, LossBackward)             \
  X(kl_div_forward, LossForward)                  \
  X(kl_div_backward, LossBackward)                \
  X(kl_div_log_forward, LossForward)              \
  X(kl_div_log_backward, LossBackward)            \
  X(nll_forward, NllForward)                      \
  X(nll_backward, NllBackward)

EINKORN_FLOAT_TABLE(LossKernels, EINKORN_LOSS_KERNELS)

}  // namespace einkorn
