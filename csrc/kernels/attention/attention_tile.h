// What both passes of attention share: products of panels, and the mask of a block.
//
// A panel is as many queries side by side as a register tile is wide. Scores lie [key][query], so that everything that softmax
// does goes down the columns, in vectors, and nothing is summed over lanes; and so that keys and values are the operand of the
// products that is read where it lies, element by element: nothing but the queries is ever transposed.
//
//                   queries                                               queries
//               q  [width]                                            p  [keys]
//      k  [keys] x         = scores [keys][queries]      v' [v_width] x         = out' [v_width][queries]
//         by rows                                           by columns

#pragma once

#include "kernels/attention/attention_parts.h"
#include "kernels/gemm_cuts.h"
#include "kernels/philox.h"
#include "simd/bfloat16.h"
#include "simd/lanes.h"
#include "simd/math.h"

namespace einkorn {
inline namespace EINKORN_ISA {

template <class T>
constexpr int64_t kQueries = kTileColumns<T>;

// Scores are kept times log2(e), so that weights are powers of two: scale and bias bring the factor in, and lse is to base 2 too. It
// must not be rounded once more: of scores near 1e6 that alone would make weights of 2^(1/16), where forward had 1.
constexpr double kLog2E = 1.4426950408889634074;

template <class T>
constexpr T kMost = static_cast<T>(sizeof(T) == 4 ? 0x1.fffffep127 : 0x1.fffffffffffffp1023);

// The weights that forward had, also where a score is rounded otherwise than there (fused or not) and comes out above lse.
template <class V>
EINKORN_INLINE V weights_of(V score, V lse) {
  return exp2_nonpositive(minimum(V{}, score - lse));
}

inline int64_t most(int64_t a, int64_t b) {
  return a > b ? a : b;
}

// Calls body(first row, rows) for tiles of nearly equal height: 64 rows make 13, 13, 13, 13 and 12, not 14 four times and 8.
template <class Body>
EINKORN_INLINE void for_tiles(int64_t rows, const Body& body) {
  const int64_t tiles = (rows + kTileRows - 1) / kTileRows;
  for (int64_t t = 0, r = 0; t < tiles; ++t) {
    const int64_t height = (rows - r + tiles - t - 1) / (tiles - t);
    body(r, height);
    r += height;
  }
}

// out[r][c] = sum over the width of rows[r] * panel[.][c].
template <class T>
EINKORN_INLINE void multiply_rows(T* out, int64_t out_step, const T* rows, int64_t row_step, int64_t count,
                                  const T* panel, int64_t panel_step, int64_t depth, int vectors) {
  for_tiles(count, [&](int64_t r, int64_t height) {
    choose_tile<T>(height, vectors, APanel::by_rows)(depth, rows + r * row_step, row_step, panel, panel_step,
                                                     out + r * out_step, out_step);
  });
}

// x[d][i] for i < queries (zero for the other queries of the panel), from rows x[i][d]. `factor` scales.
template <class T>
inline void pack_down(T* down, int64_t step, const T* rows, int64_t row_step, int64_t queries, int64_t width,
                      int64_t panel, T factor) {
  constexpr int L = kLanes<T>;
  for (int64_t i = 0; i < panel; i += L)
    for (int64_t d = 0; d < width; d += L)
      transpose_block(down + d * step + i, step, rows + i * row_step + d, row_step, least(L, most(queries - i, 0)),
                      least(L, width - d));
  if (factor != 1)
    for (int64_t d = 0; d < width; ++d)
      for (int64_t i = 0; i < panel; i += L) store(down + d * step + i, load(down + d * step + i) * factor);
}

// rows[i][d] = x[d][i] * factor of the query, for i < queries.
template <class Out, class T>
inline void unpack_down(Out* rows, int64_t row_step, const T* down, int64_t step, int64_t queries, int64_t width,
                        const T* factor) {
  constexpr int L = kLanes<T>;
  for (int64_t i = 0; i < queries; i += L)
    for (int64_t d = 0; d < width; d += L) {
      const int64_t live = least(L, width - d);
      Vec<T> square[L];
      EINKORN_UNROLL for (int l = 0; l < L; ++l) square[l] =
          l < live ? load(down + (d + l) * step + i) * load(factor + i) : Vec<T>{};
      transpose_square<T>(square);
      EINKORN_UNROLL for (int l = 0; l < L; ++l) if (i + l < queries)
          store_n(rows + (i + l) * row_step + d, live, square[l]);
    }
}

// Asks for rows before they are read, or written: they lie in the last cache, a step of the model apart where heads lie side by
// side, and what transposes them would wait for one line after the other.
template <bool kToWrite, class T>
EINKORN_INLINE void ask_for_rows(const T* rows, int64_t row_step, int64_t count, int64_t width) {
  constexpr int64_t kLine = 64 / static_cast<int64_t>(sizeof(T));
  for (int64_t i = 0; i < count; ++i)
    for (int64_t d = 0; d < width; d += kLine) __builtin_prefetch(rows + i * row_step + d, kToWrite, 2);
}

// Calls body(first, count) for blocks of nearly equal size, at most `largest` each.
template <class Body>
EINKORN_INLINE void for_blocks(int64_t begin, int64_t end, int64_t largest, const Body& body) {
  if (begin >= end) return;
  const int64_t blocks = (end - begin + largest - 1) / largest, size = (end - begin + blocks - 1) / blocks;
  for (int64_t at = begin; at < end; at += size) body(at, least(size, end - at));
}

// A block of queries i0 .. i0 + queries and keys j0 .. j0 + keys of one head.
struct ScoreBlock {
  int64_t batch, head, i0, queries, j0, keys;
};

// The keys that any query of i0 .. i0 + queries may see.
struct KeyRange {
  int64_t begin, end;
};
template <class T>
inline KeyRange visible_keys(const AttentionProblem<T>& p, int64_t i0, int64_t queries) {
  return {most(0, i0 + p.low), least(p.k_len, i0 + queries + p.high)};
}

// How many of the first keys of a block a query from i on may see, upwards: no later key of the block is seen by queries up to i.
template <class T>
EINKORN_INLINE int64_t keys_up_to(const AttentionProblem<T>& p, const ScoreBlock& at, int64_t i) {
  return most(0, least(at.keys, i + 1 + p.high - at.j0));
}

// Whether scores get more than a band that hides some.
template <class T>
inline bool has_mask(const AttentionProblem<T>& p) {
  return p.bias != nullptr || p.keep != nullptr || p.slopes != nullptr;
}

template <class T>
inline bool is_masked(const AttentionProblem<T>& p, const ScoreBlock& at) {
  return has_mask(p) || at.j0 - (at.i0 + at.queries - 1) < p.low || at.j0 + at.keys - 1 - at.i0 > p.high;
}

// -inf where the band hides a key of the block from a query of a panel of kQueries. Only keys that some query does not see are
// looked at: those at the ends of the band.
template <class T>
EINKORN_INLINE void hide_outside_band(T* scores, int64_t step, const AttentionProblem<T>& p, const ScoreBlock& at) {
  constexpr int L = kLanes<T>;
  constexpr int64_t C = kQueries<T>;
  using Lane = typename VectorOf<T>::lane_integer;
  const IntVec<T> lane = lane_numbers<T>();
  const int64_t seen_from = most(0, least(at.keys, at.i0 + at.queries - 1 + p.low - at.j0));
  const int64_t seen_to = most(seen_from, keys_up_to(p, at, at.i0));
  for (int64_t j = 0; j < at.keys; ++j) {
    if (j == seen_from) j = seen_to;
    if (j >= at.keys) break;
    const int64_t distance = at.j0 + j - at.i0;
    const auto first = static_cast<Lane>(most(0, least(C, distance - p.high)));
    const auto last = static_cast<Lane>(most(-1, least(C, distance - p.low)));
    for (int64_t i = 0; i < C; i += L) {
      const IntVec<T> number = lane + static_cast<Lane>(i);
      T* const score = scores + j * step + i;
      store(score, number < first || number > last ? broadcast(-(T)INFINITY) : load(score));
    }
  }
}

// mask[j][i] = what is added to the score of key j0 + j and query i0 + i, times log2(e): a panel of kQueries, -inf past the last query
// where that costs nothing.
template <class T>
inline void make_mask(T* mask, const AttentionProblem<T>& p, const ScoreBlock& at) {
  constexpr int L = kLanes<T>;
  constexpr int64_t C = kQueries<T>;
  const Vec<T> hidden = broadcast(-(T)INFINITY);
  if (p.bias == nullptr) {
    for (int64_t j = 0; j < at.keys * C; j += L) store(mask + j, Vec<T>{});
  } else {
    const T* const bias = p.bias + at.batch * p.bias_b + at.head * p.bias_h + at.i0 * p.bias_i + at.j0 * p.bias_j;
    if (p.bias_i == 0) {
      for (int64_t j = 0; j < at.keys; ++j)
        for (int64_t i = 0; i < C; i += L) store(mask + j * C + i, broadcast(bias[j * p.bias_j]));
    } else if (p.bias_j == 1) {
      for (int64_t i = 0; i < C; i += L)
        for (int64_t j = 0; j < at.keys; j += L)
          transpose_block(mask + j * C + i, C, bias + i * p.bias_i + j, p.bias_i, least(L, most(at.queries - i, 0)),
                          least(L, at.keys - j));
    } else {
      for (int64_t j = 0; j < at.keys; ++j)
        for (int64_t i = 0; i < C; ++i) mask[j * C + i] = i < at.queries ? bias[i * p.bias_i + j * p.bias_j] : (T)0;
    }
  }
  if (p.bias != nullptr)
    for (int64_t j = 0; j < at.keys * C; j += L) {
      // A number stays a number: keys that all have the lowest one share the weight, as in a row where all have 0.
      const Vec<T> given = load(mask + j), x = given * static_cast<T>(kLog2E);
      const Vec<T> cut = minimum(broadcast(kMost<T>), maximum(broadcast(-kMost<T>), x));
      store(mask + j, absolute(given) == (T)INFINITY ? given : cut);
    }
  if (p.keep != nullptr) {
    const uint8_t* const keep = p.keep + at.batch * p.keep_b + at.head * p.keep_h + at.i0 * p.keep_i + at.j0 * p.keep_j;
    if (p.keep_i == 0) {
      for (int64_t j = 0; j < at.keys; ++j)
        if (keep[j * p.keep_j] == 0)
          for (int64_t i = 0; i < C; i += L) store(mask + j * C + i, hidden);
    } else {
      for (int64_t i = 0; i < at.queries; ++i)
        for (int64_t j = 0; j < at.keys; ++j)
          if (keep[i * p.keep_i + j * p.keep_j] == 0) mask[j * C + i] = -(T)INFINITY;
    }
  }
  const int64_t diagonal = p.k_len - p.q_len;
  const T slope = p.slopes != nullptr ? p.slopes[at.head] * static_cast<T>(kLog2E) : (T)0;
  const IntVec<T> lane = lane_numbers<T>();
  for (int64_t j = 0; j < at.keys; ++j) {
    // Query i0 + i sees key j0 + j where first <= i <= last.
    const int64_t distance = at.j0 + j - at.i0;
    const auto first = static_cast<typename VectorOf<T>::lane_integer>(most(0, least(C, distance - p.high)));
    const auto last = static_cast<typename VectorOf<T>::lane_integer>(most(-1, least(C, distance - p.low)));
    if (p.slopes != nullptr)
      for (int64_t i = 0; i < C; i += L) {
        const Vec<T> away = static_cast<T>(distance - diagonal - i) - __builtin_convertvector(lane, Vec<T>);
        store(mask + j * C + i, load(mask + j * C + i) - absolute(away) * slope);
      }
    if (first > 0 || last < C - 1)
      for (int64_t i = 0; i < C; i += L) {
        const IntVec<T> number = lane + static_cast<typename VectorOf<T>::lane_integer>(i);
        const Vec<T> value = load(mask + j * C + i);
        store(mask + j * C + i, number < first || number > last ? hidden : value);
      }
  }
}

// Dropout: keeps a weight where its word says so, divided by 1 - p.
template <class T>
struct Dropping {
  int32_t threshold;
  T scale;
  explicit Dropping(double p)
      : threshold(static_cast<int32_t>(::ceil(p * 0x1p24))), scale(p < 1 ? static_cast<T>(1 / (1 - p)) : (T)0) {}

  EINKORN_INLINE Vec<T> factor(const uint32_t* words) const {
    IntVec<T> draws;
    if constexpr (sizeof(T) == 4)
      draws = (IntVec<T>)(load(words) >> 8);
    else
      for (int i = 0; i < kLanes<T>; ++i) draws[i] = words[i] >> 8;
    return draws >= threshold ? broadcast(scale) : Vec<T>{};
  }
};

// The random words of a block: words[j * kMostWords + i] for the queries of a panel.
template <class T>
inline void make_words(uint32_t* words, const AttentionProblem<T>& p, const ScoreBlock& at) {
  const int64_t counters = (p.q_len + 3) / 4;  // of a key
  const int64_t key = (at.batch * p.heads + at.head) * p.k_len + at.j0;
  philox_rows(words, kMostWords, at.keys, p.seed, p.offset + static_cast<uint64_t>(key * counters + at.i0 / 4),
              static_cast<uint64_t>(counters));
}

}  // namespace EINKORN_ISA
}  // namespace einkorn
