// Random words as numbers, even ones and normal ones: what random.h says of them.

#pragma once

#include "kernels/philox.h"
#include "simd/math.h"

namespace einkorn {
inline namespace EINKORN_ISA {

// The words of kLanes<T> elements, as numbers in [0, 2^24) or [0, 2^53).
EINKORN_INLINE Vec<float> draw(const uint32_t* words, float) {
  return __builtin_convertvector((Vec<int32_t>)(load(words) >> 8), Vec<float>);
}

EINKORN_INLINE Vec<double> draw(const uint32_t* words, double) {
  return __builtin_convertvector((IntVec<double>)(load(reinterpret_cast<const uint64_t*>(words)) >> 11), Vec<double>);
}

template <class T>
constexpr int kWordsEach = sizeof(T) / 4;
template <class T>
constexpr T kStep = sizeof(T) == 4 ? (T)0x1p-24 : (T)0x1p-53;

// sin and cos of a whole turn times k / 2^24. Reduced exactly, on integers, to an eighth of a turn around the nearest
// quarter.
EINKORN_INLINE void sin_cos_turn(Vec<float> k, Vec<float>& sine, Vec<float>& cosine) {
  const IntVec<float> turn = __builtin_convertvector(k, IntVec<float>);
  const IntVec<float> quarter = (turn + (1 << 21)) >> 22;
  const Vec<float> a =
      __builtin_convertvector(turn - (quarter << 22), Vec<float>) * (float)(6.283185307179586477 * 0x1p-24);
  const Vec<float> z = a * a;
  Vec<float> s = z * -1.9515295891e-4f + 8.3321608736e-3f;  // coefficients: Moshier's Cephes
  s = s * z - 1.6666654611e-1f;
  s = s * z * a + a;
  Vec<float> c = z * 2.443315711809948e-5f - 1.388731625493765e-3f;
  c = c * z + 4.166664568298827e-2f;
  c = c * z - 0.5f;
  c = c * z + 1.0f;
  const IntVec<float> swapped = (quarter & 1) != 0;
  sine = swapped ? c : s;
  cosine = swapped ? s : c;
  sine = (quarter & 2) != 0 ? -sine : sine;
  cosine = ((quarter + 1) & 2) != 0 ? -cosine : cosine;
}

EINKORN_INLINE void sin_cos_turn(Vec<double> k, Vec<double>& sine, Vec<double>& cosine) {
  for (int i = 0; i < kLanes<double>; ++i) {
    const double t = k[i] * (6.283185307179586477 * 0x1p-53);
    sine[i] = ::sin(t);
    cosine[i] = ::cos(t);
  }
}

// The normal numbers of two vectors of draws, in place.
template <class T>
EINKORN_INLINE void normal_pairs(Vec<T>& low, Vec<T>& high) {
  const Vec<T> radius = square_root(EINKORN_ISA::log((even<T>(low, high) + 1) * kStep<T>) * -2);
  Vec<T> sine, cosine;
  sin_cos_turn(odd<T>(low, high), sine, cosine);
  sine *= radius;
  cosine *= radius;
  low = zip_low<T>(cosine, sine);
  high = zip_high<T>(cosine, sine);
}

}  // namespace EINKORN_ISA
}  // namespace einkorn
