// The register tiles of the recurrent products: up to kTileRows rows of a state times a panel of 1 to 4 vectors, in one piece
// where the registers hold it.
//
//   rows  avx512   14 x 2 vectors (rnn, backward)   9 x 3 (gru)   7 x 4 (lstm)
//         others    6 x 2, and a wider panel in pieces

#pragma once

#include "kernels/gemm_tile.h"
#include "kernels/rnn/rnn.h"
#if defined(__AVX512BF16__)
#include "kernels/gemm_pairs.h"
#endif

namespace einkorn {
inline namespace EINKORN_ISA {

// The lines of memory that follow a tile's sums: of arrays of all steps, which no cache holds, in runs that no prefetcher follows.
// They are asked for one by one beside the multiply-adds, those that will only be written last.
class Lines {
 public:
  static constexpr int64_t kMost = 512;

  // The lines of `n` elements from p on.
  template <class T>
  EINKORN_INLINE void add(const T* p, int64_t n) {
    const char* const end = reinterpret_cast<const char*>(p + n);
    for (const char* line = reinterpret_cast<const char*>(p); line < end && count_ < kMost; line += 64)
      lines_[count_++] = line;
  }
  // From here on lines are to be written.
  void now_to_write() { read_ = count_; }

  int64_t count() const { return count_; }
  EINKORN_INLINE void ask(int64_t i) const {
    if (i < read_)
      __builtin_prefetch(lines_[i]);
    else
      ask_to_write(lines_[i]);
  }
  // The first ones, which a loop of `steps` steps leaves no time for.
  void ask_before(int64_t steps) const {
    for (int64_t i = 0; i < count_ - steps; ++i) ask(i);
  }

 private:
  const char* lines_[kMost];
  int64_t count_ = 0, read_ = 0;
};

template <int kVectors>
constexpr int kStateRows = kVectorBytes == 64 ? 28 / kVectors : kTileRows;

template <class T>
using LaneOf = typename RecurrentLane<T>::type;

template <class T>
struct StateProduct {
  using type = Fused<T>;
};
#if defined(__AVX512BF16__)
template <>
struct StateProduct<uint16_t> {
  using type = Pairs;
};
#endif

// sums[r][v] = sum over k of state[r * step + k] * panel[k][v], vectors of k and of r kVectors apart. Depth and step count lanes.
template <class T, int kVectors>
void state_tile(int64_t rows, int64_t depth, const LaneOf<T>* state, int64_t step, const LaneOf<T>* panel,
                Number<T>* sums, const Lines& lines);

}  // namespace EINKORN_ISA
}  // namespace einkorn
