// Activations that a kernel applies to its result before it stores it: those whose derivative follows from their output, so
// that nothing else need be kept for the backward pass. The codes are einkorn.engines.ACTIVATIONS.

#pragma once

#include <stdint.h>

namespace einkorn {

enum class Activation : int32_t { none = 0, relu = 1, leaky_relu = 2, sigmoid = 3, tanh = 4 };

constexpr double kLeakySlope = 0.01;

}  // namespace einkorn
