// Linear layers in whole numbers of eight bits: quantize_rows_u8 and quantize_rows_s8 make them, matmul_int8 multiplies.
//
//   quantize_rows_u8   scale[i] = (hi - lo) / 255, zero[i] = round(-lo / scale), q[i, k] = round(x[i, k] / scale) + zero,
//                      where lo and hi are the least and the largest of row i and of 0: x ~ scale * (q - zero), 0 exactly
//   quantize_rows_s8   scale[i] = max |x[i, :]| / 127, q[i, k] = round(x[i, k] / scale[i])
//   matmul_int8        out[i, j] = act(a_scale[i] * b_scale[j] * (sum_k a[i, k] b[j, k] - a_zero[i] b_sums[j]) + bias[j])
//
// b_sums[j] is the sum over row j of b: what matmul_int8 makes of a row of ones.
//
// Shapes       x, q (M, K); out (M, N), a (M, K) uint8, b (N, K) int8; scale, zero (M) or (N); bias (N) or null. Row-major.
// Aliasing     none.
// Zero sizes   nothing to do, or a sum of nothing; a row of zeros (or of numbers below 1e-36) has scale 1 and is zeros.
// NaN          a row of x with NaN or infinity has scale NaN and q 0: its row of out is NaN.
// Rounding     to the nearest, ties to even. Products and sums are exact, in int32, for K up to kMostInt8Depth; float from there on.
// Writes       every element of the outputs. Same bits for any thread count; q, scale and zero also for every instruction set.
// Cost         2 M N K operations; bytes: K of each row, 4 of each element of out.

#pragma once

#include "kernels/activation.h"
#include "kernels/packed_operands.h"
#include "kernels/table.h"
#include "runtime/parallel.h"

namespace einkorn {

struct QuantizeRowsU8 {
  uint8_t* q;
  float* scale;
  int32_t* zero;
  const float* x;
  int64_t rows, columns;
  Workspace ws;
};

struct QuantizeRowsS8 {
  int8_t* q;
  float* scale;
  const float* x;
  int64_t rows, columns;
  Workspace ws;
};

// 255 * 128 * this is below 2^31.
constexpr int64_t kMostInt8Depth = 65536;
// Rows of a that are dotted with the rows of b where those lie: b is then read once and not packed.
constexpr int64_t kMostDottedRows = 4;

struct MatmulInt8 {
  float* out;
  const uint8_t* a;
  const float* a_scale;
  const int32_t* a_zero;
  const int8_t* b;
  const float* b_scale;
  const int32_t* b_sums;
  const float* bias;
  int64_t m, n, k;
  Activation activation;
  Workspace ws;

  PackedOperands<uint8_t> operands() const { return {a, reinterpret_cast<const uint8_t*>(b), m, n, k, k, 1, 1, k}; }
};

inline namespace EINKORN_ISA {

struct MatmulInt8Parts {
  PackedParts panels;

  MatmulInt8Parts(Carver& c, const MatmulInt8& x)
      : panels(c, x.m <= kMostDottedRows ? PackedOperands<uint8_t>{} : x.operands(), x.ws.threads) {}
};

}  // namespace EINKORN_ISA

#define EINKORN_MATMUL_INT8_KERNELS(X) \
  X(quantize_rows_u8, QuantizeRowsU8)  \
  X(quantize_rows_s8, QuantizeRowsS8)  \
  X(matmul_int8, MatmulInt8)

EINKORN_INDEX_TABLE(MatmulInt8Kernels, EINKORN_MATMUL_INT8_KERNELS)

}  // namespace einkorn
