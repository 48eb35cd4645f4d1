// Scaled dot-product attention, forward and backward, without ever storing the scores.
//
//   s[i, j] = scale * sum_d q[i, d] k[j, d] + bias[i, j] - slope |j - i - (k_len - q_len)|     where query i may see key j
//             -inf                                                                             elsewhere
//   p[i, :] = softmax(s[i, :])           out[i, :] = sum_j drop(p[i, j]) v[j, :]               for each batch entry and head
//
//   query i may see key j where low <= j - i <= high and keep[i, j] is not 0. Causal: high = 0, or k_len - q_len where the
//   last query sees the last key; a sliding window: low as well.
//
//   gv[j] = sum_i drop(p[i, j]) g[i]     ds[i, j] = p[i, j] (drop(g[i] . v[j]) - g[i] . out[i])
//   gq[i] = scale sum_j ds[i, j] k[j]    gk[j] = scale sum_i ds[i, j] q[i]                     gbias = ds
//
// Shapes       out, g [batch, heads, q_len, v_width], q [batch, heads, q_len, width], k [batch, kv_heads, k_len, width],
//              v [batch, kv_heads, k_len, v_width]. Query head h reads key head h / (heads / kv_heads).
// Layout       stride 1 along width, other strides free (gradients as well). bias, keep: any strides, 0 broadcasts.
//              lse [batch, heads, q_len] and gbias [batch, heads, q_len, k_len] contiguous.
// bfloat16     rows are bfloat16 (uint16_t), all else is float; where pairs of bfloat16 are multiplied (avx512_bf16). The weights p,
//              and ds, are rounded to bfloat16 before they are multiplied with v, g, k and q; sums stay float, and are rounded as
//              they are stored. A result is off by no more than 2^-8 of the largest value that it weighs, beside its own rounding.
// Aliasing     outputs overlap nothing.
// Zero sizes   no keys: out = 0. No output: nothing happens.
// Hidden rows  a query that sees no key: out = 0, lse = +inf, gradients 0 (PyTorch's answer).
// NaN          propagates along its row; a score of +inf makes its row NaN, as in softmax. Hidden keys are not looked at
//              where the band hides whole blocks of them; elsewhere 0 * NaN is NaN, as in a product.
// Dropout      weight (b, h, i, j) is kept where word w >> 8 >= ceil(2^24 p) of the seed's Philox stream (philox.h) from
//              counter `offset` on, w = ((b heads + h) k_len + j) L + i with L = q_len rounded up to a multiple of 4;
//              kept weights are divided by 1 - p. Backward makes the same words.
// Accumulates  in T: over keys in blocks, always in the same order; the maximum is carried along (online softmax).
// Writes       every element of the outputs. Same bits for any thread count: tasks are cut by the problem's size.
// Cost         forward 4 batch heads q_len k_len width FLOP (v_width = width), half of it causal; backward 2.5 times that
//              (scores are computed again). Bytes: every operand once, k and v again for each 32 queries, from L2.
//
// Sources: Dao et al., "FlashAttention", 2022; Rabe and Staats, "Self-attention does not need O(n^2) memory", 2021;
// Press et al., "Train short, test long" (ALiBi), 2022.

#pragma once

#include "kernels/layout.h"
#include "kernels/stored.h"
#include "kernels/table.h"
#include "runtime/parallel.h"

namespace einkorn {

// Sizes and the mask: what forward and backward share.
template <class T>
struct AttentionProblem {
  int64_t batch, heads, kv_heads, q_len, k_len, width, v_width;
  const T* bias;        // null: none; strides follow
  const uint8_t* keep;  // null: all
  const T* slopes;      // [heads]; null: none
  int64_t bias_b, bias_h, bias_i, bias_j;
  int64_t keep_b, keep_h, keep_i, keep_j;
  T scale;
  int64_t low, high;
  double dropout;
  uint64_t seed, offset;
};

// An operand [batch, heads, length, width] with stride 1 along width.
template <class P>
struct Rows {
  P* data;
  int64_t b, h, row;

  P* at(int64_t batch, int64_t head, int64_t index) const { return data + batch * b + head * h + index * row; }
};

template <class T>
struct Attention {
  Rows<T> out;
  Number<T>* lse;  // log of the sum of exp(s) of each row, to the engine's own base, for backward; null: not wanted
  Rows<const T> q, k, v;
  AttentionProblem<Number<T>> problem;
  Workspace ws;
};

template <class T>
struct AttentionGrad {
  Rows<T> gq, gk, gv;
  Number<T>* gbias;  // null: not wanted
  Rows<const T> g, out;
  const Number<T>* lse;
  Rows<const T> q, k, v;
  AttentionProblem<Number<T>> problem;
  Workspace ws;
};

#define EINKORN_ATTENTION_KERNELS(X) \
  X(attention_forward, Attention)    \
  X(attention_backward, AttentionGrad)

EINKORN_FLOAT_TABLE(AttentionKernels, EINKORN_ATTENTION_KERNELS)

}  // namespace einkorn
