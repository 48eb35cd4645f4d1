// The implicit matrix of a convolution, a block of columns at a time.
//
//                     output positions, flat over (n, y, x)
//                   +-----+-----+-----+--- ...
//    (c, r, s)      |     | one |     |          entry = the pixel that tap (r, s) of channel c sees from that position,
//                   |     |block|     |          zero outside the image
//                   +-----+-----+-----+--- ...
//
// A block is cut into runs, neighbours in one row of outputs, so that an entry row is a few copies of consecutive pixels
// (every second one at stride 2). Which taps stick out where is worked out once a run and used for all channels.

#pragma once

#include "kernels/conv/conv_plan.h"
#include "simd/shuffle.h"

namespace einkorn {
inline namespace EINKORN_ISA {

constexpr int64_t kPlanesAhead = 4;

template <class T>
struct ColumnSource {
  const T* in;  // first channel of the group
  int64_t image_step, channels, height, width;
  int64_t grid_h, grid_w;  // output positions of an image
  int64_t step_y, step_x;
  const Tap* tap;
  int taps;
};

// dst[i] = src[i * step] where low <= i < high, else 0, for i < size.
template <class T>
EINKORN_INLINE void copy_run(T* dst, const T* src, int64_t size, int64_t low, int64_t high, int64_t step) {
  constexpr int64_t L = kLanes<T>;
  if (step == 1) {
    for_vectors<T>(size, [&](int64_t i, int64_t n) {
      const bool inside = low <= i && i + L <= high;
      store_n(dst + i, n, inside ? load(src + i) : load_window(src + i, make_window<T>(low - i, high - i)));
    });
  } else if (step == 2) {
    for_vectors<T>(size, [&](int64_t i, int64_t n) {
      const int64_t first = 2 * (low - i), last = 2 * (high - i) - 1;
      const Vec<T> a = load_window(src + 2 * i, make_window<T>(first, last));
      const Vec<T> b = load_window(src + 2 * i + L, make_window<T>(first - L, last - L));
      store_n(dst + i, n, even<T>(a, b));
    });
  } else {
    for (int64_t i = 0; i < size; ++i) dst[i] = low <= i && i < high ? src[i * step] : T(0);
  }
}

// A tap within one run of output positions: where its first pixel lies in the plane, and which of the run's lanes are inside.
template <class T>
struct TapWindow {
  Window<T> first, second;  // of the two vectors that a short run loads
  int64_t offset, low, high;
  bool outside;  // above or below the image
};

// panel[(c * taps + t) * panel_step + j] for the positions first + j, j < count.
template <class T>
inline void pack_columns(T* panel, int64_t panel_step, const ColumnSource<T>& s, int64_t first, int64_t count,
                         TapWindowRoom* room) {
  static_assert(sizeof(TapWindow<T>) <= sizeof(TapWindowRoom));
  constexpr int64_t L = kLanes<T>;
  TapWindow<T>* windows = reinterpret_cast<TapWindow<T>*>(room);
  const int64_t plane = s.height * s.width;
  int64_t last_x = -1;
  for (int64_t j = 0; j < count;) {
    const int64_t image = (first + j) / (s.grid_h * s.grid_w), rest = (first + j) % (s.grid_h * s.grid_w);
    const int64_t y = rest / s.grid_w, x = rest % s.grid_w;
    const int64_t size = smaller(s.grid_w - x, count - j);
    for (int t = 0; t < s.taps; ++t) {
      TapWindow<T>& w = windows[t];
      const int64_t in_y = y * s.step_y + s.tap[t].dy, in_x = x * s.step_x + s.tap[t].dx;
      const bool outside = in_y < 0 || in_y >= s.height;
      w.offset = outside ? 0 : in_y * s.width + in_x;
      if (x == last_x && outside == w.outside) continue;  // nearly always: runs begin at the left
      w.outside = outside;
      w.low = in_x < 0 ? ceil_div(-in_x, s.step_x) : 0;
      w.high = !outside && in_x < s.width ? (s.width - 1 - in_x) / s.step_x + 1 : 0;
      w.first = make_window<T>(s.step_x * w.low, s.step_x * (w.high - 1) + 1);
      w.second = make_window<T>(s.step_x * w.low - L, s.step_x * (w.high - 1) + 1 - L);
    }
    last_x = x;
    const T* in = s.in + image * s.image_step;
    T* out = panel + j;
    // Planes lie pages apart, where the hardware's prefetchers lose the track.
    const auto for_taps = [&](const auto& copy) __attribute__((always_inline)) {
      for (int64_t c = 0; c < s.channels; ++c, in += plane)
        for (int t = 0; t < s.taps; ++t, out += panel_step) {
          __builtin_prefetch(in + windows[t].offset + kPlanesAhead * plane);
          copy(in + windows[t].offset, windows[t]);
        }
    };
    // Whole vectors where they fit: what they write past the run is the next run's, and partial stores are slow.
    const int64_t room = panel_step - j;
    if (s.step_x == 1 && size <= L && room >= L)
      for_taps([&](const T* src, const TapWindow<T>& w) { store(out, load_window(src, w.first)); });
    else if (s.step_x == 2 && size <= L && room >= L)
      for_taps([&](const T* src, const TapWindow<T>& w) {
        store(out, even<T>(load_window(src, w.first), load_window(src + L, w.second)));
      });
    else if (s.step_x == 1 && size <= L)
      for_taps([&](const T* src, const TapWindow<T>& w) { store_partial(out, size, load_window(src, w.first)); });
    else if (s.step_x == 1 && size <= 2 * L)
      for_taps([&](const T* src, const TapWindow<T>& w) {
        store(out, load_window(src, w.first));
        store_n(out + L, size - L, load_window(src + L, w.second));
      });
    else
      for_taps([&](const T* src, const TapWindow<T>& w) { copy_run(out, src, size, w.low, w.high, s.step_x); });
    j += size;
  }
}

}  // namespace EINKORN_ISA
}  // namespace einkorn
