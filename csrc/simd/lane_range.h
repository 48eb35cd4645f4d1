// Some of the lanes of a vector, from one to another: rows of images with what lies beside them left out.

#pragma once

#include "simd/simd.h"

namespace einkorn {
inline namespace EINKORN_ISA {

template <class T>
class LaneRange {
 public:
  // Lanes from, ..., to - 1, each within [0, kLanes].
  EINKORN_INLINE LaneRange(int64_t from, int64_t to) : from_(from), to_(to) {
#if defined(__AVX512F__)
    mask_ = ((1u << to) - 1u) & ~((1u << from) - 1u);
#endif
  }

  // Those lanes of the vector at p, zeros elsewhere; all zeros where it is not `there`. What is left out is not touched.
  EINKORN_INLINE Vec<T> load(const T* p, bool there) const {
#if defined(__AVX512F__)
    const unsigned mask = there ? mask_ : 0u;
    if constexpr (sizeof(T) == 4)
      return (Vec<T>)_mm512_maskz_loadu_epi32((__mmask16)mask, p);
    else
      return (Vec<T>)_mm512_maskz_loadu_epi64((__mmask8)mask, p);
#else
    Vec<T> v = {};
    for (int i = 0; i < kLanes<T>; ++i)
      if (there && i >= from_ && i < to_) v[i] = p[i];
    return v;
#endif
  }

 private:
  int64_t from_, to_;
#if defined(__AVX512F__)
  unsigned mask_;
#endif
};

}  // namespace EINKORN_ISA
}  // namespace einkorn
