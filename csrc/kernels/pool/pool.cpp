// Max pooling, columns first. The rows of a window are reduced into one padded row by whole vectors, whatever the
// kernel and stride; then the padded row is reduced along itself. Averages (pool_average.cpp) go the same way.
//
//      x      o o o o o o o o  \                    The padded row stays in L1. A step of 2 along it is two loads and
//             o o o o o o o o   > max               one shuffle (simd/shuffle.h), a step of 1 one load, any other
//             o o o o o o o o  /                    step a gather of single numbers.
//             ---------------
//   row   . . m m m m m m m m . .     "." is padding: -inf
//         [---]                       out[j] = max of row[j * stride_w + s]
//             [---]
//
// Two columns at a stride of two, the usual case, need no padded row: even and odd columns are separated in registers.
// And 2 x 2 windows that tile the plane, when rows are short, make one stream over all rows and planes: a vector of
// outputs covers several rows, whose pixels are four vectors in a fixed order. The stream has a backward that writes
// gx in one pass; every other one clears a plane and adds to it, number by number.
//
// versions, float, avx512, 2 threads, ms for 8 MB of x            64 x 32 x 32   64 x 32 x 32   1024 x 8 x 8
// (batch 32; without indices / with them)                           2x2, step 2    3x3, step 2    2x2, step 2
//   PyTorch 2.13               forward, forward and backward        4.4, 5.0       6.2, 6.8       4.6, 5.1
//   columns first              forward                              0.20 / 0.29    0.30 / 0.54    0.81 / 1.30
//   columns in registers       forward                              0.15 / 0.16                   0.54 / 0.61
//   stream                     forward                              0.08 / 0.11                   0.08 / 0.11
//   pixels ask their windows   backward, by vectors                 0.25           0.38           1.20
//   clear and add              backward                             0.18           0.19           0.22
//   stream                     backward                             0.07                          0.07
//
// The vectors that asked their windows lost to plain additions, presumably because they read a row of gy at shifted places
// right after it was stored, where each load waits for the store to reach the cache.

#include "kernels/instantiate.h"
#include "kernels/pool/pool_rows.h"

namespace einkorn::EINKORN_ISA {

using namespace pooling;

namespace {

template <class T>
EINKORN_INLINE IntVec<T> load_indices(const Lane<T>* p) {
  IntVec<T> v;
  memcpy(&v, p, sizeof v);
  return v;
}

template <class T>
EINKORN_INLINE void save_indices(Lane<T>* p, IntVec<T> v) {
  memcpy(p, &v, sizeof v);
}

// The first n lanes as int32.
template <class T>
EINKORN_INLINE void store_indices(int32_t* p, int64_t n, IntVec<T> v) {
  if constexpr (sizeof(Lane<T>) == sizeof(int32_t)) {
    store_n(p, n, v);
  } else {
    Lane<T> lane[kLanes<T>];
    save_indices<T>(lane, v);
    for (int64_t i = 0; i < n; ++i) p[i] = static_cast<int32_t>(lane[i]);
  }
}

template <class T>
EINKORN_INLINE IntVec<T> load_indices_every(const Lane<T>* p, int64_t offset, int64_t step, int64_t n) {
  return (IntVec<T>)load_every(reinterpret_cast<const T*>(p), offset, step, n);
}

// A maximum and where it is: the first of equal numbers, the last of several NaN. A newcomer comes later in row-major order, or
// in any order, or nobody asks where.
template <class T>
struct Best {
  Vec<T> value;
  IntVec<T> index;

  EINKORN_INLINE void take_later(Vec<T> v, IntVec<T> at) {
    const IntVec<T> wins = (v > value) | (v != v);
    value = wins ? v : value;
    index = wins ? at : index;
  }
  EINKORN_INLINE void take_any(Vec<T> v, IntVec<T> at) {
    const IntVec<T> earlier_tie = (v == value) & (at < index);
    const IntVec<T> nan = (v != v) & ((value == value) | (at > index));
    const IntVec<T> wins = (v > value) | earlier_tie | nan;
    value = wins ? v : value;
    index = wins ? at : index;
  }
  EINKORN_INLINE void take_value(Vec<T> v) { value = (v > value) | (v != v) ? v : value; }
};

// ---- max, forward ----

// Windows of two columns, two apart, without padding: even and odd columns separate in registers.
template <bool kIndices, class T>
EINKORN_INLINE void max_row_of_pairs(const MaxPool2dForward<T>& k, const T* x, Range taps, int64_t top, T* out,
                                     int32_t* indices) {
  const IntVec<T> twice = lane_numbers<T>() * 2;
  const int64_t width = k.shape.width, step = k.window.dilation_h * width;
  for_vectors<T>(k.shape.out_width, [&](int64_t j, int64_t n) {
    const int64_t low = at_most(2 * n, kLanes<T>), high = 2 * n - low;
    int64_t at = (top + taps.begin * k.window.dilation_h) * width + 2 * j;
    Best<T> best;
    for (int64_t r = taps.begin; r < taps.end; ++r, at += step) {
      const Vec<T> a = load_n(x + at, low), b = load_n(x + at + low, high);
      const Vec<T> left = even<T>(a, b), right = odd<T>(a, b);
      const IntVec<T> here = twice + static_cast<Lane<T>>(at);
      if (r == taps.begin) {
        best.value = left;
        best.index = here;
      } else if constexpr (kIndices) {
        best.take_later(left, here);
      } else {
        best.take_value(left);
      }
      if constexpr (kIndices)
        best.take_later(right, here + 1);
      else
        best.take_value(right);
    }
    store_n(out + j, n, best.value);
    if constexpr (kIndices) store_indices<T>(indices + j, n, best.index);
  });
}

// The best of row[0, n), in lane 0.
template <bool kIndices, class T>
EINKORN_INLINE Best<T> best_of_row(const Rows<T>& rows, int64_t n) {
  Best<T> best{broadcast(-(T)INFINITY), IntVec<T>{} + kNoPixel<T>};
  for_vectors<T>(n, [&](int64_t i, int64_t live) {
    const Vec<T> v = first_lanes<T>(live) ? load(rows.row + i) : broadcast(-(T)INFINITY);
    if constexpr (kIndices)
      best.take_any(v, first_lanes<T>(live) ? load_indices<T>(rows.indices + i) : IntVec<T>{} + kNoPixel<T>);
    else
      best.take_value(v);
  });
  EINKORN_UNROLL for (int half = kLanes<T> / 2; half > 0; half /= 2) {
    Best<T> other = best;
    for (int l = 0; l < half; ++l) {
      other.value[l] = best.value[l + half];
      other.index[l] = best.index[l + half];
    }
    best.take_any(other.value, other.index);
  }
  return best;
}

// 2 x 2 windows that tile their planes, in rows so short that a vector of outputs holds whole ones:
//
//   outputs   a b c d  e f g h         pixels   a0 a1 b0 b1 c0 c1 d0 d1 | a2 a3 b2 b3 ...    row-major, two rows of
//             (two rows of four)                e0 e1 f0 f1 ...                              pixels for one of outputs
//
// even() and odd() leave a0 b0 c0 d0 a2 b2 c2 d2 e0 ... and a1 b1 ..., from which `upper` picks a0 b0 c0 d0 e0 ... and
// `lower` a2 b2 .... A step takes as many whole rows as a vector holds (rows of 5: three, 15 lanes; rows of 14: one),
// whatever planes they belong to; of planes smaller than a vector, whole ones.
template <class T>
struct PairStream {
  int64_t rows, out_height, out_width;  // rows of outputs in all, and the size of a plane
  int64_t step;                         // rows
  Lane<T> plane_pixels;
  IntVec<T> upper, lower;  // which pairs of pixels are a row of windows' upper ones, lower ones
  IntVec<T> left, right;   // the way back: columns of an upper and a lower row, next to each other
  IntVec<T> first_pixel;   // of each lane's window, counted from that of lane 0, within the plane

  static bool fits(const PoolShape& s, const PoolWindow& w) {
    const bool tiles = w.kernel_h == 2 && w.kernel_w == 2 && w.stride_h == 2 && w.stride_w == 2 && w.pad_h == 0 &&
                       w.pad_w == 0 && w.dilation_h == 1 && w.dilation_w == 1 && s.height == 2 * s.out_height &&
                       s.width == 2 * s.out_width && s.out_width > 0 && s.out_height > 0;
    return kFastPick<T> && tiles && s.out_width <= kLanes<T>;
  }

  explicit PairStream(const PoolShape& s)
      : rows(s.planes * s.out_height),
        out_height(s.out_height),
        out_width(s.out_width),
        step(kLanes<T> / s.out_width),
        plane_pixels(static_cast<Lane<T>>(s.height * s.width)) {
    if (step > out_height) step = step / out_height * out_height;
    const int ow = static_cast<int>(s.out_width);
    for (int i = 0; i < kLanes<T>; ++i) {
      upper[i] = i / ow * 2 * ow + i % ow;
      lower[i] = upper[i] + ow;
      first_pixel[i] = static_cast<Lane<T>>(i / ow % s.out_height * 4 * ow + i % ow * 2);
      left[i] = lane_of_pair(i, ow);
      right[i] = lane_of_pair(i + kLanes<T>, ow);
    }
  }

  // The output whose pixels are pair number i: one of the upper ones, or kLanes beyond, one of the lower ones.
  static int lane_of_pair(int i, int ow) { return i / ow / 2 * ow + i % ow + i / ow % 2 * kLanes<T>; }

  // Positions in their planes of the first pixels of a step that begins at this row of its plane.
  EINKORN_INLINE IntVec<T> pixels(int64_t row) const {
    const IntVec<T> at = first_pixel + static_cast<Lane<T>>(row * 4 * out_width);
    return at >= plane_pixels ? at - plane_pixels : at;
  }

  // Calls body(o, n, pixels) for outputs o, ..., o + n - 1; `pixels` are the positions in their planes of the windows' first pixels.
  template <class Body>
  EINKORN_INLINE void run(const Workspace& ws, const Body& body) const {
    const int64_t task_rows = at_least(kPoolTask / (4 * step * out_width), 1) * step;
    parallel_for(ws, divide_up(rows, task_rows), 0.1 * kPoolTask, [&](int64_t task, int) {
      const int64_t begin = task * task_rows, end = at_most(begin + task_rows, rows);
      int64_t r = begin, in_plane = begin % out_height;
      for (; r + step <= end; r += step) {
        body(r * out_width, step * out_width, pixels(in_plane));
        in_plane += step % out_height;
        if (in_plane >= out_height) in_plane -= out_height;
      }
      if (r < end) body(r * out_width, (end - r) * out_width, pixels(in_plane));
    });
  }
};

// How many of n elements are in a vector that starts at element i.
template <class T>
EINKORN_INLINE int64_t in_vector(int64_t n, int64_t i) {
  return at_most(at_least(n - i, 0), kLanes<T>);
}

template <bool kIndices, class T>
EINKORN_INLINE void max_forward_of_stream(const MaxPool2dForward<T>& k) {
  const PairStream<T> stream(k.shape);
  const Lane<T> width = static_cast<Lane<T>>(k.shape.width);
  stream.run(k.ws, [&](int64_t o, int64_t n, IntVec<T> pixels) __attribute__((always_inline)) {
    const T* x = k.x + 4 * o;
    Vec<T> v[4];
    EINKORN_UNROLL for (int i = 0; i < 4; ++i) v[i] = load_n(x + i * kLanes<T>, in_vector<T>(4 * n, i * kLanes<T>));
    const Vec<T> even_a = even<T>(v[0], v[1]), even_b = even<T>(v[2], v[3]);
    const Vec<T> odd_a = odd<T>(v[0], v[1]), odd_b = odd<T>(v[2], v[3]);
    Best<T> best{pick<T>(even_a, even_b, stream.upper), pixels};
    const Vec<T> rest[3] = {pick<T>(odd_a, odd_b, stream.upper), pick<T>(even_a, even_b, stream.lower),
                            pick<T>(odd_a, odd_b, stream.lower)};
    const IntVec<T> rest_at[3] = {pixels + 1, pixels + width, pixels + width + 1};
    EINKORN_UNROLL for (int i = 0; i < 3; ++i) {
      if constexpr (kIndices)
        best.take_later(rest[i], rest_at[i]);
      else
        best.take_value(rest[i]);
    }
    store_n(k.out + o, n, best.value);
    if constexpr (kIndices) store_indices<T>(k.indices + o, n, best.index);
  });
}

template <bool kIndices, class T>
EINKORN_INLINE void max_row(const MaxPool2dForward<T>& k, const T* x, Range taps, int64_t top, const Rows<T>& rows,
                            T* out, int32_t* indices) {
  const PoolWindow& w = k.window;
  const int64_t width = k.shape.width;
  if (taps.begin < taps.end) {
    for_vectors<T>(width, [&](int64_t i, int64_t n) {
      int64_t at = (top + taps.begin * w.dilation_h) * width + i;
      Best<T> best{load_n(x + at, n), lane_numbers<T>() + static_cast<Lane<T>>(at)};
      for (int64_t r = taps.begin + 1; r < taps.end; ++r) {
        at += w.dilation_h * width;
        if constexpr (kIndices)
          best.take_later(load_n(x + at, n), lane_numbers<T>() + static_cast<Lane<T>>(at));
        else
          best.take_value(load_n(x + at, n));
      }
      store_n(rows.row + w.pad_w + i, n, best.value);
      if constexpr (kIndices) {
        if (n == kLanes<T>)
          save_indices<T>(rows.indices + w.pad_w + i, best.index);
        else
          for (int64_t l = 0; l < n; ++l) rows.indices[w.pad_w + i + l] = best.index[l];
      }
    });
  } else {  // a dilated window whose rows all miss the plane
    for (int64_t i = w.pad_w; i < w.pad_w + width; ++i) {
      rows.row[i] = -(T)INFINITY;
      if constexpr (kIndices) rows.indices[i] = kNoPixel<T>;
    }
  }

  if (k.shape.out_width == 1 && w.dilation_w == 1 && w.kernel_w >= kLanes<T>) {  // one wide window
    const Best<T> best = best_of_row<kIndices>(rows, w.kernel_w);
    out[0] = best.value[0];
    if constexpr (kIndices) indices[0] = best.index[0] == kNoPixel<T> ? -1 : static_cast<int32_t>(best.index[0]);
    return;
  }
  const auto along = [&](int64_t step) __attribute__((always_inline)) {
    for_vectors<T>(k.shape.out_width, [&](int64_t j, int64_t n) {
      const T* row = rows.row + j * step;
      const Lane<T>* index_row = rows.indices + j * step;
      Best<T> best{load_every(row, 0, step, n), IntVec<T>{}};
      if constexpr (kIndices) best.index = load_indices_every<T>(index_row, 0, step, n);
      for (int64_t s = w.dilation_w; s < w.kernel_w * w.dilation_w; s += w.dilation_w) {
        if constexpr (kIndices)
          best.take_any(load_every(row, s, step, n), load_indices_every<T>(index_row, s, step, n));
        else
          best.take_value(load_every(row, s, step, n));
      }
      store_n(out + j, n, best.value);
      if constexpr (kIndices)
        store_indices<T>(indices + j, n, best.index == kNoPixel<T> ? IntVec<T>{} - 1 : best.index);
    });
  };
  if (w.stride_w == 1)
    along(1);
  else if (w.stride_w == 2)
    along(2);
  else
    along(w.stride_w);
}

template <bool kIndices, class T>
EINKORN_INLINE void max_forward(const MaxPool2dForward<T>& k) {
  const PoolShape& s = k.shape;
  const PoolWindow& w = k.window;
  const bool pairs =
      w.kernel_w == 2 && w.stride_w == 2 && w.dilation_w == 1 && w.pad_w == 0 && 2 * s.out_width <= s.width;
  const auto own_rows = carve<PoolParts<T>>(k).rows;
  for_window_rows(k.ws, s, w.kernel_h, 0.15, [&](int64_t plane, int64_t oh, int slot, bool first) {
    const T* x = k.x + plane * s.height * s.width;
    const int64_t to = (plane * s.out_height + oh) * s.out_width;
    const int64_t top = oh * w.stride_h - w.pad_h;
    const Range taps = taps_inside(top, w.kernel_h, w.dilation_h, s.height);
    if (pairs && taps.begin < taps.end) {
      max_row_of_pairs<kIndices>(k, x, taps, top, k.out + to, k.indices + to);
      return;
    }
    const Rows<T> rows(own_rows[slot]);
    if (first) {
      for (int64_t i = 0; i < pool_row_size(s, w); ++i) rows.row[i] = -(T)INFINITY;
      if constexpr (kIndices)
        for (int64_t i = 0; i < pool_row_size(s, w); ++i) rows.indices[i] = kNoPixel<T>;
    }
    max_row<kIndices>(k, x, taps, top, rows, k.out + to, k.indices + to);
  });
}

// ---- backward ----

template <class T>
EINKORN_INLINE IntVec<T> load_stored_indices(const int32_t* p, int64_t n) {
  if constexpr (sizeof(Lane<T>) == sizeof(int32_t)) {
    return load_n(p, n);
  } else {
    IntVec<T> v = {};
    for (int64_t i = 0; i < n; ++i) v[i] = p[i];
    return v;
  }
}

template <class T>
EINKORN_INLINE void max_backward_of_stream(const MaxPool2dBackward<T>& k) {
  const PairStream<T> stream(k.shape);
  const Lane<T> width = static_cast<Lane<T>>(k.shape.width);
  stream.run(k.ws, [&](int64_t o, int64_t n, IntVec<T> pixels) __attribute__((always_inline)) {
    const Vec<T> g = load_n(k.gy + o, n);
    const IntVec<T> tap = load_stored_indices<T>(k.indices + o, n) - pixels;
    const Vec<T> a0 = tap == 0 ? g : Vec<T>{}, a1 = tap == 1 ? g : Vec<T>{};
    const Vec<T> a2 = tap == width ? g : Vec<T>{}, a3 = tap == width + 1 ? g : Vec<T>{};
    const Vec<T> even_a = pick<T>(a0, a2, stream.left), even_b = pick<T>(a0, a2, stream.right);
    const Vec<T> odd_a = pick<T>(a1, a3, stream.left), odd_b = pick<T>(a1, a3, stream.right);
    const Vec<T> v[4] = {zip_low<T>(even_a, odd_a), zip_high<T>(even_a, odd_a), zip_low<T>(even_b, odd_b),
                         zip_high<T>(even_b, odd_b)};
    T* gx = k.gx + 4 * o;
    EINKORN_UNROLL for (int i = 0; i < 4; ++i) store_n(gx + i * kLanes<T>, in_vector<T>(4 * n, i * kLanes<T>), v[i]);
  });
}

template <class T>
EINKORN_INLINE void max_backward_by_scatter(const MaxPool2dBackward<T>& k) {
  const PoolShape& s = k.shape;
  const int64_t in_plane = s.height * s.width, out_plane = s.out_height * s.out_width;
  for_planes(k.ws, s, 0.3, [&](int64_t plane, int, bool) {
    T* gx = k.gx + plane * in_plane;
    for_vectors<T>(in_plane, [&](int64_t i, int64_t n) { store_n(gx + i, n, Vec<T>{}); });
    const T* gy = k.gy + plane * out_plane;
    const int32_t* at = k.indices + plane * out_plane;
    for (int64_t j = 0; j < out_plane; ++j)
      if (at[j] >= 0 && at[j] < in_plane) gx[at[j]] += gy[j];
  });
}

}  // namespace

template <class T>
void max_pool2d_forward(const MaxPool2dForward<T>& k) {
  if (PairStream<T>::fits(k.shape, k.window))
    k.indices != nullptr ? max_forward_of_stream<true>(k) : max_forward_of_stream<false>(k);
  else if (k.indices != nullptr)
    max_forward<true>(k);
  else
    max_forward<false>(k);
}

template <class T>
void max_pool2d_backward(const MaxPool2dBackward<T>& k) {
  if (PairStream<T>::fits(k.shape, k.window))
    max_backward_of_stream(k);
  else
    max_backward_by_scatter(k);
}

EINKORN_INSTANTIATE(max_pool2d_forward, MaxPool2dForward)
EINKORN_INSTANTIATE(max_pool2d_backward, MaxPool2dBackward)

}  // namespace einkorn::EINKORN_ISA
