// What both passes of attention over bfloat16 share: operands as pairs, and the products of panels (attention_tile.h).
//
// Keys and values are copied once into pairs: along the width, as the products with queries and gradients read them, and along the
// keys, as the sums over keys do. That is as much memory again, and little time beside the panels of queries that pass by.

#pragma once

#include "kernels/attention/attention_tile.h"
#include "kernels/gemm_pairs.h"

#if defined(__AVX512BF16__)

namespace einkorn {
inline namespace EINKORN_ISA {

// A head's rows as pairs along the width: [length][halved width].
inline void pair_rows(int32_t* pairs, const bfloat16* rows, int64_t row_step, int64_t length, int64_t width) {
  const int64_t step = halved(width);
  for (int64_t i = 0; i < length; ++i)
    for (int64_t d = 0; d < step; d += kLanes<int32_t>) {
      const int64_t live = least(2 * kLanes<int32_t>, width - 2 * d);
      store_n(pairs + i * step + d, halved(live), load_pairs(rows + i * row_step + 2 * d, live));
    }
}

// The same as pairs of neighbours along the length: [halved length][columns], zeros from the width on.
inline void pair_columns(int32_t* pairs, const bfloat16* rows, int64_t row_step, int64_t length, int64_t width,
                         int64_t columns) {
  constexpr int L = kLanes<int32_t>;
  for (int64_t i = 0; i < length; i += 2)
    for (int64_t d = 0; d < columns; d += L)
      store_n(pairs + i / 2 * columns + d, least(L, columns - d),
              PairReader::across(rows + i * row_step + d, row_step, least(2, length - i), least(L, width - d)));
}

// A block of queries turned: pairs along the width, [halved width][step], zeros past the last query.
inline void pair_down(int32_t* down, int64_t step, const bfloat16* rows, int64_t row_step, int64_t queries,
                      int64_t width) {
  for (int64_t d = 0; d < halved(width) * step; d += kLanes<int32_t>) store(down + d, Vec<int32_t>{});
  packed::pack_panel<Pairs, PairReader>(down, queries, step, width, rows, row_step, int64_t{1});
}

// Runs body(rows of the head, head of all batches) for every key head.
template <class Body>
inline void for_key_heads(const Workspace& ws, const AttentionProblem<float>& p, const Body& body) {
  parallel_for(ws, p.batch * p.kv_heads, 0.1 * static_cast<double>(p.k_len * (p.width + p.v_width)),
               [&](int64_t head, int) { body(head / p.kv_heads, head % p.kv_heads, head); });
}

// out[r][c] = sum of rows[r] * panel[.][c], by pairs.
inline void multiply_pairs(float* out, int64_t out_step, const int32_t* rows, int64_t row_step, int64_t count,
                           const int32_t* panel, int64_t panel_step, int64_t depth, int vectors) {
  for_tiles(count, [&](int64_t r, int64_t height) {
    choose_pair_tile(height, vectors, APanel::by_rows)(depth, rows + r * row_step, row_step, panel, panel_step,
                                                       out + r * out_step, out_step);
  });
}

}  // namespace EINKORN_ISA
}  // namespace einkorn

#endif
