// Kernels with one fault each, which the host device must find.

#pragma once

#include <stdint.h>

namespace einkorn::cuda_host {

// out[i] = the sum of x over i's warp, by a kernel with this fault; "none" has none. False where no fault has that name.
bool run_planted(const char* fault, float* out, const float* x, int64_t size);

// out[64][64] = x[64][64] x', by boxes and group products, likewise; x are numbers that bfloat16 has.
bool run_planted_boxes(const char* fault, float* out, const float* x, int64_t size);

}  // namespace einkorn::cuda_host
