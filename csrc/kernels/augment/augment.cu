// Augmentation on the GPU: pictures seen from elsewhere, filtered, with noise. Colours are in augment_color.cu.
//
//   warp     a thread a place of the output, which goes through the channels. Where axes stay axes, taps are worked out in double for each
//            place, rows blended before columns, as the CPU's tables have it; elsewhere the place itself, in float
//   filter   two launches, down and then across, with floats between them
//   noise    a thread a counter of the random stream: four elements
//
// Roofline: bytes or floats read and written once, 128 images of 3 x 224 x 224 bytes 39 MB, 0.013 ms at 3.0 TB/s, beside 60 operations an
// element of a warp, some 0.05 ms of instructions. A filter keeps a float an element between its launches: 0.08 ms.
// Plan: warp_places: 80 registers, 3 blocks of 256 threads an SM
// Plan: filter_down, filter_across: 40 registers, 6 blocks of 256 threads an SM
// Plan: add_noise: 48 registers, 5 blocks of 256 threads an SM, 8 bytes spilled

#include "kernels/augment/border.h"
#include "kernels/augment/pixels_cuda.h"
#include "kernels/cuda_philox.h"

namespace einkorn::cuda {

namespace {

using augment::kFar;
using augment::place_of;

// The taps of a place along an axis: two, or a triangle's.
struct Taps {
  int64_t first, count;
  double at, reach, sum;  // of a triangle; reach 0: there is none
  int64_t index[2];
  float share[2];
  float inside;  // the weight of those within the image

  __device__ __forceinline__ Taps(const AugmentWarp& k, double place, double scale, int64_t n)
      : first(0),
        count(2),
        at(place >= -kFar && place <= kFar ? place
           : place < 0                     ? -kFar
                                           : kFar),
        reach(0),
        sum(0) {
    if (k.taps > 0) {
      reach = ::fabs(scale) > 1 ? ::fabs(scale) : 1.0;
      first = static_cast<int64_t>(::floor(at - reach)) + 1;
      int64_t last = static_cast<int64_t>(::ceil(at + reach)) - 1;
      first = first < 0 ? 0 : first;
      last = last >= n ? n - 1 : last;
      const int64_t most = k.taps > 2 ? k.taps : 2;
      if (last >= first + most) last = first + most - 1;
      for (int64_t t = first; t <= last; ++t) sum += 1 - ::fabs(static_cast<double>(t) - at) / reach;
      count = last - first + 1;
      inside = 1;
      if (sum > 0) return;
      reach = 0;
      count = 1;
      index[0] = place_of(static_cast<int64_t>(at), n, 1);
      share[0] = 1;
      return;
    }
    const double low = k.mode == 1 ? ::rint(at) : ::floor(at);
    const float high = static_cast<float>(at - low);
    inside = 0;
    for (int t = 0; t < 2; ++t) {
      const float here = k.mode == 1 ? (t == 0 ? 1.0f : 0.0f) : (t == 0 ? 1.0f - high : high);
      const int64_t found = place_of(static_cast<int64_t>(low) + t, n, k.border);
      index[t] = found < 0 ? 0 : found;
      share[t] = found < 0 ? 0.0f : here;
      inside += share[t];
    }
  }

  // body(pixel, weight) for those that count.
  template <class Body>
  __device__ __forceinline__ void each(const Body& body) const {
    for (int64_t t = 0; t < count; ++t) {
      if (reach > 0) {
        body(first + t, static_cast<float>((1 - ::fabs(static_cast<double>(first + t) - at) / reach) / sum));
      } else if (share[t] != 0) {
        body(index[t], share[t]);
      }
    }
  }
};

template <class In>
struct Window {
  const In* base;
  int64_t height, width, pitch;
};

// Values of a place in all channels go to put(channel, value).
template <class In, class Put>
__device__ __forceinline__ void along_axes(const AugmentWarp& k, const Window<In>& w, const double* m, int64_t i,
                                           int64_t j, const Put& put) {
  const Taps x(k, m[0] * static_cast<double>(j) + m[2], m[0], w.width);
  const Taps y(k, m[4] * static_cast<double>(i) + m[5], m[4], w.height);
  for (int64_t c = 0; c < k.p.channels; ++c) {
    const In* const plane = w.base + c * k.p.height * k.p.width;
    const float fill = k.fill[c];
    if (y.inside == 0) {
      put(c, fill);
      continue;
    }
    float sum = 0;
    x.each([&](int64_t column, float share) {
      float blend = 0;
      y.each([&](int64_t row, float of_row) { blend += static_cast<float>(plane[row * w.pitch + column]) * of_row; });
      sum += blend * share;
    });
    if (k.border == 0) sum = (x.inside == 0 ? 0.0f : sum) + (1.0f - x.inside * y.inside) * fill;
    put(c, sum);
  }
}

template <class In, class Put>
__device__ __forceinline__ void anywhere(const AugmentWarp& k, const Window<In>& w, const double* m, const float* field,
                                         int64_t i, int64_t j, const Put& put) {
  const double line = static_cast<double>(i);
  const float number = static_cast<float>(j), far = static_cast<float>(kFar);
  float x = number * static_cast<float>(m[0]) + static_cast<float>(m[1] * line + m[2]);
  float y = number * static_cast<float>(m[3]) + static_cast<float>(m[4] * line + m[5]);
  if (m[6] != 0 || m[7] != 0 || m[8] != 1) {
    const float z = number * static_cast<float>(m[6]) + static_cast<float>(m[7] * line + m[8]);
    x /= z;
    y /= z;
  }
  if (field != nullptr) {
    x += field[i * k.out_width + j];
    y += field[(k.out_height + i) * k.out_width + j];
  }
  x = x < far ? (x > -far ? x : -far) : far;  // NaN lies far away
  y = y < far ? (y > -far ? y : -far) : far;
  const int64_t plane = k.p.height * k.p.width;
  if (k.mode == 1) {
    const int64_t column = place_of(static_cast<int64_t>(::rintf(x)), w.width, k.border);
    const int64_t row = place_of(static_cast<int64_t>(::rintf(y)), w.height, k.border);
    for (int64_t c = 0; c < k.p.channels; ++c)
      put(c, row < 0 || column < 0 ? k.fill[c] : static_cast<float>(w.base[c * plane + row * w.pitch + column]));
    return;
  }
  const float left = ::floorf(x), top = ::floorf(y);
  float across[2] = {left + 1.0f - x, x - left}, down[2] = {top + 1.0f - y, y - top};
  int64_t column[2], row[2];
  for (int t = 0; t < 2; ++t) {
    column[t] = place_of(static_cast<int64_t>(left) + t, w.width, k.border);
    row[t] = place_of(static_cast<int64_t>(top) + t, w.height, k.border);
    if (column[t] < 0) across[t] = 0;
    if (row[t] < 0) down[t] = 0;
  }
  const float outside = 1.0f - (across[0] + across[1]) * (down[0] + down[1]);
  for (int64_t c = 0; c < k.p.channels; ++c) {
    float sum = k.border == 0 ? outside * k.fill[c] : 0.0f;
    for (int t = 0; t < 4; ++t) {
      const float share = across[t & 1] * down[t >> 1];
      if (share != 0) sum += share * static_cast<float>(w.base[c * plane + row[t >> 1] * w.pitch + column[t & 1]]);
    }
    put(c, sum);
  }
}

template <class In, class Out>
__global__ void __launch_bounds__(kBlock) warp_places(AugmentWarp k) {
  const int64_t places = k.out_height * k.out_width, plane = k.p.height * k.p.width;
  grid_stride(k.p.images * places, [&](int64_t at) {
    const int64_t n = quotient(at, places), place = at - n * places, i = quotient(place, k.out_width);
    const int64_t j = place - i * k.out_width;
    Window<In> w = {static_cast<const In*>(k.p.x) + n * k.p.channels * plane, k.p.height, k.p.width, k.p.width};
    if (k.window != nullptr) {
      const int32_t* const corners = k.window + 4 * n;
      w = {w.base + corners[1] * k.p.width + corners[0], corners[3] - corners[1], corners[2] - corners[0], k.p.width};
    }
    const auto put = [&](int64_t c, float v) {
      Out* const to = static_cast<Out*>(k.p.out) + (n * k.p.channels + c) * places + place;
      store_pixel(to, k.scale == nullptr ? v : v * k.scale[c] + k.shift[c]);
    };
    const double* const m = k.matrix + 9 * n;
    const bool axes = m[1] == 0 && m[3] == 0 && m[6] == 0 && m[7] == 0 && m[8] == 1 && k.field == nullptr;
    if (axes)
      along_axes(k, w, m, i, j, put);
    else
      anywhere(k, w, m, k.field == nullptr ? nullptr : k.field + n * 2 * places, i, j, put);
  });
}

// ---- filters ----

// About the outermost pixels, as often as it takes.
__device__ __forceinline__ int64_t mirrored(int64_t at, int64_t n) {
  return at >= 0 && at < n ? at : n == 1 ? 0 : place_of(at, n, 3);
}

template <class T>
__global__ void __launch_bounds__(kBlock) filter_down(AugmentFilter k, float* sums) {
  const int64_t width = k.p.width, pixels = k.p.height * width, above = k.row_taps / 2;
  grid_stride(k.p.images * k.p.channels * pixels, [&](int64_t at) {
    const int64_t plane = quotient(at, pixels), pixel = at - plane * pixels, i = quotient(pixel, width);
    const T* const column = static_cast<const T*>(k.p.x) + plane * pixels + (pixel - i * width);
    const float* const down = k.rows + quotient(plane, k.p.channels) * k.row_taps;
    float sum = 0;
    for (int64_t t = 0; t < k.row_taps; ++t)
      sum += static_cast<float>(column[mirrored(i + t - above, k.p.height) * width]) * down[t];
    sums[at] = sum;
  });
}

template <class T>
__global__ void __launch_bounds__(kBlock) filter_across(AugmentFilter k, const float* sums) {
  const int64_t height = k.p.height, width = k.p.width, pixels = height * width;
  const int64_t above = k.row_taps / 2, left = k.column_taps / 2;
  grid_stride(k.p.images * k.p.channels * pixels, [&](int64_t at) {
    const int64_t plane = quotient(at, pixels), pixel = at - plane * pixels, i = quotient(pixel, width);
    const int64_t j = pixel - i * width, image = quotient(plane, k.p.channels);
    const float keep = k.keep[image], gain = k.gain[image];
    const T here = static_cast<const T*>(k.p.x)[at];
    T* const to = static_cast<T*>(k.p.out) + at;
    const bool at_edge = i < above || i >= height - above || j < left || j >= width - left;
    if ((gain == 0 && keep == 1) || (k.edges && at_edge)) {
      *to = here;
      return;
    }
    const float* const across = k.columns + image * k.column_taps;
    float sum = 0;
    for (int64_t t = 0; t < k.column_taps; ++t) sum += sums[at - j + mirrored(j + t - left, width)] * across[t];
    sum *= gain;
    if (keep != 0) sum += static_cast<float>(here) * keep;
    store_pixel(to, k.limit > 0 ? clamped(sum, k.limit) : sum);
  });
}

// ---- noise ----

template <class T>
__global__ void __launch_bounds__(kBlock) add_noise(AugmentNoise k) {
  const int64_t size = k.p.channels * k.p.height * k.p.width, counters = (size + 3) / 4;
  grid_stride(k.p.images * counters, [&](int64_t task) {
    const int64_t image = quotient(task, counters), counter = task - image * counters;
    const Words words = philox(k.seed, (static_cast<uint64_t>(k.rows[image]) << 32) + static_cast<uint64_t>(counter));
    const float amount = k.amount[image], salt = k.salt[image];
    float z[4];
    for (int e = 0; e < 4; ++e) z[e] = draw<float>(words, e);
    for (int e = 0; k.kind == 0 && e < 4; e += 2) {
      const float radius = ::sqrtf(::logf((z[e] + 1) * 0x1p-24f) * -2);
      float sine, cosine;
      sin_cos_turn(z[e + 1], sine, cosine);
      z[e] = cosine * radius;
      z[e + 1] = sine * radius;
    }
    for (int e = 0; e < 4 && counter * 4 + e < size; ++e) {
      const int64_t at = image * size + counter * 4 + e;
      const float pixel = static_cast<float>(static_cast<const T*>(k.p.x)[at]);
      float v;
      if (k.kind == 0) {
        v = pixel + z[e] * amount;
      } else if (k.kind == 1) {
        v = pixel + (z[e] * 0x1p-23f - 1.0f) * amount;
      } else {
        const float u = z[e] * 0x1p-24f;
        v = u < amount ? (u < amount * salt ? k.limit : 0.0f) : pixel;
      }
      store_pixel(static_cast<T*>(k.p.out) + at, k.limit > 0 ? clamped(v, k.limit) : v);
    }
  });
}

// ---- copies ----

template <class T>
__global__ void __launch_bounds__(kBlock) erase_boxes(AugmentErase k) {
  const int64_t width = k.p.width, pixels = k.p.height * width;
  grid_stride(k.p.images * k.p.channels * pixels, [&](int64_t at) {
    const int64_t plane = quotient(at, pixels), image = quotient(plane, k.p.channels), pixel = at - plane * pixels;
    const int64_t i = quotient(pixel, width), j = pixel - i * width;
    const int32_t* const box = k.boxes + 4 * image;
    T* const to = static_cast<T*>(k.p.out) + at;
    if (j < box[0] || i < box[1] || j >= box[2] || i >= box[3])
      *to = static_cast<const T*>(k.p.x)[at];
    else if (k.filler != nullptr)
      *to = static_cast<const T*>(k.filler)[at];
    else
      store_pixel(to, k.values[plane - image * k.p.channels]);
  });
}

template <class T>
__global__ void __launch_bounds__(kBlock) mirror_pixels(AugmentMirror k) {
  const int64_t group = k.last ? k.p.channels : 1, width = k.p.width, height = k.p.height;
  const int64_t size = k.p.channels * height * width;
  grid_stride(k.p.images * size, [&](int64_t at) {
    const int64_t image = quotient(at, size), pixel = quotient(at, group), g = at - pixel * group;
    const int64_t row = quotient(pixel, width), j = pixel - row * width, i = row % height;
    const int64_t source = k.down[image] != 0 ? row - i + height - 1 - i : row;
    const int64_t column = k.across[image] != 0 ? width - 1 - j : j;
    static_cast<T*>(k.p.out)[at] = static_cast<const T*>(k.p.x)[(source * width + column) * group + g];
  });
}

}  // namespace

void augment_erase(const AugmentErase& k) {
  const int64_t size = k.p.images * k.p.channels * k.p.height * k.p.width;
  launch_over("augment_erase", k.p.bytes ? erase_boxes<uint8_t> : erase_boxes<float>, size, k);
}

void augment_mirror(const AugmentMirror& k) {
  const int64_t size = k.p.images * k.p.channels * k.p.height * k.p.width;
  launch_over("augment_mirror", k.p.bytes ? mirror_pixels<uint8_t> : mirror_pixels<float>, size, k);
}

void augment_warp(const AugmentWarp& k) {
  by_pixels(k.p, [&](auto in, auto out) {
    launch_over("augment_warp", warp_places<decltype(in), decltype(out)>, k.p.images * k.out_height * k.out_width, k);
  });
}

void augment_filter(const AugmentFilter& k) {
  const int64_t size = k.p.images * k.p.channels * k.p.height * k.p.width;
  const StreamScratch sums(static_cast<size_t>(size) * sizeof(float));
  launch_over("augment_filter", k.p.bytes ? filter_down<uint8_t> : filter_down<float>, size, k, sums.as<float>());
  launch_over("augment_filter", k.p.bytes ? filter_across<uint8_t> : filter_across<float>, size, k, sums.as<float>());
}

void augment_noise(const AugmentNoise& k) {
  const int64_t counters = (k.p.channels * k.p.height * k.p.width + 3) / 4;
  launch_over("augment_noise", k.p.bytes ? add_noise<uint8_t> : add_noise<float>, k.p.images * counters, k);
}

}  // namespace einkorn::cuda
