// Colours: an image is walked through in blocks of pixels that stay in L1, and every step of its program goes over the block.
//
//   A step that needs to know the whole image as it is then (its mean, its range, its histogram) has a walk of its own before the
//   last one: the steps before it are worked out again, which costs less than keeping what they gave.
//
// The bits of values alone, whatever their channels, need no block: a byte is masked, a float rounded on its way.
//
// versions, avx512 (Intel), one core, us                     128 x 3 x 32 x 32   64 x 3 x 224 x 224
//   bits of floats      by blocks / in one pass              186 / 151            8300 / 6060       (copy 105, 3870)
//   bits of bytes       by blocks / in one pass              119 / 35             2990 / 870
//
// A task is an image.

#include "kernels/augment/color_kinds.h"
#include "kernels/augment/pixels.h"
#include "simd/lanes.h"

namespace einkorn::EINKORN_ISA {

namespace {

using namespace augment;

bool looks_first(int kind) {
  return kind == contrast || kind == stretch || kind == equalise || kind == offset || kind == plane_contrast;
}

// Three vectors of pixels whose channels lie beside each other: those of channel c, and the way back to the k-th of the three.
template <int c>
EINKORN_INLINE Floats apart(Floats x, Floats y, Floats z) {
  const Floats low = shuffle<float>(x, y, [](int i) { return 3 * i + c < 2 * kLane ? 3 * i + c : 0; });
  return shuffle<float>(low, z, [](int i) { return 3 * i + c < 2 * kLane ? i : 3 * i + c - kLane; });
}

template <int k>
EINKORN_INLINE Floats together(Floats r, Floats g, Floats b) {
  const Floats two = shuffle<float>(r, g, [](int i) { return (k * kLane + i) / 3 + (k * kLane + i) % 3 % 2 * kLane; });
  return shuffle<float>(two, b, [](int i) { return (k * kLane + i) % 3 == 2 ? kLane + (k * kLane + i) / 3 : i; });
}

// Calls body(j) for whole vectors over the block's pixels; behind them is room.
template <class Body>
EINKORN_INLINE void over(int64_t size, const Body& body) {
  for (int64_t j = 0; j < size; j += kLane) body(j);
}

// So many of the eight bits of a value, the highest.
struct Bits {
  float unit, per, limit;
  uint8_t mask;

  Bits(float count, float most)
      : unit(static_cast<float>(1 << (8 - static_cast<int>(count)))),
        per(1 / unit),
        limit(most),
        mask(static_cast<uint8_t>(255 << (8 - static_cast<int>(count)))) {}

  EINKORN_INLINE Floats of(Floats x) const {
    const Floats level = __builtin_convertvector(__builtin_convertvector(clamped(x, limit) * per, Ints), Floats);
    return x != x ? x : level * unit;
  }

  void row(float* out, const float* x, int64_t size) const {
    for_vectors<float>(size, [&](int64_t j, int64_t n) EINKORN_LAMBDA { store_n(out + j, n, of(load_n(x + j, n))); });
  }

  void row(uint8_t* out, const uint8_t* x, int64_t size) const {
    for (int64_t j = 0; j < size; ++j) out[j] = x[j] & mask;
  }
};

struct Colors {
  const AugmentColor& k;
  const ColorSlot& slot;
  const int32_t* kinds;
  const float* values;
  int64_t channels;
  bool whole;  // bytes: steps give whole numbers

  float* channel(int64_t c) const { return slot.block + c * kAugmentBlock; }

  EINKORN_INLINE Floats kept(Floats v) const {
    v = clamped(v, k.limit);
    return whole ? __builtin_convertvector(__builtin_convertvector(v, Ints), Floats) : v;
  }

  EINKORN_INLINE Floats grey_at(int64_t j) const {
    Floats g;
    if (channels == 3) {
      g = load(channel(0) + j) * 0.2989f + load(channel(1) + j) * 0.587f + load(channel(2) + j) * 0.114f;
    } else {
      g = load(channel(0) + j);
      for (int64_t c = 1; c < channels; ++c) g += load(channel(c) + j);
      if (channels > 1) g /= static_cast<float>(channels);
    }
    return whole ? __builtin_convertvector(__builtin_convertvector(g, Ints), Floats) : g;
  }

  template <class Body>
  EINKORN_INLINE void each(int64_t size, const Body& body) const {
    for (int64_t c = 0; c < channels; ++c) {
      float* const p = channel(c);
      over(size, [&](int64_t j) EINKORN_LAMBDA { store(p + j, body(load(p + j), c)); });
    }
  }

  // Bins of a histogram.
  EINKORN_INLINE Ints bins(Floats v) const {
    v = minimum(maximum(v, Floats{}), broadcast(k.limit));
    return __builtin_convertvector(whole ? v : v * (255.999f / k.limit), Ints);
  }

  void turn_hue(int64_t size, float turn) const {
    const float unit = 1.0f / k.limit;
    over(size, [&](int64_t j) EINKORN_LAMBDA {
      const Floats r = load(channel(0) + j) * unit, g = load(channel(1) + j) * unit, b = load(channel(2) + j) * unit;
      const Floats most = maximum(maximum(r, g), b), least = minimum(minimum(r, g), b), range = most - least;
      const Floats per = 1.0f / (range == 0.0f ? broadcast(1.0f) : range);
      Floats h = most == r ? (g - b) * per : most == g ? (b - r) * per + 2.0f : (r - g) * per + 4.0f;
      h += turn * 6.0f;  // -1 .. 5, and half a circle at most
      h = h < 0.0f ? h + 6.0f : h;
      h = h >= 6.0f ? h - 6.0f : h;
      const float first[3] = {5, 3, 1};
      for (int c = 0; c < 3; ++c) {
        Floats at = h + first[c];
        at = at >= 6.0f ? at - 6.0f : at;
        const Floats share = minimum(minimum(at, 4.0f - at), broadcast(1.0f));
        const Floats v = most - range * maximum(share, Floats{});
        store(channel(c) + j, whole ? kept(v * 255.999f) : clamped(v, 1.0f) * k.limit);
      }
    });
  }

  void run(int64_t step, int64_t size) const {
    const float v = values[step], limit = k.limit;
    const float* const found = slot.found + step * channels * 2;
    switch (kinds[step]) {
      case brightness:
        each(size, [&](Floats x, int64_t) EINKORN_LAMBDA { return kept(x * v); });
        break;
      case contrast:
        each(size, [&](Floats x, int64_t) EINKORN_LAMBDA { return kept(x * v + found[0] * (1 - v)); });
        break;
      case saturation:
        if (channels == 1) break;
        over(size, [&](int64_t j) EINKORN_LAMBDA {
          const Floats g = grey_at(j) * (1 - v);
          for (int64_t c = 0; c < channels; ++c) store(channel(c) + j, kept(load(channel(c) + j) * v + g));
        });
        break;
      case hue:
        if (channels == 3) turn_hue(size, v);
        break;
      case posterise: {
        const float levels = static_cast<float>(1 << static_cast<int>(v)),
                    unit = whole ? 256.0f / levels : limit / levels;
        each(size, [&](Floats x, int64_t) EINKORN_LAMBDA {
          const Floats level = __builtin_convertvector(__builtin_convertvector(clamped(x, limit) / unit, Ints), Floats);
          return x != x ? x : minimum(level, broadcast(levels - 1)) * unit;
        });
        break;
      }
      case solarise:
        each(size, [&](Floats x, int64_t) EINKORN_LAMBDA { return x >= v ? limit - x : x; });
        break;
      case invert:
        each(size, [&](Floats x, int64_t) EINKORN_LAMBDA { return limit - x; });
        break;
      case stretch:
        each(size, [&](Floats x, int64_t c) EINKORN_LAMBDA { return kept((x - found[2 * c]) / found[2 * c + 1]); });
        break;
      case equalise:
        for (int64_t c = 0; c < channels; ++c) {
          const float* const lut = slot.lut + (step * channels + c) * kAugmentBins;
          over(size, [&](int64_t j)
                         EINKORN_LAMBDA { store(channel(c) + j, gather_floats(lut, bins(load(channel(c) + j)))); });
        }
        break;
      case grey:
        over(size, [&](int64_t j) EINKORN_LAMBDA {
          const Floats g = grey_at(j);
          for (int64_t c = 0; c < channels; ++c) store(channel(c) + j, g);
        });
        break;
      case offset:
        each(size, [&](Floats x, int64_t) EINKORN_LAMBDA {
          x += v;
          x = x < found[0] ? broadcast(found[0]) : x;
          return x > found[1] ? broadcast(found[1]) : x;
        });
        break;
      case plane_contrast:
        each(size, [&](Floats x, int64_t c) EINKORN_LAMBDA { return kept(x * v + found[2 * c] * (1 - v)); });
        break;
      case add:
        each(size, [&](Floats x, int64_t) EINKORN_LAMBDA { return kept(x + v); });
        break;
      case bits: {
        const Bits left(v, limit);
        each(size, [&](Floats x, int64_t) EINKORN_LAMBDA { return left.of(x); });
        break;
      }
    }
  }

  // A block of pixels as floats, channel by channel.
  template <class In>
  EINKORN_INLINE void take(const In* x, int64_t pixels, int64_t first, int64_t size) const {
    if (k.last && channels > 1) {
      const In* const from = x + first * channels;
      int64_t done = 0;
      if (channels == 3)
        for (; done + kLane <= size; done += kLane) {
          const Floats a = load_pixels(from + 3 * done, kLane), b = load_pixels(from + 3 * done + kLane, kLane),
                       c = load_pixels(from + 3 * done + 2 * kLane, kLane);
          store(channel(0) + done, apart<0>(a, b, c));
          store(channel(1) + done, apart<1>(a, b, c));
          store(channel(2) + done, apart<2>(a, b, c));
        }
      for (int64_t c = 0; c < channels; ++c)
        for (int64_t j = done; j < size; ++j) channel(c)[j] = static_cast<float>(from[j * channels + c]);
      return;
    }
    for (int64_t c = 0; c < channels; ++c) {
      float* const p = channel(c);
      const In* const from = x + c * pixels + first;
      for_vectors<float>(size, [&](int64_t j, int64_t n) EINKORN_LAMBDA { store(p + j, load_pixels(from + j, n)); });
    }
  }

  // And back, times the scale.
  template <class Out>
  EINKORN_INLINE void give(Out* out, int64_t pixels, int64_t first, int64_t size) const {
    const auto factor = [&](int64_t c) { return k.scale == nullptr ? 1.0f : k.scale[c]; };
    const auto shift = [&](int64_t c) { return k.shift == nullptr ? 0.0f : k.shift[c]; };
    if (k.last && channels > 1) {
      Out* const to = out + first * channels;
      int64_t done = 0;
      if (channels == 3) {
        const float a0 = factor(0), a1 = factor(1), a2 = factor(2), b0 = shift(0), b1 = shift(1), b2 = shift(2);
        for (; done + kLane <= size; done += kLane) {
          const Floats r = load(channel(0) + done) * a0 + b0, g = load(channel(1) + done) * a1 + b1,
                       b = load(channel(2) + done) * a2 + b2;
          store_pixels(to + 3 * done, kLane, together<0>(r, g, b));
          store_pixels(to + 3 * done + kLane, kLane, together<1>(r, g, b));
          store_pixels(to + 3 * done + 2 * kLane, kLane, together<2>(r, g, b));
        }
      }
      for (int64_t c = 0; c < channels; ++c)
        for (int64_t j = done; j < size; ++j)
          store_pixels(to + j * channels + c, 1, broadcast(channel(c)[j] * factor(c) + shift(c)));
      return;
    }
    for (int64_t c = 0; c < channels; ++c)
      finish_row(out + c * pixels + first, channel(c), size, k.scale == nullptr ? nullptr : k.scale + c,
                 k.shift == nullptr ? nullptr : k.shift + c);
  }

  // Calls body(first, size) for every block, with steps [0, until) done.
  template <class In, class Body>
  EINKORN_INLINE void walk(const In* x, int64_t pixels, int64_t until, const Body& body) const {
    for (int64_t first = 0; first < pixels; first += kAugmentBlock) {
      const int64_t size = pixels - first < kAugmentBlock ? pixels - first : kAugmentBlock;
      take(x, pixels, first, size);
      for (int64_t s = 0; s < until; ++s) run(s, size);
      body(first, size);
    }
  }

  // What a step has to know about the image, from the steps before it.
  template <class In>
  void look(const In* x, int64_t pixels, int64_t step) const {
    float* const found = slot.found + step * channels * 2;
    if (kinds[step] == contrast) {
      double sum = 0;
      walk(x, pixels, step, [&](int64_t, int64_t size) {
        Floats part = {};
        for_vectors<float>(size, [&](int64_t j, int64_t n) EINKORN_LAMBDA {
          const Floats g = grey_at(j);
          part += n == kLane ? g : first_lanes<float>(n) ? g : Floats{};
        });
        sum += static_cast<double>(sum_lanes<float>(part));
      });
      found[0] = static_cast<float>(sum / static_cast<double>(pixels));
      return;
    }
    if (kinds[step] == plane_contrast) {
      double* const sums = slot.sums;
      for (int64_t c = 0; c < channels; ++c) sums[c] = 0;
      walk(x, pixels, step, [&](int64_t, int64_t size) {
        for (int64_t c = 0; c < channels; ++c) {
          Floats part = {};
          for_vectors<float>(size, [&](int64_t j, int64_t n) EINKORN_LAMBDA {
            const Floats v = load(channel(c) + j);
            part += n == kLane ? v : first_lanes<float>(n) ? v : Floats{};
          });
          sums[c] += static_cast<double>(sum_lanes<float>(part));
        }
      });
      for (int64_t c = 0; c < channels; ++c) found[2 * c] = static_cast<float>(sums[c] / static_cast<double>(pixels));
      return;
    }
    if (kinds[step] == equalise) {
      int32_t* const counts = slot.counts;
      for (int64_t b = 0; b < channels * kAugmentBins; ++b) counts[b] = 0;
      walk(x, pixels, step, [&](int64_t, int64_t size) {
        int32_t found_bins[kAugmentBlock + kLane];
        for (int64_t c = 0; c < channels; ++c) {
          over(size, [&](int64_t j) EINKORN_LAMBDA { store(found_bins + j, bins(load(channel(c) + j))); });
          for (int64_t j = 0; j < size; ++j) ++counts[c * kAugmentBins + found_bins[j]];
        }
      });
      for (int64_t c = 0; c < channels; ++c)
        equalised(counts + c * kAugmentBins, slot.lut + (step * channels + c) * kAugmentBins, pixels);
      return;
    }
    for (int64_t c = 0; c < channels; ++c)
      found[2 * c] = __builtin_huge_valf(), found[2 * c + 1] = -__builtin_huge_valf();
    walk(x, pixels, step, [&](int64_t, int64_t size) {
      for (int64_t c = 0; c < channels; ++c) {
        Floats low = broadcast(found[2 * c]), high = broadcast(found[2 * c + 1]);
        for_vectors<float>(size, [&](int64_t j, int64_t n) EINKORN_LAMBDA {  // NaN is neither
          const Floats v = load(channel(c) + j);
          const Ints live = n == kLane ? Ints{} - 1 : first_lanes<float>(n);
          low = live & (v < low) ? v : low;
          high = live & (v > high) ? v : high;
        });
        found[2 * c] = -max_lanes<float>(-low);
        found[2 * c + 1] = max_lanes<float>(high);
      }
    });
    if (kinds[step] == offset) {
      for (int64_t c = 1; c < channels; ++c) {
        found[0] = found[2 * c] < found[0] ? found[2 * c] : found[0];
        found[1] = found[2 * c + 1] > found[1] ? found[2 * c + 1] : found[1];
      }
      return;
    }
    for (int64_t c = 0; c < channels; ++c) {
      const bool flat = !(found[2 * c + 1] > found[2 * c]);
      found[2 * c + 1] = flat ? 1.0f : (found[2 * c + 1] - found[2 * c]) / k.limit;
      if (flat) found[2 * c] = 0;
    }
  }

  // The cumulated histogram as values, whose lowest bin becomes 0. Nothing changes where one bin has nearly all pixels.
  void equalised(const int32_t* counts, float* lut, int64_t pixels) const {
    int64_t last = kAugmentBins - 1;
    while (last > 0 && counts[last] == 0) --last;
    const int64_t step = (pixels - counts[last]) / 255;
    const float unit = whole ? 1.0f : k.limit / 255.0f;
    int32_t below[kAugmentBins];
    int32_t before = static_cast<int32_t>(step / 2);
    for (int64_t b = 0; b < kAugmentBins; ++b) {
      below[b] = step == 0 ? static_cast<int32_t>(b) : before;
      before += counts[b];
    }
    const double each =
        step == 0 ? 1.0 : static_cast<double>(step);  // quotients are whole exactly where those of integers are
    for (int64_t b = 0; b < kAugmentBins; ++b) {
      const int32_t value = static_cast<int32_t>(static_cast<double>(below[b]) / each);
      lut[b] = static_cast<float>(value > 255 ? 255 : value) * unit;
    }
  }
};

template <class In, class Out>
void color_image(const AugmentColor& k, const ColorSlot& slot, int64_t image) {
  const int64_t pixels = k.p.height * k.p.width, channels = k.p.channels;
  const In* const x = static_cast<const In*>(k.p.x) + image * channels * pixels;
  Out* const out = static_cast<Out*>(k.p.out) + image * channels * pixels;
  const Colors colors = {k, slot, k.kinds + image * k.steps, k.values + image * k.steps, channels, k.p.bytes};
  int64_t steps = 0, only = 0;
  for (int64_t s = 0; s < k.steps; ++s)
    if (colors.kinds[s] != none) ++steps, only = s;
  if constexpr (sizeof(In) == sizeof(Out)) {
    if (k.scale == nullptr && steps == 0) {
      if (k.p.out != k.p.x) memcpy(out, x, static_cast<size_t>(channels * pixels) * sizeof(In));
      return;
    }
    // Bits alone are left in one pass, without a block; to leave bits of a byte and to posterise it is the same.
    const int kind = colors.kinds[only];
    if (k.scale == nullptr && steps == 1 && (kind == bits || (kind == posterise && sizeof(In) == 1))) {
      Bits(colors.values[only], k.limit).row(out, x, channels * pixels);
      return;
    }
  }
  for (int64_t s = 0; s < k.steps; ++s)
    if (looks_first(colors.kinds[s])) colors.look(x, pixels, s);
  colors.walk(x, pixels, k.steps, [&](int64_t first, int64_t size) { colors.give(out, pixels, first, size); });
}

}  // namespace

void augment_color(const AugmentColor& k) {
  const ColorParts parts = carve<ColorParts>(k);
  const int64_t elements = k.p.height * k.p.width * k.p.channels;
  if (elements == 0) return;
  by_pixels(k.p, [&](auto in, auto out) {
    parallel_for(k.ws, k.p.images, static_cast<double>(elements * (k.steps + 1)) * 0.3, [&](int64_t image, int slot) {
      color_image<decltype(in), decltype(out)>(k, parts.slots[slot], image);
    });
  });
}

}  // namespace einkorn::EINKORN_ISA
