// The eight tile registers of AMX: 16 rows of 64 bytes each, and products of whole tiles.
//
//   add_pairs<C, A, B>   C[r][j] += sum over g < 16 of the pair A[r][g] times the pair B[g][j]     float   tdpbf16ps
//   add_quads<C, A, B>   the same of four bytes, A's without a sign, B's with one                  int32   tdpbusd
//
// A lane of A is a group of two or four neighbours along k, one of B the same group of one column: what the panels of
// gemm_packed.h hold. Tiles have their shape while an object lives. For the instruction set `amx`; for `amx_in_software`, on which tests run the same kernels where
// there are no tiles, they are arrays.

#pragma once

#include "simd/simd.h"

namespace einkorn {
inline namespace EINKORN_ISA {

#if defined(EINKORN_TILES)

constexpr int kTileSide = 16;  // rows of a tile, and lanes of 32 bits in a row

#if EINKORN_TILES == 1

class Tiles {
 public:
  Tiles() {
    static constexpr Shapes kShapes = {1, 0, {}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};
    asm volatile("sttilecfg %0" : "=m"(found_));
    asm volatile("ldtilecfg %0" ::"m"(kShapes));
  }
  // Others that use tiles in this thread may count on the shapes that they had set.
  ~Tiles() { asm volatile("ldtilecfg %0" ::"m"(found_)); }
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;

  template <int kTile>
  EINKORN_INLINE void clear() {
    asm volatile("tilezero %%tmm%c0" ::"i"(kTile));
  }
  template <int kTile>
  EINKORN_INLINE void load(const int32_t* p, int64_t lanes_a_row) {
    asm volatile("tileloadd (%1,%2,1), %%tmm%c0" ::"i"(kTile), "r"(p), "r"(lanes_a_row * 4) : "memory");
  }
  template <int kTile>
  EINKORN_INLINE void store(void* p, int64_t lanes_a_row) {
    asm volatile("tilestored %%tmm%c0, (%1,%2,1)" ::"i"(kTile), "r"(p), "r"(lanes_a_row * 4) : "memory");
  }
  template <int kC, int kA, int kB>
  EINKORN_INLINE void add_pairs() {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kC), "i"(kA), "i"(kB));
  }
  template <int kC, int kA, int kB>
  EINKORN_INLINE void add_quads() {
    asm volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kC), "i"(kA), "i"(kB));
  }

 private:
  struct alignas(64) Shapes {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
  };
  Shapes found_;
};

#else

class Tiles {
 public:
  template <int kTile>
  void clear() {
    memset(tile_[kTile], 0, sizeof tile_[kTile]);
  }
  template <int kTile>
  void load(const int32_t* p, int64_t lanes_a_row) {
    for (int r = 0; r < kTileSide; ++r) memcpy(tile_[kTile][r], p + r * lanes_a_row, sizeof tile_[kTile][r]);
  }
  template <int kTile>
  void store(void* p, int64_t lanes_a_row) {
    for (int r = 0; r < kTileSide; ++r)
      memcpy(static_cast<int32_t*>(p) + r * lanes_a_row, tile_[kTile][r], sizeof tile_[kTile][r]);
  }
  // Sums of the lower and of the upper halves are added at the end, as the instruction does; it also takes subnormal numbers
  // for zeros, which this does not.
  template <int kC, int kA, int kB>
  void add_pairs() {
    for (int r = 0; r < kTileSide; ++r)
      for (int j = 0; j < kTileSide; ++j) {
        float sum, even = 0, odd = 0;
        for (int g = 0; g < kTileSide; ++g) {
          const uint32_t a = tile_[kA][r][g], b = tile_[kB][g][j];
          even = __builtin_fmaf(number(a << 16), number(b << 16), even);
          odd = __builtin_fmaf(number(a >> 16 << 16), number(b >> 16 << 16), odd);
        }
        memcpy(&sum, &tile_[kC][r][j], sizeof sum);
        sum += even + odd;
        memcpy(&tile_[kC][r][j], &sum, sizeof sum);
      }
  }
  template <int kC, int kA, int kB>
  void add_quads() {
    for (int r = 0; r < kTileSide; ++r)
      for (int j = 0; j < kTileSide; ++j)
        for (int g = 0; g < kTileSide; ++g)
          for (int q = 0; q < 32; q += 8)
            tile_[kC][r][j] += static_cast<uint32_t>(static_cast<uint8_t>(tile_[kA][r][g] >> q) *
                                                     static_cast<int8_t>(tile_[kB][g][j] >> q));
  }

 private:
  static float number(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
  }
  alignas(64) uint32_t tile_[8][kTileSide][kTileSide];
};

#endif

#endif

}  // namespace EINKORN_ISA
}  // namespace einkorn
