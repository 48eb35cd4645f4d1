// Around the growing of trees: codes by row, the leaf of a row, scores.

#include "kernels/instantiate.h"
#include "kernels/tree/tree_grow.h"
#include "simd/simd.h"

namespace einkorn::EINKORN_ISA {

namespace {

constexpr int64_t kTile = 256;  // rows whose codes are turned at once

template <class Code>
void turn_codes(const CodeRows& k) {
  constexpr int32_t missing = sizeof(Code) == 1 ? 255 : 65535;
  int64_t* const bad = carve<CodeRowsParts>(k).bad;
  const int64_t blocks = (k.rows + kCodeRowsBlock - 1) / kCodeRowsBlock;
  parallel_for(k.ws, blocks, static_cast<double>(k.width * kCodeRowsBlock) * 0.6, [&](int64_t block, int) {
    const Code* const codes = static_cast<const Code*>(k.codes);
    const int64_t end = (block + 1) * kCodeRowsBlock < k.rows ? (block + 1) * kCodeRowsBlock : k.rows;
    bad[block] = -1;
    for (int64_t tile = block * kCodeRowsBlock; tile < end; tile += kTile) {
      const int64_t rows = end - tile < kTile ? end - tile : kTile;
      Code* const out = static_cast<Code*>(k.by_row) + tile * k.width;
      for (int64_t f = 0; f < k.n; ++f) {
        const Code* const in = codes + f * k.rows + tile;
        const auto bins = static_cast<Code>(k.n_bins[f]);
        bool fits = true;
        for (int64_t i = 0; i < rows; ++i) {
          fits &= (in[i] < bins) | (in[i] == missing);
          out[i * k.width + f] = in[i] < bins ? in[i] : bins;
        }
        if (fits) continue;
        for (int64_t i = 0; i < rows; ++i) {
          const int64_t at = f * k.rows + tile + i;
          if (!(in[i] < bins || in[i] == missing) && (bad[block] < 0 || at < bad[block])) bad[block] = at;
        }
      }
      for (int64_t i = 0; i < rows; ++i)
        for (int64_t f = k.n; f < k.width; ++f) out[i * k.width + f] = 0;
    }
  });
  *k.bad = -1;
  for (int64_t block = 0; block < blocks; ++block)
    if (bad[block] >= 0 && (*k.bad < 0 || bad[block] < *k.bad)) *k.bad = bad[block];
}

template <class Code>
void apply(const TreeApplyCodes& k) {
  constexpr int64_t kBlock = 4096;
  constexpr int32_t missing = sizeof(Code) == 1 ? 255 : 65535;
  const Code* const codes = static_cast<const Code*>(k.codes);
  parallel_for(k.ws, (k.rows + kBlock - 1) / kBlock, kBlock * 15.0, [&](int64_t block, int) {
    const int64_t end = (block + 1) * kBlock < k.rows ? (block + 1) * kBlock : k.rows;
    for (int64_t r = block * kBlock; r < end; ++r) {
      int32_t node = 0;
      while (k.feature[node] >= 0) {
        const int32_t f = k.feature[node], c = codes[f * k.rows + r];
        const uint32_t* const set = k.categories + node * k.words;
        const bool left = c == missing            ? k.missing_left[node] != 0
                          : k.categorical[f] != 0 ? c / 32 < k.words && (set[c / 32] >> (c % 32) & 1) != 0
                                                  : c <= k.code[node];
        node = left ? k.left[node] : k.right[node];
      }
      k.leaf[r] = node;
    }
  });
}

}  // namespace

void code_rows(const CodeRows& k) {
  k.code_bytes == 1 ? turn_codes<uint8_t>(k) : turn_codes<uint16_t>(k);
}

void tree_apply_codes(const TreeApplyCodes& k) {
  k.code_bytes == 1 ? apply<uint8_t>(k) : apply<uint16_t>(k);
}

template <class T>
void tree_update(const TreeUpdate<T>& k) {
  constexpr int64_t kBlock = 16384;
  parallel_for(k.ws, (k.rows + kBlock - 1) / kBlock, kBlock * 0.5, [&](int64_t block, int) {
    const int64_t begin = block * kBlock, end = begin + kBlock < k.rows ? begin + kBlock : k.rows;
    if (k.stride == 1)
      for (int64_t r = begin; r < end; ++r) k.scores[r] = static_cast<T>(k.scores[r] + k.value[k.leaf[r]]);
    else
      for (int64_t r = begin; r < end; ++r)
        k.scores[r * k.stride] = static_cast<T>(k.scores[r * k.stride] + k.value[k.leaf[r]]);
  });
}

EINKORN_INSTANTIATE(tree_update, TreeUpdate)

}  // namespace einkorn::EINKORN_ISA
