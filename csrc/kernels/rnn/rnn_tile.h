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
// They are asked for one by one beside the multiply-adds, those that will only be written last. What is kept is where runs of lines
// that lie equally far apart begin: a list of the lines themselves took 40 cycles a cell to write.
class Lines {
 public:
  static constexpr int kMostRuns = 48;

  // The lines of n elements from p on, and of as many `step` elements later, `count` times in all.
  template <class T>
  EINKORN_INLINE void add(const T* p, int64_t n, int64_t step, int64_t count) {
    const char* const begin = reinterpret_cast<const char*>(p);
    for (int64_t line = 0; line < n * static_cast<int64_t>(sizeof(T)) && count > 0 && runs_ < kMostRuns; line += 64) {
      run_[runs_++] = {begin + line, step * static_cast<int64_t>(sizeof(T)), count};
      count_ += count;
    }
  }
  // n elements without gaps.
  template <class T>
  EINKORN_INLINE void add_all(const T* p, int64_t n) {
    constexpr int64_t kEach = 64 / static_cast<int64_t>(sizeof(T));
    add(p, 1, kEach, (n + kEach - 1) / kEach);
  }
  // From here on lines are to be written.
  EINKORN_INLINE void now_to_write() { read_runs_ = runs_; }

  EINKORN_INLINE int64_t count() const { return count_; }

  // Goes through the lines, one at each call, as many as there are.
  class Walk {
   public:
    EINKORN_INLINE explicit Walk(const Lines& lines) : lines_(lines), left_(lines.run_[0].count) {
      at_ = lines.run_[0].first;
    }
    EINKORN_INLINE void ask() {
      if (run_ < lines_.read_runs_)
        __builtin_prefetch(at_);
      else
        ask_to_write(at_);
      at_ += lines_.run_[run_].step;
      if (--left_ > 0) return;
      const Run& next = lines_.run_[++run_];
      at_ = next.first;
      left_ = next.count;
    }

   private:
    const Lines& lines_;
    const char* at_;
    int64_t left_;
    int run_ = 0;
  };

 private:
  struct Run {
    const char* first;
    int64_t step, count;
  };
  Run run_[kMostRuns + 1];
  int runs_ = 0, read_runs_ = 0;
  int64_t count_ = 0;
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
