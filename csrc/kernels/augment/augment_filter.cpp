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

template <class T>
void filter_plane(const AugmentFilter& k, float* row, int64_t plane) {
  const int64_t height = k.p.height, width = k.p.width, image = plane / k.p.channels;
  const T* const x = static_cast<const T*>(k.p.x) + plane * height * width;
  T* const out = static_cast<T*>(k.p.out) + plane * height * width;
  const float keep = k.keep[image], gain = k.gain[image];
  if (gain == 0 && keep == 1) {
    memcpy(out, x, static_cast<size_t>(height * width) * sizeof(T));
    return;
  }
  const float* const down = k.rows + image * k.row_taps;
  const float* const across = k.columns + image * k.column_taps;
  const int64_t above = k.row_taps / 2, left = k.column_taps / 2;
  float* const middle = row + left;
  for (int64_t i = 0; i < height; ++i) {
    const T* const here = x + i * width;
    T* const to = out + i * width;
    if (k.edges && (i < above || i >= height - above)) {
      memcpy(to, here, static_cast<size_t>(width) * sizeof(T));
      continue;
    }
    for_vectors<float>(width, [&](int64_t j, int64_t n) EINKORN_LAMBDA {
      Floats sum = {};
      for (int64_t t = 0; t < k.row_taps; ++t) {
        const int64_t at = i + t - above;
        const int64_t from = at >= 0 && at < height ? at : mirrored(at, height);
        sum += load_pixels(x + from * width + j, n) * down[t];
      }
      store(middle + j, sum);
    });
    for (int64_t t = 1; t <= left; ++t) middle[-t] = middle[mirrored(-t, width)];
    for (int64_t t = 0; t < left; ++t) middle[width + t] = middle[mirrored(width + t, width)];
    for_vectors<float>(width, [&](int64_t j, int64_t n) EINKORN_LAMBDA {
      Floats sum = {};
      for (int64_t t = 0; t < k.column_taps; ++t) sum += load(row + j + t) * across[t];
      sum *= gain;
      if (keep != 0) sum += load_pixels(here + j, n) * keep;
      store_pixels(to + j, n, k.limit > 0 ? clamped(sum, k.limit) : sum);
    });
    if (k.edges)
      for (int64_t j = 0; j < width; ++j)
        if (j < left || j >= width - left) to[j] = here[j];
  }
}

}  // namespace

void augment_filter(const AugmentFilter& k) {
  const FilterParts parts = carve<FilterParts>(k);
  const int64_t pixels = k.p.height * k.p.width;
  if (pixels == 0) return;
  const double cost = static_cast<double>(pixels * (k.row_taps + k.column_taps + 2)) * 0.1;
  parallel_for(k.ws, k.p.images * k.p.channels, cost, [&](int64_t plane, int slot) {
    if (k.p.bytes)
      filter_plane<uint8_t>(k, parts.row[slot], plane);
    else
      filter_plane<float>(k, parts.row[slot], plane);
  });
}

}  // namespace einkorn::EINKORN_ISA
