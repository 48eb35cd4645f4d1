// Whole numbers divided upwards: how many blocks there are.

#pragma once

#include <stdint.h>

#include "runtime/carver.h"  // for the namespace of the instruction set

namespace einkorn {
inline namespace EINKORN_ISA {

inline int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

}  // namespace EINKORN_ISA
}  // namespace einkorn
