// Rows in order of every feature: a radix sort from the lowest digit up, one feature a task.
//
// A number's bits, with the sign bit turned over, or all bits for negative ones, rise as the numbers do, as unsigned integers.
// Digits have 11 bits; all are counted in one pass, and a digit that all keys share is skipped: doubles that hold float32 data
// have three such.

#include "kernels/instantiate.h"
#include "kernels/stump.h"
#include "simd/math.h"

namespace einkorn::EINKORN_ISA {

namespace {

constexpr int kDigitBits = 11;
constexpr int64_t kBuckets = 1 << kDigitBits;

template <class T>
struct KeyOf;
template <>
struct KeyOf<float> {
  using type = uint32_t;
};
template <>
struct KeyOf<double> {
  using type = uint64_t;
};

// NaN is above all. -0 is 0.
template <class T>
EINKORN_INLINE typename KeyOf<T>::type key_of(T x) {
  using Key = typename KeyOf<T>::type;
  constexpr Key kSign = Key{1} << (sizeof(T) * 8 - 1);
  if (x != x) return static_cast<Key>(~Key{0});
  x = x == 0 ? T{0} : x;
  Key key;
  memcpy(&key, &x, sizeof key);
  return (key & kSign) != 0 ? static_cast<Key>(~key) : static_cast<Key>(key | kSign);
}

template <class T>
void sort_feature(const Presort<T>& k, int64_t f, char* scratch) {
  using Key = typename KeyOf<T>::type;
  constexpr int kDigits = sizeof(T) == 4 ? 3 : 6;
  const int64_t rows = k.rows;
  Key* from = reinterpret_cast<Key*>(scratch);
  Key* to = from + rows;
  int32_t* rows_from = reinterpret_cast<int32_t*>(to + rows);
  int32_t* rows_to = rows_from + rows;
  uint32_t* count = reinterpret_cast<uint32_t*>(rows_to + rows);
  memset(count, 0, kDigits * kBuckets * sizeof *count);

  const T* x = k.x + f * k.feature_stride;
  T* column = k.columns + f * rows;
  int64_t missing = 0;
  for (int64_t i = 0; i < rows; ++i) {
    const T value = x[i * k.row_stride];
    const Key key = key_of(value);
    column[i] = value;
    from[i] = key;
    rows_from[i] = static_cast<int32_t>(i);
    missing += value != value;
    EINKORN_UNROLL for (int d = 0; d < kDigits;
                        ++d)++ count[d * kBuckets + static_cast<int64_t>((key >> (d * kDigitBits)) & (kBuckets - 1))];
  }
  for (int d = 0; d < kDigits; ++d) {
    uint32_t* place = count + d * kBuckets;
    const int shift = d * kDigitBits;
    if (rows > 0 && place[(from[0] >> shift) & (kBuckets - 1)] == static_cast<uint32_t>(rows)) continue;
    uint32_t start = 0;
    for (int64_t b = 0; b < kBuckets; ++b) {
      const uint32_t n = place[b];
      place[b] = start;
      start += n;
    }
    for (int64_t i = 0; i < rows; ++i) {
      const uint32_t at = place[(from[i] >> shift) & (kBuckets - 1)]++;
      to[at] = from[i];
      rows_to[at] = rows_from[i];
    }
    Key* const keys = from;
    from = to;
    to = keys;
    int32_t* const numbers = rows_from;
    rows_from = rows_to;
    rows_to = numbers;
  }
  int32_t* order = k.order + f * rows;
  for (int64_t i = 0; i + 1 < rows; ++i)
    order[i] = rows_from[i] | (from[i] != from[i + 1] ? static_cast<int32_t>(0x80000000) : 0);
  if (rows > 0) order[rows - 1] = rows_from[rows - 1];
  k.missing[f] = missing;
}

}  // namespace

template <class T>
void presort(const Presort<T>& k) {
  const int64_t bytes = presort_scratch_bytes<T>(k.rows);
  parallel_for(k.ws, k.features, 10.0 * static_cast<double>(k.rows) + 5000,
               [&](int64_t f, int slot) { sort_feature(k, f, k.ws.scratch + slot * bytes); });
}

EINKORN_INSTANTIATE(presort, Presort)

}  // namespace einkorn::EINKORN_ISA
