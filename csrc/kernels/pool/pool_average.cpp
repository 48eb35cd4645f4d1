// Average pooling: rows of a window are added up by whole vectors into one padded row, then the padded row along
// itself. Backward, a row of gy is spread along a row of the plane and added to every row under the window. See
// pool.cpp.

#include "kernels/instantiate.h"
#include "kernels/pool/pool_rows.h"

namespace einkorn::EINKORN_ISA {

using namespace pooling;

namespace {

// The pixels of an adaptive window.
EINKORN_INLINE Range adaptive_window(int64_t i, int64_t size, int64_t out_size) {
  return {i * size / out_size, divide_up((i + 1) * size, out_size)};
}

struct Divisor {
  Range pixels;
  int64_t size;
};

// A window's side: the pixels under it and what it counts for.
EINKORN_INLINE Divisor window_side(int64_t i, int64_t kernel, int64_t stride, int64_t pad, int64_t size,
                                   bool count_pad) {
  const int64_t start = i * stride - pad;
  const Range inside = {at_least(start, 0), at_most(start + kernel, size)};
  if (inside.begin >= inside.end) return {{0, 0}, 1};
  return {inside, count_pad ? at_most(start + kernel, size + pad) - start : inside.end - inside.begin};
}

// row[i] = sum of x[h, i] over the rows h of `pixels`.
template <class T>
EINKORN_INLINE void sum_rows(const T* x, int64_t width, Range pixels, T* row) {
  for_vectors<T>(width, [&](int64_t i, int64_t n) {
    Vec<T> sum = {};
    for (int64_t h = pixels.begin; h < pixels.end; ++h) sum += load_n(x + h * width + i, n);
    store_n(row + i, n, sum);
  });
}

// Windows of two columns, two apart, without padding: even and odd columns separate in registers.
template <class T>
EINKORN_INLINE void average_row_of_pairs(const T* x, const PoolShape& s, Range pixels, T divisor, T* out) {
  for_vectors<T>(s.out_width, [&](int64_t j, int64_t n) {
    const int64_t low = at_most(2 * n, kLanes<T>), high = 2 * n - low;
    Vec<T> a = {}, b = {};
    for (int64_t h = pixels.begin; h < pixels.end; ++h) {
      a += load_n(x + h * s.width + 2 * j, low);
      b += load_n(x + h * s.width + 2 * j + low, high);
    }
    store_n(out + j, n, (even<T>(a, b) + odd<T>(a, b)) / divisor);
  });
}

template <class T>
EINKORN_INLINE void column_divisors(const PoolShape& s, const PoolWindow& w, bool count_pad, T* divisors) {
  for (int64_t j = 0; j < s.out_width; ++j)
    divisors[j] = static_cast<T>(window_side(j, w.kernel_w, w.stride_w, w.pad_w, s.width, count_pad).size);
}

// Spreads a row of gy over a row of the plane, kStride columns a lane. Column kStride * m + phase lies in the windows
// m + d, as tap phase + pad_w - kStride * d: row[column] = sum of q over those windows. kKernel 0: any kernel_w.
template <int kStride, int kKernel, class T>
EINKORN_INLINE void spread(const PoolShape& s, const PoolWindow& w, const T* q, T* row) {
  const int64_t kernel = kKernel > 0 ? kKernel : w.kernel_w;
  for (int64_t m = 0; m * kStride < s.width; m += kLanes<T>) {
    Vec<T> sum[kStride];
    EINKORN_UNROLL for (int phase = 0; phase < kStride; ++phase) {
      sum[phase] = Vec<T>{};
      int64_t window = m + (phase + w.pad_w) / kStride;
      EINKORN_UNROLL for (int64_t tap = (phase + w.pad_w) % kStride; tap < kernel; tap += kStride, --window)
          sum[phase] += load(q + window);
    }
    if constexpr (kStride == 1) {
      store(row + m, sum[0]);
    } else {
      store(row + 2 * m, zip_low<T>(sum[0], sum[1]));
      store(row + 2 * m + kLanes<T>, zip_high<T>(sum[0], sum[1]));
    }
  }
}

// Adds `row` to the rows [begin, end) of gx, or stores it to those from `reached` on, which no earlier window met; zeros go
// to the rows between windows.
template <class T>
EINKORN_INLINE void add_rows(T* gx, int64_t width, int64_t& reached, int64_t begin, int64_t end, const T* row) {
  for (; reached < begin; ++reached)
    for_vectors<T>(width, [&](int64_t i, int64_t n) { store_n(gx + reached * width + i, n, Vec<T>{}); });
  for (int64_t h = begin; h < end; ++h) {
    T* to = gx + h * width;
    if (h < reached) {
      for_vectors<T>(width, [&](int64_t i, int64_t n) { store_n(to + i, n, load_n(to + i, n) + load_n(row + i, n)); });
    } else {
      for_vectors<T>(width, [&](int64_t i, int64_t n) { store_n(to + i, n, load_n(row + i, n)); });
      reached = h + 1;
    }
  }
}

// row[column] = sum of q over the windows that contain the column. q holds kernel_w zeros before and enough behind.
template <class T>
EINKORN_INLINE void spread_evenly(const PoolShape& s, const PoolWindow& w, const T* q, T* row) {
  if (w.stride_w == 1) {
    spread<1, 0>(s, w, q, row);
  } else if (w.stride_w == 2 && w.kernel_w == 2) {
    spread<2, 2>(s, w, q, row);
  } else if (w.stride_w == 2) {
    spread<2, 0>(s, w, q, row);
  } else {
    for (int64_t i = 0; i < s.width; ++i) row[i] = 0;
    for (int64_t j = 0; j < s.out_width; ++j) {
      const int64_t start = j * w.stride_w - w.pad_w;
      const int64_t end = at_most(start + w.kernel_w, s.width);
      for (int64_t i = at_least(start, 0); i < end; ++i) row[i] += q[j];
    }
  }
}

// The sum of n numbers in blocks of eight vectors, so that few additions build on one another.
template <class T>
EINKORN_INLINE T block_sum(const T* x, int64_t n) {
  Vec<T> sum[4] = {};
  int64_t i = 0;
  for (; i + 4 * kLanes<T> <= n; i += 4 * kLanes<T>)
    EINKORN_UNROLL for (int l = 0; l < 4; ++l) sum[l] += load(x + i + l * kLanes<T>);
  Vec<T> rest = {};
  for_vectors<T>(n - i, [&](int64_t j, int64_t m) { rest += load_n(x + i + j, m); });
  return sum_lanes<T>(((sum[0] + sum[1]) + (sum[2] + sum[3])) + rest);
}

}  // namespace

template <class T>
void avg_pool2d_forward(const AvgPool2dForward<T>& k) {
  const PoolShape& s = k.shape;
  const PoolWindow& w = k.window;
  const bool pairs = w.kernel_w == 2 && w.stride_w == 2 && w.pad_w == 0 && 2 * s.out_width <= s.width;
  const auto own_rows = carve<PoolParts<T>>(k).rows;
  for_window_rows(k.ws, s, w.kernel_h, 0.15, [&](int64_t plane, int64_t oh, int slot, bool first) {
    const Rows<T> rows(own_rows[slot]);
    if (first && !pairs) {
      for (int64_t i = 0; i < pool_row_size(s, w); ++i) rows.row[i] = 0;
      column_divisors(s, w, k.count_include_pad, rows.divisors);
    }
    const Divisor side = window_side(oh, w.kernel_h, w.stride_h, w.pad_h, s.height, k.count_include_pad);
    const T height = static_cast<T>(side.size);
    const T* x = k.x + plane * s.height * s.width;
    T* out = k.out + (plane * s.out_height + oh) * s.out_width;
    if (pairs) {
      average_row_of_pairs(x, s, side.pixels, 2 * height, out);
      return;
    }
    sum_rows(x, s.width, side.pixels, rows.row + w.pad_w);
    const auto along = [&](int64_t step) __attribute__((always_inline)) {
      for_vectors<T>(s.out_width, [&](int64_t j, int64_t n) {
        Vec<T> sum = {};
        for (int64_t c = 0; c < w.kernel_w; ++c) sum += load_every(rows.row + j * step, c, step, n);
        store_n(out + j, n, sum / (load(rows.divisors + j) * height));
      });
    };
    if (w.stride_w == 1)
      along(1);
    else if (w.stride_w == 2)
      along(2);
    else
      along(w.stride_w);
  });
}

template <class T>
void avg_pool2d_backward(const AvgPool2dBackward<T>& k) {
  const PoolShape& s = k.shape;
  const PoolWindow& w = k.window;
  const auto own_rows = carve<PoolParts<T>>(k).rows;
  for_planes(k.ws, s, 0.3, [&](int64_t plane, int slot, bool first) {
    const Rows<T> rows(own_rows[slot]);
    T* q = rows.out_row + w.kernel_w;
    if (first) {
      for (int64_t j = 0; j < pool_out_row_size(s, w); ++j) rows.out_row[j] = 0;
      column_divisors(s, w, k.count_include_pad, rows.divisors);
    }
    T* gx = k.gx + plane * s.height * s.width;
    int64_t reached = 0;
    for (int64_t oh = 0; oh < s.out_height; ++oh) {
      const Divisor side = window_side(oh, w.kernel_h, w.stride_h, w.pad_h, s.height, k.count_include_pad);
      const T* gy = k.gy + (plane * s.out_height + oh) * s.out_width;
      const T height = static_cast<T>(side.size);
      for_vectors<T>(s.out_width, [&](int64_t j, int64_t n) {
        store_n(q + j, n, load_n(gy + j, n) / (load(rows.divisors + j) * height));
      });
      spread_evenly(s, w, q, rows.row);
      add_rows(gx, s.width, reached, side.pixels.begin, side.pixels.end, rows.row);
    }
    add_rows(gx, s.width, reached, s.height, s.height, rows.row);  // zeros below the last window
  });
}

template <class T>
void adaptive_avg_pool2d_forward(const AdaptiveAvgPool2dForward<T>& k) {
  const PoolShape& s = k.shape;
  if (s.out_height == 1 && s.out_width == 1) {
    const int64_t size = s.height * s.width;
    for_planes(k.ws, s, 0.1, [&](int64_t plane, int, bool) {
      k.out[plane] = block_sum(k.x + plane * size, size) / static_cast<T>(size);
    });
    return;
  }
  const auto own_rows = carve<PoolParts<T>>(k).rows;
  for_window_rows(k.ws, s, s.height / s.out_height + 1, 0.15, [&](int64_t plane, int64_t oh, int slot, bool) {
    const Rows<T> rows(own_rows[slot]);
    const Range down = adaptive_window(oh, s.height, s.out_height);
    sum_rows(k.x + plane * s.height * s.width, s.width, down, rows.row);
    T* out = k.out + (plane * s.out_height + oh) * s.out_width;
    for (int64_t j = 0; j < s.out_width; ++j) {
      const Range across = adaptive_window(j, s.width, s.out_width);
      T sum = 0;
      for (int64_t i = across.begin; i < across.end; ++i) sum += rows.row[i];
      out[j] = sum / static_cast<T>((down.end - down.begin) * (across.end - across.begin));
    }
  });
}

template <class T>
void adaptive_avg_pool2d_backward(const AdaptiveAvgPool2dBackward<T>& k) {
  const PoolShape& s = k.shape;
  const auto own_rows = carve<PoolParts<T>>(k).rows;
  for_planes(k.ws, s, 0.15, [&](int64_t plane, int slot, bool) {
    const Rows<T> rows(own_rows[slot]);
    T* gx = k.gx + plane * s.height * s.width;
    int64_t reached = 0;
    for (int64_t oh = 0; oh < s.out_height; ++oh) {
      const Range down = adaptive_window(oh, s.height, s.out_height);
      const T* gy = k.gy + (plane * s.out_height + oh) * s.out_width;
      for (int64_t i = 0; i < s.width; ++i) rows.row[i] = 0;
      for (int64_t j = 0; j < s.out_width; ++j) {
        const Range across = adaptive_window(j, s.width, s.out_width);
        const T share = gy[j] / static_cast<T>((down.end - down.begin) * (across.end - across.begin));
        for (int64_t i = across.begin; i < across.end; ++i) rows.row[i] += share;
      }
      add_rows(gx, s.width, reached, down.begin, down.end, rows.row);
    }
    add_rows(gx, s.width, reached, s.height, s.height, rows.row);  // zeros below the last window
  });
}

EINKORN_INSTANTIATE(avg_pool2d_forward, AvgPool2dForward)
EINKORN_INSTANTIATE(avg_pool2d_backward, AvgPool2dBackward)
EINKORN_INSTANTIATE(adaptive_avg_pool2d_forward, AdaptiveAvgPool2dForward)
EINKORN_INSTANTIATE(adaptive_avg_pool2d_backward, AdaptiveAvgPool2dBackward)

}  // namespace einkorn::EINKORN_ISA
