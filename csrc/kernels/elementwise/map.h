// The loops of the elementwise kernels: one for each number of operands, with a function of vectors inside.
//
// A loop walks rows (rows.h) and hands whole vectors to the function. Rows with gaps are brought together in a small buffer first, so
// that there is one loop, with no stride to look at inside it. Results larger than the last cache go past the caches
// (simd/stream.h).

#pragma once

#include "kernels/rows.h"
#include "simd/simd.h"
#include "simd/stream.h"

namespace einkorn {
inline namespace EINKORN_ISA {

// Nanoseconds an element on one core, for the choice of threads: arithmetic, transcendental, lane by lane in the C library.
constexpr double kCheap = 0.15, kCostly = 0.6, kSlow = 6;

template <class T, int N>
EINKORN_INLINE bool is_large(const Layout<N>& layout) {
  int64_t size = sizeof(T);
  for (int d = 0; d < layout.ndim; ++d) size *= layout.shape[d];
  return size >= kStreamFrom;
}

// out[i : i + n] = value(i, n) for the vectors of a row of neighbours; the vectors of a streamed row are aligned ones.
template <class T, class Value>
EINKORN_INLINE void write_vectors(T* out, int64_t size, bool streamed, const Value& value) {
  int64_t i = streamed ? unaligned_elements(out, size) : 0;
  if (i > 0) store_partial(out, i, value(0, i));
  for (; i + kLanes<T> <= size; i += kLanes<T>) {
    const Vec<T> v = value(i, static_cast<int64_t>(kLanes<T>));
    if (streamed)
      stream(out + i, v);
    else
      store(out + i, v);
  }
  if (i < size) store_partial(out + i, size - i, value(i, size - i));
  if (streamed) finish_streaming();
}

constexpr int64_t kGathered = 256;  // elements

// n elements of a row as neighbours: where they are, or in `room`.
template <class T>
__attribute__((noinline)) const T* brought_together(const T* row, int64_t step, int64_t n, T* room) {
  if (step == 1) return row;
  if (step == 0)
    for (int64_t i = 0; i < n; ++i) room[i] = *row;
  else
    for (int64_t i = 0; i < n; ++i) room[i] = row[i * step];
  return room;
}

template <class T>
__attribute__((noinline)) void spread_out(T* row, int64_t step, int64_t n, const T* room) {
  for (int64_t i = 0; i < n; ++i) row[i * step] = room[i];
}

template <class T, class Fn>
EINKORN_INLINE void map(T* out, const T* x, const Layout<2>& layout, const Workspace& ws, double cost, const Fn& fn) {
  const int inner = layout.ndim - 1;
  const int64_t out_step = layout.strides[0][inner], x_step = layout.strides[1][inner];
  const bool neighbours = out_step == 1 && x_step == 1;
  const bool streamed = neighbours && is_large<T>(layout);
  for_rows(ws, layout, cost, [&](const int64_t* at, int64_t size) {
    T* o = out + at[0];
    const T* p = x + at[1];
    T to[kGathered], from[kGathered];
    for (int64_t begin = 0, n; begin < size; begin += n) {
      n = neighbours || size - begin < kGathered ? size - begin : kGathered;
      const T* const in = neighbours ? p : brought_together(p + begin * x_step, x_step, n, from);
      write_vectors(neighbours ? o : to, n, streamed, [&](int64_t i, int64_t m) EINKORN_LAMBDA {
        if (streamed) ask_a_page_ahead(in + i);
        return fn(load_n(in + i, m));
      });
      if (!neighbours) spread_out(o + begin * out_step, out_step, n, to);
    }
  });
}

template <class T, class Fn>
EINKORN_INLINE void map(T* to, const T* from_a, const T* from_b, const Layout<3>& layout, const Workspace& ws,
                        double cost, const Fn& fn) {
  const int inner = layout.ndim - 1;
  const int64_t out_step = layout.strides[0][inner];
  const int64_t a_step = layout.strides[1][inner], b_step = layout.strides[2][inner];
  const bool neighbours = out_step == 1 && a_step == 1 && b_step == 1;
  const bool is_large_one = is_large<T>(layout), streamed = neighbours && is_large_one;
  for_rows(ws, layout, cost, [&](const int64_t* at, int64_t size) {
    T* out = to + at[0];
    const T* a = from_a + at[1];
    const T* b = from_b + at[2];
    if (out_step == 1 && a_step == 1 && b_step == 0) {
      write_vectors(out, size, is_large_one,
                    [&, value = broadcast(*b)](int64_t i, int64_t n) { return fn(load_n(a + i, n), value); });
      return;
    }
    T room[kGathered], room_a[kGathered], room_b[kGathered];
    for (int64_t begin = 0, n; begin < size; begin += n) {
      n = neighbours || size - begin < kGathered ? size - begin : kGathered;
      const T* const left = neighbours ? a : brought_together(a + begin * a_step, a_step, n, room_a);
      const T* const right = neighbours ? b : brought_together(b + begin * b_step, b_step, n, room_b);
      write_vectors(neighbours ? out : room, n, streamed,
                    [&](int64_t i, int64_t m) { return fn(load_n(left + i, m), load_n(right + i, m)); });
      if (!neighbours) spread_out(out + begin * out_step, out_step, n, room);
    }
  });
}

template <class T, class Fn>
EINKORN_INLINE void map_grad(T* to, const T* from_g, const T* from_s, int64_t total, const Workspace& ws, double cost,
                             const Fn& fn) {
  const int64_t tasks = (total + kTaskElements - 1) / kTaskElements;
  const bool streamed = total * static_cast<int64_t>(sizeof(T)) >= kStreamFrom;
  parallel_for(ws, tasks, cost * kTaskElements, [&](int64_t task, int) {
    const int64_t begin = task * kTaskElements;
    const int64_t size = total - begin < kTaskElements ? total - begin : kTaskElements;
    T* gx = to + begin;
    const T* g = from_g + begin;
    const T* s = from_s + begin;
    write_vectors(gx, size, streamed, [&](int64_t i, int64_t n) EINKORN_LAMBDA {
      if (streamed) {
        ask_a_page_ahead(g + i);
        ask_a_page_ahead(s + i);
      }
      return fn(load_n(g + i, n), load_n(s + i, n));
    });
  });
}

template <class V>
EINKORN_INLINE V one_where(V zero, decltype(zero < zero) mask) {
  return mask ? zero + 1 : zero;
}

}  // namespace EINKORN_ISA
}  // namespace einkorn
