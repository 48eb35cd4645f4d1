// Sorting numbers by their bits: a radix sort from the lowest digit up.
//
// A number's bits, with the sign bit turned over, or all bits for negative ones, rise as the numbers do, as unsigned integers.
// Digits have 11 bits; all are counted in one pass, and a digit that all keys share is skipped: doubles that hold float32 data
// have three such.

#pragma once

#include <string.h>

#include "simd/simd.h"

namespace einkorn {
inline namespace EINKORN_ISA {

template <class T>
struct SortKey;
template <>
struct SortKey<float> {
  using type = uint32_t;
  static constexpr int kDigits = 3;
};
template <>
struct SortKey<double> {
  using type = uint64_t;
  static constexpr int kDigits = 6;
};
template <class T>
using Key = typename SortKey<T>::type;

constexpr int kDigitBits = 11;
constexpr int64_t kDigitValues = 1 << kDigitBits;

// NaN is above all. -0 is 0.
template <class T>
EINKORN_INLINE Key<T> to_key(T x) {
  constexpr Key<T> kSign = Key<T>{1} << (sizeof(T) * 8 - 1);
  if (x != x) return static_cast<Key<T>>(~Key<T>{0});
  x = x == 0 ? T{0} : x;
  Key<T> bits;
  memcpy(&bits, &x, sizeof bits);
  return static_cast<Key<T>>((bits & kSign) != 0 ? ~bits : bits | kSign);
}

// Of a key that is no NaN's.
template <class T>
EINKORN_INLINE T from_key(Key<T> key) {
  constexpr Key<T> kSign = Key<T>{1} << (sizeof(T) * 8 - 1);
  const Key<T> bits = static_cast<Key<T>>((key & kSign) != 0 ? key & ~kSign : ~key);
  T x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

// Sorts keys [n], and `place` along with them where it is not null; equal keys keep their order. `other` and `other_place` are
// room for the passes: the sorted arrays are those that `keys` and `place` point to in the end.
template <class T>
void radix_sort(Key<T>*& keys, Key<T>*& other, int32_t*& place, int32_t*& other_place, int64_t n) {
  constexpr int kDigits = SortKey<T>::kDigits;
  const auto digit = [](Key<T> key, int d) {
    return static_cast<int64_t>(key >> (d * kDigitBits)) & (kDigitValues - 1);
  };
  uint32_t count[kDigits][kDigitValues] = {};
  for (int64_t i = 0; i < n; ++i) EINKORN_UNROLL for (int d = 0; d < kDigits; ++d)++ count[d][digit(keys[i], d)];
  for (int d = 0; d < kDigits; ++d) {
    if (n == 0 || count[d][digit(keys[0], d)] == static_cast<uint32_t>(n)) continue;
    uint32_t sum = 0;
    for (uint32_t& here : count[d]) {
      const uint32_t next = sum + here;
      here = sum;
      sum = next;
    }
    for (int64_t i = 0; i < n; ++i) {
      const uint32_t to = count[d][digit(keys[i], d)]++;
      other[to] = keys[i];
      if (place != nullptr) other_place[to] = place[i];
    }
    Key<T>* const sorted = other;
    other = keys;
    keys = sorted;
    int32_t* const along = other_place;
    other_place = place;
    place = along;
  }
}

}  // namespace EINKORN_ISA
}  // namespace einkorn
