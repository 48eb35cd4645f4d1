// The loops of the elementwise kernels: one for each number of operands, with a function of vectors inside.
//
// A loop walks rows (rows.h) and hands whole vectors to the function. Rows of unit stride, the usual case, have their own copy of
// the loop, so that no stride is looked at inside it.

#pragma once

#include "kernels/rows.h"
#include "simd/simd.h"

namespace einkorn {
inline namespace EINKORN_ISA {

// Nanoseconds an element on one core, for the choice of threads: arithmetic, transcendental, lane by lane in the C library.
constexpr double kCheap = 0.15, kCostly = 0.6, kSlow = 6;

template <class T, class Fn>
EINKORN_INLINE void map(T* out, const T* x, const Layout<2>& layout, const Workspace& ws, double cost, const Fn& fn) {
  const int inner = layout.ndim - 1;
  const int64_t out_step = layout.strides[0][inner], x_step = layout.strides[1][inner];
  for_rows(ws, layout, cost, [&](const int64_t* at, int64_t size) {
    T* o = out + at[0];
    const T* p = x + at[1];
    if (out_step == 1 && x_step == 1)
      for_vectors<T>(size, [&](int64_t i, int64_t n) { store_n(o + i, n, fn(load_n(p + i, n))); });
    else
      for_vectors<T>(
          size, [&](int64_t i, int64_t n) { store_strided(o, out_step, i, n, fn(load_strided(p, x_step, i, n))); });
  });
}

template <class T, class Fn>
EINKORN_INLINE void map(T* to, const T* from_a, const T* from_b, const Layout<3>& layout, const Workspace& ws,
                        double cost, const Fn& fn) {
  const int inner = layout.ndim - 1;
  const int64_t out_step = layout.strides[0][inner];
  const int64_t a_step = layout.strides[1][inner], b_step = layout.strides[2][inner];
  for_rows(ws, layout, cost, [&](const int64_t* at, int64_t size) {
    T* out = to + at[0];
    const T* a = from_a + at[1];
    const T* b = from_b + at[2];
    if (out_step == 1 && a_step == 1 && b_step == 1)
      for_vectors<T>(size, [&](int64_t i, int64_t n) { store_n(out + i, n, fn(load_n(a + i, n), load_n(b + i, n))); });
    else if (out_step == 1 && a_step == 1 && b_step == 0)
      for_vectors<T>(
          size, [&, value = broadcast(*b)](int64_t i, int64_t n) { store_n(out + i, n, fn(load_n(a + i, n), value)); });
    else
      for_vectors<T>(size, [&](int64_t i, int64_t n) {
        store_strided(out, out_step, i, n, fn(load_strided(a, a_step, i, n), load_strided(b, b_step, i, n)));
      });
  });
}

template <class T, class Fn>
EINKORN_INLINE void map_grad(T* to, const T* from_g, const T* from_s, int64_t total, const Workspace& ws, double cost,
                             const Fn& fn) {
  const int64_t tasks = (total + kTaskElements - 1) / kTaskElements;
  parallel_for(ws, tasks, cost * kTaskElements, [&](int64_t task, int) {
    const int64_t begin = task * kTaskElements;
    const int64_t size = total - begin < kTaskElements ? total - begin : kTaskElements;
    T* gx = to + begin;
    const T* g = from_g + begin;
    const T* s = from_s + begin;
    for_vectors<T>(size, [&](int64_t i, int64_t n) { store_n(gx + i, n, fn(load_n(g + i, n), load_n(s + i, n))); });
  });
}

template <class V>
EINKORN_INLINE V one_where(V zero, decltype(zero < zero) mask) {
  return mask ? zero + 1 : zero;
}

}  // namespace EINKORN_ISA
}  // namespace einkorn
