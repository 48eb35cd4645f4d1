// Products of bytes: packed panels and a register tile (gemm_packed.h); for few rows, dot products of rows as they lie.
//
// With vpdpbusd a lane holds four neighbours along k. Elsewhere packing widens to int16, two in a lane (pmaddwd). a has no sign,
// b has one: what a is too large by, a_zero, is taken off at the end, times the sum over b's row.

#include "kernels/matmul_int8.h"

#include "kernels/gemm_tiles.h"
#include "simd/activate.h"
#include "simd/narrow_products.h"

namespace einkorn::EINKORN_ISA {

namespace {

// n bytes, 0 <= n <= kRoom, in `room` with zeros behind them, or where they lie.
template <int kRoom>
EINKORN_INLINE const uint8_t* padded(uint8_t* room, const uint8_t* p, int64_t n) {
  if (n == kRoom) return p;
  memset(room, 0, kRoom);
  memcpy(room, p, static_cast<size_t>(n));
  return room;
}

#if defined(__AVX512VNNI__)
struct Quads {
  static constexpr bool kAcross = false;
  EINKORN_INLINE static Vec<int32_t> along(const uint8_t* p, int64_t n) {
    return (Vec<int32_t>)_mm512_maskz_loadu_epi8(n == 64 ? ~0ull : (1ull << n) - 1, p);
  }
};

struct Product {
  using A = Quads;
  using B = Quads;
  using Packed = int32_t;
  using Sum = int32_t;
  static constexpr int kGroup = 4;
  EINKORN_INLINE static Vec<int32_t> add(Vec<int32_t> sum, Vec<int32_t> a, Vec<int32_t> b) {
    return add_quads(sum, a, b);
  }
  template <int kC, int kA, int kB, class Tiles>
  EINKORN_INLINE static void add_tiles(Tiles& tiles) {
    tiles.template add_quads<kC, kA, kB>();
  }
};
constexpr double kCost = 0.006;
#else
template <class Byte>
struct Shorts {
  static constexpr bool kAcross = false;
  static constexpr int kBytes = 2 * kLanes<int32_t>;
  EINKORN_INLINE static Vec<int32_t> along(const uint8_t* p, int64_t n) {
    typedef Byte Bytes __attribute__((vector_size(kBytes)));
    typedef int16_t Wide __attribute__((vector_size(2 * kBytes)));
    uint8_t room[kBytes];
    Bytes bytes;
    memcpy(&bytes, padded<kBytes>(room, p, n), sizeof bytes);
    return (Vec<int32_t>)__builtin_convertvector(bytes, Wide);
  }
};

struct Product {
  using A = Shorts<uint8_t>;
  using B = Shorts<int8_t>;
  using Packed = int32_t;
  using Sum = int32_t;
  static constexpr int kGroup = 2;
  EINKORN_INLINE static Vec<int32_t> add(Vec<int32_t> sum, Vec<int32_t> a, Vec<int32_t> b) {
    return add_shorts(sum, a, b);
  }
};
constexpr double kCost = 0.015;
#endif

EINKORN_INLINE Vec<int32_t> rounded(Vec<float> v) {
#if defined(__AVX512F__)
  return (Vec<int32_t>)_mm512_cvtps_epi32((__m512)v);
#elif defined(__AVX2__)
  return (Vec<int32_t>)_mm256_cvtps_epi32((__m256)v);
#elif defined(__SSE2__)
  return (Vec<int32_t>)_mm_cvtps_epi32((__m128)v);
#else
  Vec<int32_t> out = {};
  for (int i = 0; i < kLanes<float>; ++i) out[i] = static_cast<int32_t>(__builtin_rintf(v[i]));
  return out;
#endif
}

// From the sums of row i to out, from column j on.
struct Scale {
  const MatmulInt8& x;

  EINKORN_INLINE void put(int64_t i, int64_t j, int64_t live, Vec<int32_t> sum) const {
    const Vec<int32_t> whole = sum - load_n(x.b_sums + j, live) * x.a_zero[i];
    Vec<float> v = __builtin_convertvector(whole, Vec<float>) * (load_n(x.b_scale + j, live) * x.a_scale[i]);
    if (x.bias != nullptr) v += load_n(x.bias + j, live);
    store_n(x.out + i * x.n + j, live, activate(v, x.activation));
  }

  __attribute__((noinline)) void operator()(int64_t, const int32_t* sums, int64_t rows, int64_t columns, int64_t i,
                                            int64_t j) const {
    for (int64_t r = 0; r < rows; ++r)
      for_vectors<int32_t>(columns, [&](int64_t c, int64_t live) {
        put(i + r, j + c, live, load(sums + r * kTileColumns<int32_t> + c));
      });
  }

  void prefetch(int64_t, int64_t rows, int64_t i, int64_t j) const {
    for (int64_t r = 0; r < rows; ++r) __builtin_prefetch(x.out + (i + r) * x.n + j, 1);
  }
};

// Few rows of a: a vector of columns at a time, each dotted with every row while it is in the cache.
void dots(const MatmulInt8& x) {
  constexpr int L = kLanes<int32_t>;
  const DotCuts cuts(x.n, x.k, 1);
  const bool one_by_one = cuts.one_by_one && x.m == 1;
  const int64_t per_task = L * ceil_div(cuts.elements, L * x.k + 1), tasks = ceil_div(x.n, per_task);
  const double cost = 0.02 * static_cast<double>(per_task * x.k * x.m);
  parallel_for(x.ws, tasks, cost, [&](int64_t task, int) {
    const int64_t end = least(x.n, (task + 1) * per_task);
    for (int64_t j = task * per_task; j < end; j += L) {
      const int64_t live = least(L, end - j);
      int32_t sums[kMostDottedRows][L] = {};
      const uint8_t* const b = reinterpret_cast<const uint8_t*>(x.b) + j * x.k;
      for (int64_t c = 0; one_by_one && c < live; ++c)
        packed::dots<Product, 1>(sums[0] + c, x.a, b + c * x.k, x.k, 1, x.k);
      for (int64_t c = 0; !one_by_one && c < live; c += packed::kDotColumns)
        for (int64_t i = 0; i < x.m; ++i)
          packed::dots<Product>(sums[i] + c, x.a + i * x.k, b + c * x.k, x.k, least(packed::kDotColumns, live - c),
                                x.k);
      for (int64_t i = 0; i < x.m; ++i) Scale{x}.put(i, j, live, load(sums[i]));
    }
  });
}

// The least and the largest number of a row, and whether all are finite.
struct Range {
  float low, high;
  bool finite;
};

Range range_of(const float* x, int64_t n, float from) {
  Vec<float> low = broadcast(from), high = low, difference = {};
  for_vectors<float>(n, [&](int64_t k, int64_t live) {
    const Vec<float> v = load_n(x + k, live);  // zeros past the end
    low = minimum(v, low), high = maximum(v, high);
    difference += v - v;  // 0, or NaN once and for all
  });
  return {-max_lanes<float>(-low), max_lanes<float>(high), sum_lanes<float>(difference) == 0};
}

constexpr float kLeastScale = 1.2e-38f;  // below it, one over it is infinite

template <class Row>
void for_all_rows(const Workspace& ws, int64_t rows, int64_t columns, const Row& row) {
  const int64_t per_task = 1 + 16384 / (columns + 1), tasks = ceil_div(rows, per_task);
  parallel_for(ws, tasks, 0.2 * static_cast<double>(per_task * columns), [&](int64_t task, int) {
    for (int64_t i = task * per_task; i < least(rows, (task + 1) * per_task); ++i) row(i);
  });
}

// q = round(x / scale) + zero, in [low, high].
template <class Byte>
void quantize(Byte* q, const float* x, int64_t n, float per_unit, int32_t zero, int32_t low, int32_t high) {
  typedef Byte Bytes __attribute__((vector_size(kLanes<int32_t>)));
  for_vectors<float>(n, [&](int64_t k, int64_t live) {
    Vec<int32_t> v = rounded(load_n(x + k, live) * per_unit) + zero;
    v = minimum(maximum(v, low - Vec<int32_t>{}), high - Vec<int32_t>{});
    const Bytes bytes = __builtin_convertvector(v, Bytes);
    memcpy(q + k, &bytes, static_cast<size_t>(live));
  });
}

}  // namespace

void quantize_rows_u8(const QuantizeRowsU8& x) {
  for_all_rows(x.ws, x.rows, x.columns, [&](int64_t i) {
    const float* const row = x.x + i * x.columns;
    const Range range = range_of(row, x.columns, 0);
    const float scale = range.high / 255 - range.low / 255;  // the difference itself may be infinite
    const bool blank = !range.finite || scale < kLeastScale;
    const float per_unit = blank ? 0 : 1 / scale;
    const int32_t zero = blank ? 0 : rounded(broadcast(-range.low * per_unit))[0];
    x.scale[i] = !range.finite ? __builtin_nanf("") : blank ? 1 : scale;
    x.zero[i] = zero;
    if (blank)
      memset(x.q + i * x.columns, 0, static_cast<size_t>(x.columns));
    else
      quantize(x.q + i * x.columns, row, x.columns, per_unit, zero, 0, 255);
  });
}

void quantize_rows_s8(const QuantizeRowsS8& x) {
  for_all_rows(x.ws, x.rows, x.columns, [&](int64_t i) {
    const float* const row = x.x + i * x.columns;
    const Range range = range_of(row, x.columns, 0);
    const float scale = (range.high > -range.low ? range.high : -range.low) / 127;
    const bool blank = !range.finite || scale < kLeastScale;
    x.scale[i] = !range.finite ? __builtin_nanf("") : blank ? 1 : scale;
    if (blank)
      memset(x.q + i * x.columns, 0, static_cast<size_t>(x.columns));
    else
      quantize(x.q + i * x.columns, row, x.columns, 1 / scale, 0, -127, 127);
  });
}

void matmul_int8(const MatmulInt8& x) {
  if (x.m == 0 || x.n == 0) return;
  if (x.m <= kMostDottedRows) return dots(x);
  const auto parts = carve<MatmulInt8Parts>(x);
  packed_products<Product, BestForm<Product>>(
      x.ws, parts.panels, 1, x.operands(), [&](int64_t) { return x.operands(); }, kCost, Scale{x});
}

}  // namespace einkorn::EINKORN_ISA
