// matmul: batched matrix products with everything a linear layer adds.
//
//   out[b, i, j] = act(alpha * sum_k a[b, i, k] * b[b, k, j] + beta * out[b, i, j] + bias[j])
//
// Shapes       out (batch..., M, N), a (batch..., M, K), b (batch..., K, N), bias (N) or null. A batch stride of 0 broadcasts.
// Layout       a and b have stride 1 along one of their two matrix dimensions, or a size of 1 along one: then the other may have
//              any stride (a column of a matrix, a reversed vector). The other and the batch strides are free, zero and negative
//              ones among them. out steps by out_m and out_n, one of them 1: swapping the operands (C^T = B^T A^T) is free.
// Aliasing     out overlaps nothing.
// Zero sizes   no output: nothing happens; K = 0: out = act(beta * out + bias).
// NaN          propagates; beta = 0 does not read out, so NaN there does not survive.
// Sums         in T within blocks of K (at most kUncutDepth deep); from block to block in double where one operand is a vector
//              or few columns are dotted, so that the error does not grow with K; in T elsewhere.
// Writes       every element of out. Same bits for any thread count: K is never split between threads by their number.
// Cost         2 M N K FLOP a matrix; bytes: a, b and out once (and out again for beta).

#pragma once

#include "kernels/activation.h"
#include "kernels/layout.h"
#include "kernels/table.h"
#include "runtime/carver.h"
#include "runtime/parallel.h"

namespace einkorn {

template <class T>
struct Matmul {
  using Sum = T;
  using Place = T*;

  T* out;
  const T* a;
  const T* b;
  const T* bias;  // of out's columns, along out_n; null: none
  int64_t m, n, k;
  int64_t out_m, out_n, a_m, a_k, b_k, b_n;  // strides
  bool bias_on_rows;                         // the operands were swapped: bias runs along m
  int batch_ndim;
  int64_t batch_shape[kMaxDims];
  int64_t out_batch[kMaxDims], a_batch[kMaxDims], b_batch[kMaxDims];
  T alpha, beta;
  Activation activation;
  Workspace ws;
};

// Blocks of K: a slice of b, kDepthBlock x kColumnBlock, stays in the L2 cache while panels of a pass by. Deep blocks, because
// each one reads and writes all of out; a K up to kUncutDepth is not cut.
constexpr int64_t kDepthBlock = 1024, kUncutDepth = 1280, kColumnBlock = 128;
// Room, in elements, for whole-vector stores past the end of a packed panel; the least rows a panel has.
constexpr int64_t kPanelSlack = 64, kLeastTileRows = 6;

// Whether a is copied into panels first: worth it when many columns pass by each panel, and sooner where a tile's rows cannot be
// read where they lie: across k, or all in one set of a cache.
constexpr int64_t kPackedFrom = 192, kPackedRowsFrom = 640, kSetsApart = 4096;  // columns, columns, bytes
template <class T>
inline bool packs_a(const Matmul<T>& x) {
  const bool in_place = x.a_k == 1 && x.a_m * static_cast<int64_t>(sizeof(T)) % kSetsApart != 0;
  return x.m > 1 && x.n >= (in_place ? kPackedRowsFrom : kPackedFrom) && x.m * x.n * x.k > (int64_t{1} << 21);
}

// Whether a row vector times a matrix is taken as dot products: a single column, whatever its stride, or columns that run
// along k. Otherwise rows of the matrix are added up.
template <class T>
inline bool is_dot_of_row(const Matmul<T>& x) {
  return x.n == 1 || (x.b_k == 1 && x.b_n != 1);
}

// Pieces of K in a dot product; each gives one partial sum.
constexpr int64_t kDotPiece = 65536;
template <class T>
inline int64_t dot_pieces(const Matmul<T>& x) {
  return x.k <= kDotPiece ? 1 : (x.k - 1) / kDotPiece + 1;
}

// Chunks of K in a row vector times a matrix; each gives one partial sum of the whole row.
template <class T>
inline int64_t vector_chunks(const Matmul<T>& x) {
  const int64_t chunks = x.n * x.k / (int64_t{1} << 18);
  const int64_t most = x.k / 64 < 16 ? x.k / 64 : 16;
  return chunks < 1 || most < 1 ? 1 : (chunks < most ? chunks : most);
}

// Few columns, both operands along k (the last layer of a classifier): dot products read them where they lie. More than
// kMostStreamedColumns of a large matrix take tiles, which read it once for all of them.
constexpr int64_t kStreamedFrom = 1 << 20, kMostStreamedDepth = 1 << 14, kMostStreamedColumns = 8;
template <class T>
inline bool comes_from_memory(const Matmul<T>& x) {
  return x.m * x.k * static_cast<int64_t>(sizeof(T)) > kStreamedFrom;
}
template <class T>
inline bool is_dotted(const Matmul<T>& x) {
  return x.m > 1 && x.n <= (comes_from_memory(x) ? kMostStreamedColumns : 16) && x.k >= 64 && x.a_k == 1 && x.b_k == 1;
}

// Whether rows of a are taken some at a time then, and the columns are packed.
template <class T>
inline bool is_streamed(const Matmul<T>& x) {
  return is_dotted(x) && comes_from_memory(x) && x.k <= kMostStreamedDepth;
}

inline namespace EINKORN_ISA {

template <class T>
struct MatmulParts {
  // Of a product of tiles:
  PartOfEach<T> b_slices;  // packed, of threads
  T* a_packed;
  // Of a row vector times a matrix:
  PartOfEach<double> totals;  // [n] of pieces or chunks
  PartOfEach<T> sums;         // [n] of chunks
  T* row;                     // the vector without its stride

  MatmulParts(Carver& c, const Matmul<T>& x) {
    const bool is_row = x.m == 1 && x.k > 0, is_dot = is_row && is_dot_of_row(x), is_sum = is_row && !is_dot;
    const int64_t columns = x.n < kColumnBlock ? x.n + kPanelSlack : kColumnBlock;
    const int64_t panels = x.m / kLeastTileRows + 1, depth = x.k <= kUncutDepth ? x.k : kDepthBlock;
    if (is_streamed(x))
      b_slices = c.take_each<T>(x.ws.threads, (x.k + kPanelSlack) * kMostStreamedColumns);
    else
      b_slices = c.take_each<T>(is_row || is_dotted(x) ? 0 : x.ws.threads, depth * columns + kPanelSlack);
    a_packed = c.take<T>(packs_a(x) ? (x.m + kPanelSlack) * depth + panels * kPanelSlack : 0);
    totals = c.take_each<double>(is_dot ? dot_pieces(x) : is_sum ? vector_chunks(x) : 0, x.n);
    sums = c.take_each<T>(is_sum ? vector_chunks(x) : 0, x.n + kPanelSlack);
    row = c.take<T>(is_dot && x.n > 1 && x.a_k != 1 ? x.k : 0);
  }
};

}  // namespace EINKORN_ISA

#define EINKORN_MATMUL_KERNELS(X) X(matmul, Matmul)

EINKORN_FLOAT_TABLE(MatmulKernels, EINKORN_MATMUL_KERNELS)

}  // namespace einkorn
