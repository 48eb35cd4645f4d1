// What the pooling kernels share: walking rows of windows and planes, and rows of scratch memory.

#pragma once

#include <math.h>

#include "kernels/pool/pool.h"
#include "simd/lanes.h"
#include "simd/shuffle.h"

namespace einkorn {
inline namespace EINKORN_ISA {
namespace pooling {

constexpr int64_t kPoolTask = 16384;  // input elements

template <class T>
using Lane = typename VectorOf<T>::lane_integer;

// In the padded row, no pixel: later than every index, so that it loses every tie.
template <class T>
constexpr Lane<T> kNoPixel = static_cast<Lane<T>>(0x7fffffff);

struct Range {
  int64_t begin, end;
};

EINKORN_INLINE int64_t at_most(int64_t a, int64_t b) {
  return a < b ? a : b;
}
EINKORN_INLINE int64_t at_least(int64_t a, int64_t b) {
  return a > b ? a : b;
}
EINKORN_INLINE int64_t divide_up(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

// Which of `kernel` taps, the first at `start` and `dilation` apart, lie in [0, size).
EINKORN_INLINE Range taps_inside(int64_t start, int64_t kernel, int64_t dilation, int64_t size) {
  if (start >= 0 && start + (kernel - 1) * dilation < size) return {0, kernel};  // the usual case: no division
  const int64_t begin = start < 0 ? at_most(divide_up(-start, dilation), kernel) : 0;
  const int64_t end = start < size ? at_most(divide_up(size - start, dilation), kernel) : 0;
  return {begin, at_least(begin, end)};
}

// n lanes p[offset], p[offset + step], ...; step 1 and 2 may read past the last one by two vectors. With step 2 loads start
// at even places, where whole vectors were stored: other loads would wait for the stores to reach the cache.
template <class T>
EINKORN_INLINE Vec<T> load_every(const T* p, int64_t offset, int64_t step, int64_t n) {
  if (step == 1) return load(p + offset);
  if (step == 2) {
    p += offset & ~int64_t{1};
    const Vec<T> a = load(p), b = load(p + kLanes<T>);
    return offset % 2 == 0 ? even<T>(a, b) : odd<T>(a, b);
  }
  T lane[kLanes<T>] = {};
  for (int64_t i = 0; i < n; ++i) lane[i] = p[offset + i * step];
  return load(lane);
}

// A thread's rows of scratch memory.
template <class T>
struct Rows {
  T* row;
  Lane<T>* indices;
  T* out_row;
  T* divisors;

  EINKORN_INLINE Rows(const PoolRows<T>& own)
      : row(own.row), indices(reinterpret_cast<Lane<T>*>(own.indices)), out_row(own.out_row), divisors(own.divisors) {}
};

// Calls body(plane, oh, slot, first) for each row of windows; `first` is true once per task.
template <class Body>
EINKORN_INLINE void for_window_rows(const Workspace& ws, const PoolShape& s, int64_t rows_under_window, double cost,
                                    const Body& body) {
  const int64_t rows = s.planes * s.out_height;
  const int64_t elements = at_least(s.width * rows_under_window, s.out_width) + 1;
  const int64_t rows_per_task = at_least(kPoolTask / elements, 1);
  parallel_for(ws, divide_up(rows, rows_per_task), cost * static_cast<double>(elements * rows_per_task),
               [&](int64_t task, int slot) {
                 const int64_t begin = task * rows_per_task, end = at_most(begin + rows_per_task, rows);
                 int64_t plane = begin / s.out_height, oh = begin % s.out_height;
                 for (int64_t r = begin; r < end; ++r) {
                   body(plane, oh, slot, r == begin);
                   if (++oh == s.out_height) oh = 0, ++plane;
                 }
               });
}

// Calls body(plane, slot, first) for each plane.
template <class Body>
EINKORN_INLINE void for_planes(const Workspace& ws, const PoolShape& s, double cost, const Body& body) {
  const int64_t elements = s.height * s.width + s.out_height * s.out_width + 1;
  const int64_t planes_per_task = at_least(kPoolTask / elements, 1);
  parallel_for(ws, divide_up(s.planes, planes_per_task), cost * static_cast<double>(elements * planes_per_task),
               [&](int64_t task, int slot) {
                 const int64_t begin = task * planes_per_task, end = at_most(begin + planes_per_task, s.planes);
                 for (int64_t p = begin; p < end; ++p) body(p, slot, p == begin);
               });
}

}  // namespace pooling
}  // namespace EINKORN_ISA
}  // namespace einkorn
