// Colours on the GPU: a block of threads has an image, kept as floats in scratch, and every step of its program goes over it. A step that
// has to know the image (its mean, its range, its histogram) folds it over the block first; counts go by atomics, whose order does not matter.
//
// Where a step of bytes rounds down, sums are made by one fused multiply-add each, as the CPU's compiler makes them.
//
// Roofline: an image of 3 x 224 x 224 is 0.6 MB of floats, which stay in L2: 1 or 4 bytes an element from memory and back, 128 images 39 MB of
// bytes, 0.013 ms at 3.0 TB/s; a step 8 bytes of L2 an element, 0.03 ms. Few images leave most of a card idle.
// Plan: color_images: 80 registers, 3 blocks of 256 threads an SM, 160 bytes spilled

#include "kernels/augment/color_kinds.h"
#include "kernels/augment/pixels_cuda.h"
#include "kernels/cuda_group.h"

namespace einkorn::cuda {

namespace {

using namespace augment;

// What a step found out about an image.
struct Found {
  float* range;     // [channels, 2]
  float* lut;       // [channels, kAugmentBins]
  int32_t* counts;  // [channels, kAugmentBins]
};

struct Image {
  const AugmentColor& k;
  float* pixels;  // [channels, size]
  int64_t channels, size;
  Found found;
  bool whole;

  __device__ __forceinline__ float cut(float v) const { return whole ? ::truncf(v) : v; }
  __device__ __forceinline__ float kept(float v) const { return cut(clamped(v, k.limit)); }
  __device__ __forceinline__ float& at(int64_t c, int64_t j) const { return pixels[c * size + j]; }

  __device__ __forceinline__ float grey_at(int64_t j) const {
    if (channels == 3) return cut(::fmaf(at(2, j), 0.114f, ::fmaf(at(1, j), 0.587f, at(0, j) * 0.2989f)));
    float g = at(0, j);
    for (int64_t c = 1; c < channels; ++c) g += at(c, j);
    return cut(channels > 1 ? g / static_cast<float>(channels) : g);
  }

  __device__ __forceinline__ int32_t bin(float v) const {
    v = v > 0 ? v : 0.0f;
    v = v < k.limit ? v : k.limit;
    return static_cast<int32_t>(whole ? v : v * (255.999f / k.limit));
  }

  template <class Body>
  __device__ __forceinline__ void each_pixel(const Body& body) const {
    for (int64_t j = threadIdx.x; j < size; j += kBlock) body(j);
  }

  template <class Body>
  __device__ __forceinline__ void each(const Body& body) const {
    each_pixel([&](int64_t j) {
      for (int64_t c = 0; c < channels; ++c) at(c, j) = body(at(c, j), c);
    });
  }

  __device__ __forceinline__ void turn_hue(int64_t j, float turn) const {
    const float unit = 1.0f / k.limit, r = at(0, j) * unit, g = at(1, j) * unit, b = at(2, j) * unit;
    const float most = ::fmaxf(::fmaxf(r, g), b), least = ::fminf(::fminf(r, g), b), range = most - least;
    const float per = 1.0f / (range == 0 ? 1.0f : range);
    float h = most == r ? (g - b) * per : most == g ? (b - r) * per + 2.0f : (r - g) * per + 4.0f;
    h += turn * 6.0f;  // -1 .. 5, and half a circle at most
    h = h < 0 ? h + 6.0f : h;
    h = h >= 6 ? h - 6.0f : h;
    const float first[3] = {5, 3, 1};
    for (int c = 0; c < 3; ++c) {
      float place = h + first[c];
      place = place >= 6 ? place - 6.0f : place;
      const float share = ::fminf(::fminf(place, 4.0f - place), 1.0f), v = most - range * ::fmaxf(share, 0.0f);
      at(c, j) = whole ? kept(v * 255.999f) : clamped(v, 1.0f) * k.limit;
    }
  }

  // The cumulated histogram as values, whose lowest bin becomes 0. Nothing changes where one bin has nearly all pixels.
  __device__ __forceinline__ void fill_lut(const int32_t* counts, float* lut) const {
    int64_t last = kAugmentBins - 1;
    while (last > 0 && counts[last] == 0) --last;
    const int64_t step = (size - counts[last]) / 255;
    const float unit = whole ? 1.0f : k.limit / 255.0f;
    int64_t before = step / 2;
    for (int64_t b = 0; b < kAugmentBins; ++b) {
      const int64_t value = step == 0 ? b : before / step;
      lut[b] = static_cast<float>(value > 255 ? 255 : value) * unit;
      before += counts[b];
    }
  }

  // All threads of the block call it, and pass a barrier before and after.
  __device__ __forceinline__ void look(int kind) const {
    const int t = static_cast<int>(threadIdx.x);
    if (kind == contrast) {
      double sum = 0;
      each_pixel([&](int64_t j) { sum += static_cast<double>(grey_at(j)); });
      sum = summed<kBlock>(sum);
      if (t == 0) found.range[0] = static_cast<float>(sum / static_cast<double>(size));
      return;
    }
    if (kind == equalise) {
      for (int64_t b = t; b < channels * kAugmentBins; b += kBlock) found.counts[b] = 0;
      __syncthreads();
      each_pixel([&](int64_t j) {
        for (int64_t c = 0; c < channels; ++c) atomicAdd(&found.counts[c * kAugmentBins + bin(at(c, j))], 1);
      });
      __syncthreads();
      for (int64_t c = t; c < channels; c += kBlock)
        fill_lut(found.counts + c * kAugmentBins, found.lut + c * kAugmentBins);
      return;
    }
    if (kind == plane_contrast) {
      for (int64_t c = 0; c < channels; ++c) {
        double sum = 0;
        each_pixel([&](int64_t j) { sum += static_cast<double>(at(c, j)); });
        sum = summed<kBlock>(sum);
        if (t == 0) found.range[2 * c] = static_cast<float>(sum / static_cast<double>(size));
      }
      return;
    }
    float lowest = INFINITY, highest = -INFINITY;
    for (int64_t c = 0; c < channels; ++c) {
      float low = INFINITY, high = -INFINITY;
      each_pixel([&](int64_t j) {
        const float v = at(c, j);
        low = v < low ? v : low;
        high = v > high ? v : high;
      });
      low = -fold_group<kBlock>(-low, larger<float>, shuffle_xor<float>);
      high = fold_group<kBlock>(high, larger<float>, shuffle_xor<float>);
      lowest = low < lowest ? low : lowest;
      highest = high > highest ? high : highest;
      const bool flat = !(high > low);
      if (t == 0 && kind == stretch) {
        found.range[2 * c] = flat ? 0.0f : low;
        found.range[2 * c + 1] = flat ? 1.0f : (high - low) / k.limit;
      }
    }
    if (t == 0 && kind == offset) {
      found.range[0] = lowest;
      found.range[1] = highest;
    }
  }

  __device__ __forceinline__ void run(int kind, float v) const {
    const float limit = k.limit;
    const float* const range = found.range;
    switch (kind) {
      case brightness:
        each([&](float x, int64_t) { return kept(x * v); });
        break;
      case contrast:
        each([&](float x, int64_t) { return kept(::fmaf(x, v, range[0] * (1 - v))); });
        break;
      case saturation:
        if (channels == 1) break;
        each_pixel([&](int64_t j) {
          const float g = grey_at(j) * (1 - v);
          for (int64_t c = 0; c < channels; ++c) at(c, j) = kept(::fmaf(at(c, j), v, g));
        });
        break;
      case hue:
        if (channels == 3) each_pixel([&](int64_t j) { turn_hue(j, v); });
        break;
      case posterise: {
        const float levels = static_cast<float>(1 << static_cast<int>(v));
        const float unit = whole ? 256.0f / levels : limit / levels;
        each([&](float x, int64_t) {
          if (x != x) return x;
          const float level = ::truncf(clamped(x, limit) / unit);
          return (level < levels - 1 ? level : levels - 1) * unit;
        });
        break;
      }
      case solarise:
        each([&](float x, int64_t) { return x >= v ? limit - x : x; });
        break;
      case invert:
        each([&](float x, int64_t) { return limit - x; });
        break;
      case stretch:
        each([&](float x, int64_t c) { return kept((x - range[2 * c]) / range[2 * c + 1]); });
        break;
      case equalise:
        each([&](float x, int64_t c) { return found.lut[c * kAugmentBins + bin(x)]; });
        break;
      case grey:
        each_pixel([&](int64_t j) {
          const float g = grey_at(j);
          for (int64_t c = 0; c < channels; ++c) at(c, j) = g;
        });
        break;
      case offset:
        each([&](float x, int64_t) {
          x += v;
          x = x < range[0] ? range[0] : x;
          return x > range[1] ? range[1] : x;
        });
        break;
      case plane_contrast:
        each([&](float x, int64_t c) { return kept(::fmaf(x, v, range[2 * c] * (1 - v))); });
        break;
      case add:
        each([&](float x, int64_t) { return kept(x + v); });
        break;
      case bits: {
        const float unit = static_cast<float>(1 << (8 - static_cast<int>(v))), per = 1 / unit;
        each([&](float x, int64_t) { return x != x ? x : ::truncf(clamped(x, limit) * per) * unit; });
        break;
      }
    }
  }
};

template <class In, class Out>
__global__ void __launch_bounds__(kBlock) color_images(AugmentColor k, float* floats, int32_t* counts) {
  const int64_t channels = k.p.channels, size = k.p.height * k.p.width;
  const int64_t each = channels * (size + 2 + kAugmentBins);
  float* const own = floats + blockIdx.x * each;
  const Found found = {own + channels * size, own + channels * (size + 2),
                       counts + blockIdx.x * channels * kAugmentBins};
  for (int64_t n = blockIdx.x; n < k.p.images; n += gridDim.x) {
    const In* const x = static_cast<const In*>(k.p.x) + n * channels * size;
    Out* const out = static_cast<Out*>(k.p.out) + n * channels * size;
    const Image image = {k, own, channels, size, found, k.p.bytes};
    const auto place = [&](int64_t c, int64_t j) { return k.last ? j * channels + c : c * size + j; };
    image.each_pixel([&](int64_t j) {
      for (int64_t c = 0; c < channels; ++c) image.at(c, j) = static_cast<float>(x[place(c, j)]);
    });
    for (int64_t s = 0; s < k.steps; ++s) {
      const int kind = k.kinds[n * k.steps + s];
      if (kind == contrast || kind == stretch || kind == equalise || kind == offset || kind == plane_contrast) {
        image.look(kind);
        __syncthreads();
      }
      image.run(kind, k.values[n * k.steps + s]);  // pixels are the thread's own throughout
      __syncthreads();                             // what was found is read
    }
    image.each_pixel([&](int64_t j) {
      for (int64_t c = 0; c < channels; ++c)
        store_pixel(out + place(c, j), k.scale == nullptr ? image.at(c, j) : image.at(c, j) * k.scale[c] + k.shift[c]);
    });
  }
}

constexpr int64_t kMostImages = 1024;  // at once

}  // namespace

void augment_color(const AugmentColor& k) {
  const int64_t channels = k.p.channels, size = k.p.height * k.p.width;
  if (k.p.images * channels * size == 0) return;
  const int64_t blocks = k.p.images < kMostImages ? k.p.images : kMostImages;
  const StreamScratch floats(static_cast<size_t>(blocks * channels * (size + 2 + kAugmentBins)) * sizeof(float));
  const StreamScratch counts(static_cast<size_t>(blocks * channels * kAugmentBins) * sizeof(int32_t));
  by_pixels(k.p, [&](auto in, auto out) {
    launch("augment_color", color_images<decltype(in), decltype(out)>, static_cast<unsigned>(blocks), kBlock, 0, k,
           floats.as<float>(), counts.as<int32_t>());
  });
}

}  // namespace einkorn::cuda
