// Pixels as vectors of floats: bytes or floats in, bytes or floats out.

#pragma once

#include "kernels/augment/augment.h"
#include "simd/narrow.h"

namespace einkorn {
inline namespace EINKORN_ISA {
namespace augment {

using Floats = Vec<float>;
using Ints = Vec<int32_t>;
constexpr int kLane = kLanes<float>;

EINKORN_INLINE Floats load_pixels(const float* p, int64_t n) {
  return load_n(p, n);
}

EINKORN_INLINE Floats load_pixels(const uint8_t* p, int64_t n) {
  return to_float(n == kLane ? load_bytes(p) : load_bytes_partial(p, n));
}

// Whole numbers, half to even, of |v| < 2^22.
EINKORN_INLINE Floats to_whole(Floats v) {
  return (v + 12582912.0f) - 12582912.0f;
}

// NaN stays.
EINKORN_INLINE Floats clamped(Floats v, float limit) {
  v = v < 0.0f ? Floats{} : v;
  return v > limit ? broadcast(limit) : v;
}

EINKORN_INLINE void store_pixels(float* p, int64_t n, Floats v) {
  store_n(p, n, v);
}

EINKORN_INLINE void store_pixels(uint8_t* p, int64_t n, Floats v) {
  v = minimum(maximum(v, Floats{}), broadcast(255.0f));  // NaN becomes 0
  const Ints whole = __builtin_convertvector(to_whole(v), Ints);
  if (n == kLane)
    store_bytes(p, whole);
  else
    store_bytes_partial(p, n, whole);
}

// out = row * scale + shift. The row may be read up to a vector beyond its end.
template <class Out>
EINKORN_INLINE void finish_row(Out* out, const float* row, int64_t size, const float* scale, const float* shift) {
  const float a = scale == nullptr ? 1.0f : *scale, b = shift == nullptr ? 0.0f : *shift;
  for_vectors<float>(size,
                     [&](int64_t j, int64_t n) EINKORN_LAMBDA { store_pixels(out + j, n, load(row + j) * a + b); });
}

// Calls body(In{}, Out{}) for the types of the pictures.
template <class Body>
EINKORN_INLINE void by_pixels(const Pictures& p, const Body& body) {
  if (!p.bytes)
    body(float{}, float{});
  else if (p.bytes_out)
    body(uint8_t{}, uint8_t{});
  else
    body(uint8_t{}, float{});
}

}  // namespace augment
}  // namespace EINKORN_ISA
}  // namespace einkorn
