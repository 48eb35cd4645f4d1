// Products of narrow numbers by the processor's tiles: the panels of gemm_packed.h, and a block of 32 x 32 sums in four tiles.
//
//                 b0 (6)  b1 (7)           a step of 16 lanes along k: four loads, four products of tiles
//               +-------+-------+
//      a0 (4)   | s0    | s1    |          panels of A   [k, a tile][32 rows][16 lanes]     a tile is 1024 bytes in a row
//               +-------+-------+          panels of B   [lane of k][32 columns]
//      a1 (5)   | s2    | s3    |          both with zeros up to the end of the last tile
//               +-------+-------+

#pragma once

#include "kernels/gemm_packed.h"
#include "simd/tiles.h"

namespace einkorn {
inline namespace EINKORN_ISA {

#if defined(EINKORN_TILES)

// Product::add_tiles<C, A, B>(tiles) is a step of its tiles.
template <class Product>
class ByTiles {
 public:
  using T = typename Product::Packed;
  using S = typename Product::Sum;
  static constexpr int64_t kRows = 2 * kTileSide;
  static_assert(kRows <= kMostPanelRows && kTileColumns<T> == 2 * kTileSide && kTileDepth % kTileSide == 0);

  static int64_t groups_of(int64_t k) { return ceil_div(k, Product::kGroup * kTileSide) * kTileSide; }
  static int64_t panel_size(int64_t groups) { return groups * kRows; }

  template <class In>
  static void pack_a(T* panel, int64_t rows, int64_t k_size, const In* a, int64_t a_m, int64_t a_k) {
    using Reader = typename Product::A;
    constexpr int G = Product::kGroup, kDepth = G * kTileSide;
    for (int64_t k = 0; k < k_size; k += kDepth)
      for (int64_t r = 0; r < kRows; r += kTileSide, panel += kTileSide * kTileSide) {
        const In* const p = a + r * a_m + k * a_k;
        const int64_t live = least(kTileSide, rows - r), depth = least(kDepth, k_size - k);
        Vec<T> v[kTileSide];
        if (a_k == 1) {
          EINKORN_UNROLL for (int i = 0; i < kTileSide; ++i) v[i] =
              i < live ? Reader::along(p + i * a_m, depth) : Vec<T>{};
        } else if constexpr (Reader::kAcross) {
          EINKORN_UNROLL for (int g = 0; g < kTileSide; ++g) v[g] =
              live > 0 && g * G < depth ? Reader::across(p + g * G * a_k, a_k, least(G, depth - g * G), live)
                                        : Vec<T>{};
          transpose_square<T>(v);
        }
        EINKORN_UNROLL for (int i = 0; i < kTileSide; ++i) store(panel + i * kTileSide, v[i]);
      }
  }

  template <class In>
  static void pack_b(T* slice, int64_t columns, int64_t k, const In* b, int64_t b_k, int64_t b_n) {
    constexpr int64_t C = kTileColumns<T>;
    const int64_t groups = groups_of(k), filled = ceil_div(k, Product::kGroup);
    packed::pack_slice<Product>(slice, columns, k, groups, b, b_k, b_n);
    for (int64_t j = 0; j < columns; j += C)
      memset(slice + j * groups + filled * C, 0, static_cast<size_t>((groups - filled) * C) * sizeof(T));
  }

  void take(const T* panel, int64_t rows) { panel_ = panel, tall_ = rows > kTileSide; }

  void multiply(int64_t g, int64_t depth, const T* b, int64_t columns, S* sums) {
    const T* const a = panel_ + g * kRows;
    if (columns > kTileSide)
      tall_ ? block<true, true>(depth, a, b, sums) : block<false, true>(depth, a, b, sums);
    else
      tall_ ? block<true, false>(depth, a, b, sums) : block<false, false>(depth, a, b, sums);
  }

 private:
  template <bool kTall, bool kWide>
  void block(int64_t depth, const T* a, const T* b, S* sums) {
    constexpr int64_t C = kTileColumns<T>, kSquare = kTileSide * kTileSide;
    tiles_.template clear<0>();
    if constexpr (kWide) tiles_.template clear<1>();
    if constexpr (kTall) tiles_.template clear<2>();
    if constexpr (kTall && kWide) tiles_.template clear<3>();
    for (; depth > 0; depth -= kTileSide, a += 2 * kSquare, b += kTileSide * C) {
      tiles_.template load<4>(a, kTileSide);
      tiles_.template load<6>(b, C);
      Product::template add_tiles<0, 4, 6>(tiles_);
      if constexpr (kWide) {
        tiles_.template load<7>(b + kTileSide, C);
        Product::template add_tiles<1, 4, 7>(tiles_);
      }
      if constexpr (kTall) {
        tiles_.template load<5>(a + kSquare, kTileSide);
        Product::template add_tiles<2, 5, 6>(tiles_);
      }
      if constexpr (kTall && kWide) Product::template add_tiles<3, 5, 7>(tiles_);
    }
    tiles_.template store<0>(sums, C);
    if constexpr (kWide) tiles_.template store<1>(sums + kTileSide, C);
    if constexpr (kTall) tiles_.template store<2>(sums + kTileSide * C, C);
    if constexpr (kTall && kWide) tiles_.template store<3>(sums + kTileSide * C + kTileSide, C);
  }

  Tiles tiles_;
  const T* panel_ = nullptr;
  bool tall_ = false;
};

template <class Product>
using BestForm = ByTiles<Product>;

#else

template <class Product>
using BestForm = ByVectors<Product>;

#endif

}  // namespace EINKORN_ISA
}  // namespace einkorn
