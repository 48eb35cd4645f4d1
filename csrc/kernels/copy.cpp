// copy, cast, fill. Rows with unit stride on both sides go by whole vectors. A copy that transposes goes tile by tile,
// a tile being as many rows as a vector has lanes, transposed in registers:
//
//            J, x's near axis                            I, out's near axis
//          +---+---+--------+                          +--------------------+
//        I | 1 | 4 |        |                        J | 1   2   3          |
//          | 2 | 5 |        |                          +--------------------+
//   x      | 3 | v |        |   ->              out    | 4   5   ...        |
//          +---+---+--------+                          +--------------------+
//          |       next 256 |                          |                    |
//          +----------------+                          +--------------------+
//
// Tiles go down a strip of up to 256 rows, then down the next: each line of x is used once, whole, and the lines of out
// are written in runs. Down a strip the prefetchers see nothing but jumps, so the lines of the strip after the next are
// asked for. Results too large for the caches are stored past them.
//
// versions of a float transpose, avx512, 1 thread, GB/s (read + write)   1024^2   2048^2   4096^2   32 x 64 x 3136
//   element by element                                                      2.2      1.3
//   blocks of 64 x 64, tiles along x's rows                                19.7     19.3     16.4      18.7
//   blocks of 64 x 64, tiles along out's rows                              42.8     20.9     16.8      22.3
//   strips of all rows                                                     43.2     37.3     15.8      21.6
//   strips of all rows, two strips ahead asked for                         40.7     34.1     22.3      48.7
//   strips of 256 rows, two strips ahead asked for                         41.0     40.1     24.0      43.1
//   the same, stored past the caches                                       52.3     45.3     25.5      51.1
// 32 x 3136 x 64, where the rows of x are short: strips of all rows 51.5, of 256 rows 37, two strips ahead asked for 18.
// Rows of 64, [12, 64, 6, 64] with the middle axes swapped, 1 thread: in out's order 34.7 us, in x's order 28.8.

#include "kernels/copy.h"

#include "kernels/instantiate.h"
#include "kernels/rows.h"
#include "simd/stream.h"
#include "simd/transpose.h"

namespace einkorn::EINKORN_ISA {

namespace {

constexpr double kCost = 0.1;  // ns an element on one core

// The same elements in the order to copy them in: out's near axis last, the others as x steps through them, because
// reads out of order cost more than writes; where x repeats itself, as out does. No stride of out is negative.
template <class T>
Layout<2> in_order(const Layout<2>& from, T*& out, const T*& x) {
  if (from.ndim == 1) return from;
  const auto size_of = [](int64_t step) { return step < 0 ? -step : step; };
  int near = 0;
  for (int d = 1; d < from.ndim; ++d)
    if (size_of(from.strides[0][d]) <= size_of(from.strides[0][near])) near = d;
  const auto rank = [&](int d) {
    const int64_t step = size_of(from.strides[1][d]);
    return d == near ? -1 : (step == 0 ? INT64_MAX : step);
  };
  int order[kMaxDims];
  for (int d = 0; d < from.ndim; ++d) {
    int at = d;
    for (; at > 0 && rank(order[at - 1]) < rank(d); --at) order[at] = order[at - 1];
    order[at] = d;
  }

  Layout<2> to;
  to.ndim = 0;
  for (int at = 0; at < from.ndim; ++at) {
    const int64_t n = from.shape[order[at]];
    int64_t out_step = from.strides[0][order[at]], x_step = from.strides[1][order[at]];
    if (out_step < 0) {
      out += (n - 1) * out_step;
      x += (n - 1) * x_step;
      out_step = -out_step;
      x_step = -x_step;
    }
    const int last = to.ndim - 1;
    if (last >= 0 && to.strides[0][last] == out_step * n && to.strides[1][last] == x_step * n) {
      to.shape[last] *= n;
      to.strides[0][last] = out_step;
      to.strides[1][last] = x_step;
    } else {
      to.shape[to.ndim] = n;
      to.strides[0][to.ndim] = out_step;
      to.strides[1][to.ndim++] = x_step;
    }
  }
  return to;
}

template <class T>
void copy_rows(const Workspace& ws, const Layout<2>& layout, T* out, const T* x, bool streamed) {
  const int inner = layout.ndim - 1;
  const int64_t out_step = layout.strides[0][inner], x_step = layout.strides[1][inner];
  for_rows(ws, layout, kCost, [&](const int64_t* offset, int64_t size) {
    T* const o = out + offset[0];
    const T* const p = x + offset[1];
    if (out_step == 1 && x_step == 1) {
      int64_t i = 0;
      if (streamed) {
        for (const int64_t head = unaligned_elements(o, size); i < head; ++i) o[i] = p[i];
        for (; i + kLanes<T> <= size; i += kLanes<T>) stream(o + i, load(p + i));
        finish_streaming();
      }
      for_vectors<T>(size - i, [&](int64_t j, int64_t n) { store_n(o + i + j, n, load_n(p + i + j, n)); });
    } else if (out_step == 1 && x_step == 0) {
      const Vec<T> value = broadcast(*p);
      for_vectors<T>(size, [&](int64_t i, int64_t n) { store_n(o + i, n, value); });
    } else {
      for (int64_t i = 0; i < size; ++i) o[i * out_step] = p[i * x_step];
    }
  });
}

// out[j, i] = x[i, j] for rows i and columns j up to a vector of each.
template <class T>
EINKORN_INLINE void copy_tile(T* out, int64_t out_step, const T* x, int64_t x_step, int64_t rows, int64_t columns,
                              bool streamed) {
  constexpr int L = kLanes<T>;
  Vec<T> v[L];
  if (rows == L && columns == L) {
    EINKORN_UNROLL for (int i = 0; i < L; ++i) v[i] = load(x + i * x_step);
    transpose_square<T>(v);
    if (streamed) {
      EINKORN_UNROLL for (int j = 0; j < L; ++j) stream(out + j * out_step, v[j]);
    } else {
      EINKORN_UNROLL for (int j = 0; j < L; ++j) store(out + j * out_step, v[j]);
    }
    return;
  }
  EINKORN_UNROLL for (int i = 0; i < L; ++i) v[i] = i < rows ? load_partial(x + i * x_step, columns) : Vec<T>{};
  transpose_square<T>(v);
  EINKORN_UNROLL for (int j = 0; j < L; ++j) if (j < columns) store_partial(out + j * out_step, rows, v[j]);
}

// Axis `near` has unit stride in x, the last one in out. The others are walked one by one.
template <class T>
void copy_tiles(const Workspace& ws, const Layout<2>& layout, int near, T* out, const T* x, bool streamed) {
  constexpr int64_t L = kLanes<T>, kAhead = 128 / sizeof(T), kShort = 128;
  const int last = layout.ndim - 1;
  const int64_t rows = layout.shape[last], columns = layout.shape[near];
  const int64_t out_step = layout.strides[0][near], x_step = layout.strides[1][last];
  const int64_t strip_rows = columns > kShort ? 256 : 4096;
  const int64_t across = (columns + L - 1) / L, down = (rows + strip_rows - 1) / strip_rows;
  int64_t strips = across * down;
  for (int d = 0; d < last; ++d)
    if (d != near) strips *= layout.shape[d];
  const int64_t elements = (rows < strip_rows ? rows : strip_rows) * L;
  const int64_t strips_each = elements < kTaskElements ? kTaskElements / elements : 1;
  const int64_t tasks = (strips + strips_each - 1) / strips_each;
  const double cost = 2 * kCost * static_cast<double>(elements * (strips < strips_each ? strips : strips_each));

  parallel_for(ws, tasks, cost, [&](int64_t task, int) {
    const int64_t end = (task + 1) * strips_each < strips ? (task + 1) * strips_each : strips;
    for (int64_t strip = task * strips_each; strip < end; ++strip) {
      const int64_t column = strip % across * L, row = strip / across % down * strip_rows;
      T* o = out + column * out_step + row;
      const T* p = x + row * x_step + column;
      int64_t rest = strip / across / down;
      for (int d = last - 1; d >= 0 && rest > 0; --d) {
        if (d == near) continue;
        o += rest % layout.shape[d] * layout.strides[0][d];
        p += rest % layout.shape[d] * layout.strides[1][d];
        rest /= layout.shape[d];
      }
      const int64_t m = rows - row < strip_rows ? rows - row : strip_rows;
      const int64_t n = columns - column < L ? columns - column : L;
      const bool asks = columns > kShort && column + kAhead < columns;
      for (int64_t i = 0; i < m; i += L, o += L, p += L * x_step) {
        if (asks) {
          EINKORN_UNROLL for (int r = 0; r < L; ++r) __builtin_prefetch(p + r * x_step + kAhead, 0, 2);
        }
        copy_tile(o, out_step, p, x_step, m - i < L ? m - i : L, n, streamed);
      }
    }
    if (streamed) finish_streaming();
  });
}

}  // namespace

template <class T>
void copy(const Copy<T>& k) {
  T* out = k.out;
  const T* x = k.x;
  const Layout<2> layout = in_order(k.layout, out, x);
  const int last = layout.ndim - 1;
  int64_t size = 1;
  for (int d = 0; d <= last; ++d) size *= layout.shape[d];
  if (size == 0) return;
  const bool large = size * static_cast<int64_t>(sizeof(T)) >= kStreamFrom;
  const bool aligned = reinterpret_cast<uintptr_t>(out) % kVectorBytes == 0;

  if (layout.strides[0][last] == 1 && layout.strides[1][last] != 1 && layout.shape[last] >= 4)
    for (int d = 0; d < last; ++d)
      if (layout.strides[1][d] == 1 && layout.shape[d] >= 4) {
        bool streamed = large && aligned;
        for (int e = 0; e < last; ++e) streamed = streamed && layout.strides[0][e] % kLanes<T> == 0;
        return copy_tiles(k.ws, layout, d, out, x, streamed);
      }
  copy_rows(k.ws, layout, out, x, large);
}

template <class T>
void cast(const Cast<T>& k) {
  const int inner = k.layout.ndim - 1;
  const int64_t out_step = k.layout.strides[0][inner], x_step = k.layout.strides[1][inner];
  for_rows(k.ws, k.layout, 2 * kCost, [&](const int64_t* offset, int64_t size) {
    T* out = k.out + offset[0];
    const auto* x = k.x + offset[1];
    if (out_step == 1 && x_step == 1) {
      for (int64_t i = 0; i < size; ++i) out[i] = static_cast<T>(x[i]);
    } else {
      for (int64_t i = 0; i < size; ++i) out[i * out_step] = static_cast<T>(x[i * x_step]);
    }
  });
}

template <class T>
void fill(const Fill<T>& k) {
  const int64_t step = k.layout.strides[0][k.layout.ndim - 1];
  const Vec<T> value = broadcast(k.value);
  for_rows(k.ws, k.layout, kCost, [&](const int64_t* offset, int64_t size) {
    T* out = k.out + offset[0];
    for_vectors<T>(size, [&](int64_t i, int64_t n) { store_strided(out, step, i, n, value); });
  });
}

EINKORN_INSTANTIATE(copy, Copy)
EINKORN_INSTANTIATE(cast, Cast)
EINKORN_INSTANTIATE(fill, Fill)

}  // namespace einkorn::EINKORN_ISA
