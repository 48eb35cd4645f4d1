// Local response norm: vectors along positions, one channel's window after the other.
//
// The window's sum is taken anew for each channel: windows are short (5), and a running sum would carry rounding errors from
// channel to channel. Powers are exp(-beta log d).

#include "kernels/instantiate.h"
#include "kernels/norm/norm_parts.h"
#include "simd/lanes.h"
#include "simd/math.h"

namespace einkorn::EINKORN_ISA {

namespace {

constexpr double kCost = 2;  // ns an element on one core

// Calls body(offset of channel 0, live, slot) for strips of positions.
template <class T, class Shape, class Body>
EINKORN_INLINE void for_positions(const Shape& k, const Body& body) {
  const int64_t strips = norm_divide_up(k.length, kLanes<T>), all = k.batch * strips;
  const int64_t strip = (k.channels > 0 ? k.channels : 1) * kLanes<T>, each = norm_divide_up(4096, strip);
  parallel_for(k.ws, norm_divide_up(all, each), kCost * static_cast<double>(each * strip), [&](int64_t task, int slot) {
    const int64_t end = (task + 1) * each < all ? (task + 1) * each : all;
    for (int64_t s = task * each; s < end; ++s) {
      const int64_t at = s % strips * kLanes<T>;
      body(s / strips * k.channels * k.length + at, k.length - at < kLanes<T> ? k.length - at : kLanes<T>, slot);
    }
  });
}

EINKORN_INLINE int64_t clamp(int64_t v, int64_t low, int64_t high) {
  return v < low ? low : (v > high ? high : v);
}

template <class T>
EINKORN_INLINE Vec<T> power_of(Vec<T> d, T exponent) {
  return exp(log(d) * exponent);
}

}  // namespace

template <class T>
void local_response_norm_forward(const LocalResponseNorm<T>& k) {
  const T share = static_cast<T>(k.alpha / static_cast<double>(k.size)), beta = static_cast<T>(-k.beta);
  for_positions<T>(k, [&](int64_t start, int64_t live, int) {
    for (int64_t c = 0; c < k.channels; ++c) {
      const int64_t from = clamp(c - k.size / 2, 0, k.channels), to = clamp(c + (k.size - 1) / 2 + 1, 0, k.channels);
      Vec<T> sum = {};
      for (int64_t i = from; i < to; ++i) {
        const Vec<T> v = load_n(k.x + start + i * k.length, live);
        sum += v * v;
      }
      const Vec<T> d = sum * share + static_cast<T>(k.k);
      const int64_t at = start + c * k.length;
      if (k.scale != nullptr) store_n(k.scale + at, live, d);
      store_n(k.out + at, live, load_n(k.x + at, live) * power_of<T>(d, beta));
    }
  });
}

template <class T>
void local_response_norm_backward(const LocalResponseNormGrad<T>& k) {
  const LocalResponseNormParts<T> parts = carve<LocalResponseNormParts<T>>(k);
  const T beta = static_cast<T>(-k.beta), twice = static_cast<T>(2 * k.alpha * k.beta / static_cast<double>(k.size));
  for_positions<T>(k, [&](int64_t start, int64_t live, int slot) {
    T* terms = parts.terms[slot];
    for (int64_t c = 0; c < k.channels; ++c) {
      const int64_t at = start + c * k.length;
      const Vec<T> d = load_n(k.scale + at, live), power = power_of<T>(d, beta);
      const Vec<T> g = load_n(k.g + at, live) * power;
      store_n(k.gx + at, live, g);
      store(terms + c * kLanes<T>, g * load_n(k.x + at, live) / d);
    }
    for (int64_t c = 0; c < k.channels; ++c) {
      const int64_t from = clamp(c - (k.size - 1) / 2, 0, k.channels), to = clamp(c + k.size / 2 + 1, 0, k.channels);
      Vec<T> sum = {};
      for (int64_t i = from; i < to; ++i) sum += load(terms + i * kLanes<T>);
      const int64_t at = start + c * k.length;
      store_n(k.gx + at, live, load_n(k.gx + at, live) - load_n(k.x + at, live) * twice * sum);
    }
  });
}

EINKORN_INSTANTIATE(local_response_norm_forward, LocalResponseNorm)
EINKORN_INSTANTIATE(local_response_norm_backward, LocalResponseNormGrad)

}  // namespace einkorn::EINKORN_ISA
