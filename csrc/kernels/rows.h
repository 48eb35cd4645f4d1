// Walking N strided arrays row by row: what copy, elementwise and reduce share.
//
// A row is a run along the innermost dimension, at most kRowBlock long. Tasks are groups of rows of about kTaskElements
// elements, cut by the problem's size alone.

#pragma once

#include "kernels/layout.h"
#include "runtime/parallel.h"
#include "simd/simd.h"

namespace einkorn {
inline namespace EINKORN_ISA {

constexpr int64_t kRowBlock = 16384;
constexpr int64_t kTaskElements = 16384;

// Calls row(offset, size) for every row; offset[k] is the element offset of its start in operand k.
// `cost` is nanoseconds per element on one core.
template <int N, class Row>
EINKORN_INLINE void for_rows(const Workspace& ws, const Layout<N>& layout, double cost, const Row& row) {
  const int inner = layout.ndim - 1;
  const int64_t inner_size = layout.shape[inner];
  int64_t outer = 1;
  for (int d = 0; d < inner; ++d) outer *= layout.shape[d];
  if (outer == 0 || inner_size == 0) return;
  const int64_t blocks = (inner_size + kRowBlock - 1) / kRowBlock;
  const int64_t rows = outer * blocks;
  const int64_t row_size = blocks > 1 ? kRowBlock : inner_size;
  const int64_t rows_per_task = row_size >= kTaskElements ? 1 : kTaskElements / row_size;
  const int64_t tasks = (rows + rows_per_task - 1) / rows_per_task;

  parallel_for(ws, tasks, cost * static_cast<double>(row_size * rows_per_task), [&](int64_t task, int) {
    const int64_t first = task * rows_per_task;
    const int64_t last = first + rows_per_task < rows ? first + rows_per_task : rows;
    int64_t index[kMaxDims] = {};
    int64_t base[N] = {};
    int64_t rest = first / blocks;
    for (int d = inner - 1; d >= 0; --d) {
      index[d] = rest % layout.shape[d];
      rest /= layout.shape[d];
      for (int k = 0; k < N; ++k) base[k] += index[d] * layout.strides[k][d];
    }
    int64_t block = first % blocks;
    for (int64_t r = first; r < last; ++r) {
      const int64_t begin = block * kRowBlock;
      int64_t offset[N];
      for (int k = 0; k < N; ++k) offset[k] = base[k] + begin * layout.strides[k][inner];
      row(offset, inner_size - begin < kRowBlock ? inner_size - begin : kRowBlock);
      if (++block < blocks) continue;
      block = 0;
      for (int d = inner - 1; d >= 0; --d) {  // the next row: count up like an odometer
        for (int k = 0; k < N; ++k) base[k] += layout.strides[k][d];
        if (++index[d] < layout.shape[d]) break;
        for (int k = 0; k < N; ++k) base[k] -= layout.shape[d] * layout.strides[k][d];
        index[d] = 0;
      }
    }
  });
}

// n lanes (at most a vector) starting at element i of a row with any stride.
template <class T>
EINKORN_INLINE Vec<T> load_strided(const T* row, int64_t stride, int64_t i, int64_t n) {
  if (stride == 1) return load_n(row + i, n);
  if (stride == 0) return broadcast(*row);
  T lane[kLanes<T>] = {};
  for (int64_t j = 0; j < n; ++j) lane[j] = row[(i + j) * stride];
  return load(lane);
}

template <class T>
EINKORN_INLINE void store_strided(T* row, int64_t stride, int64_t i, int64_t n, Vec<T> v) {
  if (stride == 1) return store_n(row + i, n, v);
  T lane[kLanes<T>];
  store(lane, v);
  for (int64_t j = 0; j < n; ++j) row[(i + j) * stride] = lane[j];
}

}  // namespace EINKORN_ISA
}  // namespace einkorn
