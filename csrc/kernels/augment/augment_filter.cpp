// Separable filters: each output row is summed downwards into one row in L1, whose ends are mirrored, then summed across.
// A task is a plane.

#include "kernels/augment/pixels.h"

namespace einkorn::EINKORN_ISA {

namespace {

using namespace augment;

// About the outermost pixels, as often as it takes.
int64_t mirrored(int64_t at, int64_t n) {
  if (n == 1) return 0;
  const int64_t period = 2 * n - 2, r = (at % period + period) % period;
  return r < n ? r : period - r;
}

// What the planes of an image share. Stores of bytes might write to any struct, as far as a compiler knows: loops have copies.
struct Weights {
  const float *down, *across;
  int64_t rows, columns;
  float keep, gain, limit;
  bool edges;
};

template <class T>
EINKORN_INLINE Floats tap(Floats sum, const T* p, int64_t n, float weight) {
  return sum + load_pixels(p, n) * weight;
}

template <class T>
void filter_plane(const Weights w, const T* const x, T* const out, const int64_t height, const int64_t width,
                  float* row) {
  const int64_t above = w.rows / 2, left = w.columns / 2;
  float* const middle = row + left;
  for (int64_t i = 0; i < height; ++i) {
    const T* const here = x + i * width;
    T* const to = out + i * width;
    const bool is_inner = i >= above && i < height - above;
    if (w.edges && !is_inner) {
      memcpy(to, here, static_cast<size_t>(width) * sizeof(T));
      continue;
    }
    if (is_inner && w.rows == 3) {
      const float first = w.down[0], second = w.down[1], third = w.down[2];
      for_vectors<float>(width, [&](int64_t j, int64_t n) EINKORN_LAMBDA {
        Floats sum = tap(Floats{}, here - width + j, n, first);
        sum = tap(sum, here + j, n, second);
        store(middle + j, tap(sum, here + width + j, n, third));
      });
    } else {
      for_vectors<float>(width, [&](int64_t j, int64_t n) EINKORN_LAMBDA {
        Floats sum = {};
        for (int64_t t = 0; t < w.rows; ++t) {
          const int64_t at = i + t - above;
          const int64_t from = is_inner || (at >= 0 && at < height) ? at : mirrored(at, height);
          sum = tap(sum, x + from * width + j, n, w.down[t]);
        }
        store(middle + j, sum);
      });
    }
    for (int64_t t = 1; t <= left; ++t) middle[-t] = middle[mirrored(-t, width)];
    for (int64_t t = 0; t < left; ++t) middle[width + t] = middle[mirrored(width + t, width)];
    for_vectors<float>(width, [&](int64_t j, int64_t n) EINKORN_LAMBDA {
      Floats sum = {};
      for (int64_t t = 0; t < w.columns; ++t) sum += load(row + j + t) * w.across[t];
      sum *= w.gain;
      if (w.keep != 0) sum += load_pixels(here + j, n) * w.keep;
      store_pixels(to + j, n, w.limit > 0 ? clamped(sum, w.limit) : sum);
    });
    if (w.edges) {
      const int64_t ends = 2 * left < width ? left : width;
      for (int64_t j = 0; j < ends; ++j) to[j] = here[j];
      for (int64_t j = width - left < ends ? ends : width - left; j < width; ++j) to[j] = here[j];
    }
  }
}

template <class T>
void filter_task(const AugmentFilter& k, float* row, int64_t plane) {
  const int64_t pixels = k.p.height * k.p.width, image = plane / k.p.channels;
  const T* const x = static_cast<const T*>(k.p.x) + plane * pixels;
  T* const out = static_cast<T*>(k.p.out) + plane * pixels;
  if (k.gain[image] == 0 && k.keep[image] == 1) {
    memcpy(out, x, static_cast<size_t>(pixels) * sizeof(T));
    return;
  }
  const Weights w = {k.rows + image * k.row_taps,
                     k.columns + image * k.column_taps,
                     k.row_taps,
                     k.column_taps,
                     k.keep[image],
                     k.gain[image],
                     k.limit,
                     k.edges};
  filter_plane<T>(w, x, out, k.p.height, k.p.width, row);
}

}  // namespace

void augment_filter(const AugmentFilter& k) {
  const FilterParts parts = carve<FilterParts>(k);
  const int64_t pixels = k.p.height * k.p.width;
  if (pixels == 0) return;
  const double cost = static_cast<double>(pixels * (k.row_taps + k.column_taps + 2)) * 0.1;
  parallel_for(k.ws, k.p.images * k.p.channels, cost, [&](int64_t plane, int slot) {
    if (k.p.bytes)
      filter_task<uint8_t>(k, parts.row[slot], plane);
    else
      filter_task<float>(k, parts.row[slot], plane);
  });
}

}  // namespace einkorn::EINKORN_ISA
