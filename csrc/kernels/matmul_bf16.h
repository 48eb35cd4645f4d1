// matmul_bf16: batched matrix products of bfloat16, with everything a linear layer adds.
//
//   out[b, i, j] = act(alpha * sum_k a[b, i, k] * b[b, k, j] + beta * out[b, i, j] + bias[j])
//
// bfloat16 is handed over as its bits, uint16_t. a and b are bfloat16, out and bias bfloat16 or float.
//
// Shapes       out (batch..., M, N), a (batch..., M, K), b (batch..., K, N), bias (N) or null. A batch stride of 0 broadcasts.
// Layout       as matmul: a and b have stride 1 along one of their two matrix dimensions, or a size of 1 along one; out steps by
//              out_m and out_n, one of them 1.
// Aliasing     out overlaps nothing.
// Zero sizes   no output: nothing happens; K = 0: out = act(beta * out + bias).
// NaN          propagates; beta = 0 does not read out, so NaN there does not survive.
// Sums         in float over all of K; a bfloat16 out is rounded once, at the end, after bias and activation. Where the instruction
//              set has vdpbf16ps (avx512_bf16), two products are added to a sum at a time, each operation rounded to the
//              nearest, and subnormal operands, products and sums are zeros; by tiles (amx) so are they, and sums of even and of
//              odd k run apart for 32 elements. Everywhere else, and where one operand is a vector that multiplies rows,
//              products are exact, and subnormal numbers are numbers.
// Writes       every element of out. Same bits for any thread count, not for every instruction set.
// Cost         2 M N K FLOP a matrix; bytes: a, b and out once (and out again for beta).

#pragma once

#include "kernels/activation.h"
#include "kernels/layout.h"
#include "kernels/packed_operands.h"
#include "kernels/table.h"
#include "runtime/parallel.h"

namespace einkorn {

// Where elements lie that are bfloat16 or float.
struct HalfOrFloat {
  char* p;
  int64_t bytes;  // of an element: 2 or 4

  explicit operator bool() const { return p != nullptr; }
  HalfOrFloat operator+(int64_t elements) const { return {p + elements * bytes, bytes}; }
};

struct MatmulBf16 {
  using Sum = float;
  using Place = HalfOrFloat;

  HalfOrFloat out;
  const uint16_t* a;
  const uint16_t* b;
  HalfOrFloat bias;  // of out's columns, along out_n; null: none
  int64_t m, n, k;
  int64_t out_m, out_n, a_m, a_k, b_k, b_n;  // strides
  bool bias_on_rows;                         // the operands were swapped: bias runs along m
  int batch_ndim;
  int64_t batch_shape[kMaxDims];
  int64_t out_batch[kMaxDims], a_batch[kMaxDims], b_batch[kMaxDims];
  float alpha, beta;
  Activation activation;
  Workspace ws;

  PackedOperands<uint16_t> operands() const { return {a, b, m, n, k, a_m, a_k, b_k, b_n}; }
};

// Chunks of K in a row vector times a matrix of rows, each of which gives one partial sum; pieces of K in a dot product.
inline int64_t chunks_of_row(const MatmulBf16& x) {
  const int64_t chunks = x.n * x.k / (int64_t{1} << 18), most = x.k / 64 < 16 ? x.k / 64 : 16;
  return chunks < 1 || most < 1 ? 1 : (chunks < most ? chunks : most);
}
constexpr int64_t kBf16DotPiece = 65536;
inline int64_t pieces_of_dot(const MatmulBf16& x) {
  return (x.k + kBf16DotPiece - 1) / kBf16DotPiece;
}

// A row vector times columns that run along k, or times one column of any stride, is taken as dot products.
inline bool is_dot_of_row(const MatmulBf16& x) {
  return x.n == 1 || (x.b_k == 1 && x.b_n != 1);
}

inline namespace EINKORN_ISA {

struct MatmulBf16Parts {
  PackedParts panels;                  // of a product of matrices
  PartOfEach<float> sums, block_sums;  // [n] of chunks or pieces
  uint16_t *row, *column;              // a vector without its stride

  MatmulBf16Parts(Carver& c, const MatmulBf16& x)
      : panels(c, x.m == 1 && x.k > 0 ? PackedOperands<uint16_t>{} : x.operands(), x.ws.threads) {
    const bool is_row = x.m == 1 && x.k > 0, is_dot = is_row && is_dot_of_row(x);
    const int64_t parts = is_dot ? pieces_of_dot(x) : is_row ? chunks_of_row(x) : 0;
    sums = c.take_each<float>(parts, x.n + kPackedSlack);
    block_sums = c.take_each<float>(is_dot ? 0 : parts, x.n + kPackedSlack);
    row = c.take<uint16_t>(is_dot && x.a_k != 1 ? x.k : 0);
    column = c.take<uint16_t>(is_dot && x.n == 1 && x.b_k != 1 ? x.k : 0);
  }
};

}  // namespace EINKORN_ISA

#define EINKORN_MATMUL_BF16_KERNELS(X) X(matmul_bf16, MatmulBf16)

EINKORN_INDEX_TABLE(MatmulBf16Kernels, EINKORN_MATMUL_BF16_KERNELS)

}  // namespace einkorn
