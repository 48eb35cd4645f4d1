// What tree kernels share: whether a category is in a split's set, gains for comparison.

#pragma once

#include <string.h>

#include "kernels/scalar.h"
#include "simd/simd.h"

namespace einkorn {
inline namespace EINKORN_ISA {

// Whether int(x) is among the categories of `words` words, lane by lane. Numbers that are no category are in no set.
template <class T>
EINKORN_INLINE IntVec<T> in_set(Vec<T> x, const uint32_t* set, int32_t words) {
  using Lane = typename VectorOf<T>::lane_integer;
  const Vec<T> none = broadcast(static_cast<T>(-1));
  const IntVec<T> c = __builtin_convertvector((x > -1) & (x < static_cast<T>(0x1p31)) ? x : none, IntVec<T>);
  const IntVec<T> word = c >> 5, bit = c & 31;
  IntVec<T> found = {};
  for (int32_t w = 0; w < words; ++w) {
    const IntVec<T> bits = static_cast<Lane>(set[w]) - IntVec<T>{};
    found |= (word == static_cast<Lane>(w)) & (bits >> bit);
  }
  return (found & 1) != 0;
}

template <class T>
EINKORN_INLINE bool in_set(T x, const uint32_t* set, int32_t words) {
  if (!(x > -1 && x < static_cast<T>(0x1p31))) return false;
  const auto c = static_cast<int64_t>(x);
  return (c >> 5) < words && ((set[c >> 5] >> (c & 31)) & 1u) != 0;
}

// A gain with 20 binary digits: leaves whose gains differ by rounding alone are split in the order of their numbers.
EINKORN_SCALAR double rounded_gain(double gain) {
  uint64_t bits;
  memcpy(&bits, &gain, sizeof bits);
  bits = (bits + (uint64_t{1} << 31)) & ~((uint64_t{1} << 32) - 1);
  memcpy(&gain, &bits, sizeof gain);
  return gain;
}

}  // namespace EINKORN_ISA
}  // namespace einkorn
