// Pixels as floats on the GPU: bytes or floats in, bytes or floats out.

#pragma once

#include <math.h>

#include "kernels/augment/augment.h"
#include "kernels/cuda_launch.h"

namespace einkorn::cuda {

// NaN stays.
__device__ __forceinline__ float clamped(float v, float limit) {
  v = v < 0 ? 0.0f : v;
  return v > limit ? limit : v;
}

__device__ __forceinline__ void store_pixel(float* p, float v) {
  *p = v;
}

// Half to even; NaN becomes 0.
__device__ __forceinline__ void store_pixel(uint8_t* p, float v) {
  v = v > 0 ? v : 0.0f;
  *p = static_cast<uint8_t>(::rintf(v < 255 ? v : 255.0f));
}

// Calls body(In{}, Out{}) for the types of the pictures.
template <class Body>
void by_pixels(const Pictures& p, const Body& body) {
  if (!p.bytes)
    body(float{}, float{});
  else if (p.bytes_out)
    body(uint8_t{}, uint8_t{});
  else
    body(uint8_t{}, float{});
}

}  // namespace einkorn::cuda
