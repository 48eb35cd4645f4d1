// The register tile of matrix products: a block of C, rows x (vectors wide), kept in registers while k runs.
//
//            B panel   [k][kTileColumns]                per k:  kTileVectors loads of B,
//          +-----------+                                        a broadcast of each of the tile's rows of A,
//          |           |                                        rows * kTileVectors fused multiply-adds
//    A     +-----------+
//   +---+  |  tile of  |      avx512  14 x 2 vectors of 32 registers: 28 sums, 2 of B, 1 broadcast
//   |   |  |     C     |      avx2     6 x 2 vectors of 16 registers: 12 sums, 2 of B, 1 broadcast
//   +---+  +-----------+      sse/neon 6 x 2
//
// A is read either by columns, a[k * a_step + row] (a packed panel, or a matrix stored transposed), or by rows,
// a[row * a_step + k] (a small matrix that is not worth packing). More rows than 14 x 2 spill.
//
// What a step does to a sum is a Product: Fused multiplies and adds numbers, others (matmul_bf16.cpp, matmul_int8.cpp) groups of
// narrow ones that lie in a lane together, the groups of a column of A and a row of B under each other.
//
// The caller's `finish(row, vector, sum)` takes the sums out of the registers; `beside(k)` is done with every step of k, which has
// room for more than multiply-adds: asking for lines that will be wanted next, keeping a copy of the row of B that was read.

#pragma once

#include "simd/simd.h"
#include "simd/transpose.h"

namespace einkorn {
inline namespace EINKORN_ISA {

constexpr int kTileVectors = 2;
constexpr int kTileRows = kVectorBytes == 64 ? 14 : 6;

template <class T>
constexpr int kTileColumns = kTileVectors * kLanes<T>;

enum class APanel { by_columns, by_rows };

template <class T>
struct Fused {
  using Packed = T;
  using Sum = T;
  EINKORN_INLINE static Vec<T> add(Vec<T> sum, Vec<T> a, Vec<T> b) { return sum + a * b; }
};

struct NothingBeside {
  EINKORN_INLINE void operator()(int64_t) const {}
};

// sum[r][v] = sum over k of A[r][k] * B[k][v-th vector], for k_size steps.
// `a_step` is the distance between columns (by_columns) or rows (by_rows) of A, `b_step` that between rows of B.
template <class Product, int kRows, int kVectors, APanel kPanel, class Finish, class Beside = NothingBeside,
          class T = typename Product::Packed>
EINKORN_INLINE void product_tile(int64_t k_size, const T* __restrict a, int64_t a_step, const T* __restrict b,
                                 int64_t b_step, const Finish& finish, const Beside& beside = {}) {
  using Sums = Vec<typename Product::Sum>;
  Sums sum[kRows][kVectors];
  EINKORN_UNROLL for (int r = 0; r < kRows; ++r) EINKORN_UNROLL for (int v = 0; v < kVectors; ++v) sum[r][v] = Sums{};

  // Rows of A in groups of three share a pointer: base, base + step and base + 2 step are addressing modes.
  constexpr int kGroups = (kRows + 2) / 3;
  const T* group[kGroups];
  if constexpr (kPanel == APanel::by_rows)
    EINKORN_UNROLL for (int g = 0; g < kGroups; ++g) group[g] = a + 3 * g * a_step;

#pragma GCC unroll 2
  for (int64_t k = 0; k < k_size; ++k) {
    Vec<T> bv[kVectors];
    EINKORN_UNROLL for (int v = 0; v < kVectors; ++v) bv[v] = load(b + v * kLanes<T>);
    EINKORN_UNROLL for (int r = 0; r < kRows; ++r) {
      T value;
      if constexpr (kPanel == APanel::by_columns)
        value = a[r];
      else
        value = group[r / 3][r % 3 * a_step];
      const Vec<T> av = broadcast(value);
      EINKORN_UNROLL for (int v = 0; v < kVectors; ++v) sum[r][v] = Product::add(sum[r][v], av, bv[v]);
    }
    b += b_step;
    beside(k);
    if constexpr (kPanel == APanel::by_columns) {
      __builtin_prefetch(a + 24 * a_step);  // deep panels of A come from L2
      a += a_step;
    } else
      EINKORN_UNROLL for (int g = 0; g < kGroups; ++g)++ group[g];
  }

  EINKORN_UNROLL for (int r = 0; r < kRows; ++r) EINKORN_UNROLL for (int v = 0; v < kVectors; ++v)
      finish(r, v, sum[r][v]);
}

template <class T, int kRows, int kVectors, APanel kPanel, class Finish, class Beside = NothingBeside>
EINKORN_INLINE void gemm_tile(int64_t k_size, const T* __restrict a, int64_t a_step, const T* __restrict b,
                              int64_t b_step, const Finish& finish, const Beside& beside = {}) {
  product_tile<Fused<T>, kRows, kVectors, kPanel>(k_size, a, a_step, b, b_step, finish, beside);
}

// Calls fn.template operator()<rows>() for the run-time row count, 1 to kTileRows.
template <int kRows = kTileRows, class Fn>
EINKORN_INLINE void with_rows(int rows, const Fn& fn) {
  if constexpr (kRows == 1) {
    fn.template operator()<1>();
  } else {
    if (rows == kRows)
      fn.template operator()<kRows>();
    else
      with_rows<kRows - 1>(rows, fn);
  }
}

// A tile as a function (gemm_tile.cpp): its sums into memory, rows `step` apart. They go straight to where nothing is left to do
// to them, else into a buffer: its 28 stores and loads are little beside the loop over k, and keep what follows from being
// compiled into every size of tile.
template <class T>
using TileSums = void (*)(int64_t depth, const T* a, int64_t a_step, const T* b, int64_t b_step, T* sums, int64_t step);

// The function for a number of rows (1 to kTileRows) and vectors (1 or 2) and a way of reading A.
template <class T>
TileSums<T> choose_tile(int64_t rows, int vectors, APanel panel);

// The full tile, which reads a panel of B where it lies, `b_step` between its rows, and packs it for the tiles below:
// packed[k * kTileColumns + column].
template <class T>
using PackingTile = void (*)(int64_t depth, const T* a, int64_t a_step, const T* b, int64_t b_step, T* packed, T* sums,
                             int64_t step);
template <class T>
PackingTile<T> choose_packing_tile(APanel panel);

// Packs a panel of A for by_columns reading: panel[k * rows + r] = a[r * row_step + k * k_step], r < rows <= kTileRows.
// Writes whole vectors, later ones over the excess of earlier ones: the panel needs kLanes elements of room past its end.
template <class T>
inline void pack_a_panel(T* panel, int rows, int64_t k_size, const T* a, int64_t row_step, int64_t k_step) {
  constexpr int L = kLanes<T>;
  const int last = (rows - 1) / L * L;
  if (k_step == 1) {
    for (int64_t k = 0; k < k_size; k += L)
      for (int r = last; r >= 0; r -= L)
        transpose_block(panel + k * rows + r, rows, a + r * row_step + k, row_step, rows - r < L ? rows - r : L,
                        k_size - k < L ? k_size - k : L);
  } else if (row_step == 1) {
    for (int64_t k = 0; k < k_size; ++k)
      for (int r = last; r >= 0; r -= L)
        store(panel + k * rows + r, load_partial(a + k * k_step + r, rows - r < L ? rows - r : L));
  } else {
    for (int64_t k = 0; k < k_size; ++k)
      for (int r = 0; r < rows; ++r) panel[k * rows + r] = a[r * row_step + k * k_step];
  }
}

// Packs `columns` of B into panels, slice[panel][k][kTileColumns], zero past the last column:
// b[k * k_step + j * column_step] for k < k_size.
template <class T>
inline void pack_b_slice(T* slice, int64_t columns, int64_t k_size, const T* b, int64_t k_step, int64_t column_step) {
  constexpr int L = kLanes<T>, C = kTileColumns<T>;
  const int64_t panel_size = k_size * C;
  if (column_step == 1) {
    for (int64_t k = 0; k < k_size; ++k) {  // whole rows, so that the hardware sees long runs
      const T* row = b + k * k_step;
      T* out = slice + k * C;
      int64_t j = 0;
      for (; j + C <= columns; j += C, out += panel_size)
        EINKORN_UNROLL for (int v = 0; v < kTileVectors; ++v) store(out + v * L, load(row + j + v * L));
      if (j < columns) EINKORN_UNROLL for (int v = 0; v < kTileVectors; ++v) {
          const int64_t live = columns - j - v * L;
          store(out + v * L, live >= L ? load(row + j + v * L) : load_partial(row + j + v * L, live > 0 ? live : 0));
        }
    }
    return;
  }
  for (int64_t j = 0; j < columns; j += C, slice += panel_size) {
    if (k_step == 1) {
      for (int64_t k = 0; k < k_size; k += L)
        for (int v = 0; v < kTileVectors; ++v) {
          const int64_t live = columns - j - v * L < L ? columns - j - v * L : L;
          transpose_block(slice + k * C + v * L, C, b + (j + v * L) * column_step + k, column_step, live > 0 ? live : 0,
                          k_size - k < L ? k_size - k : L);
        }
    } else {
      for (int64_t k = 0; k < k_size; ++k)
        for (int64_t c = 0; c < C; ++c)
          slice[k * C + c] = j + c < columns ? b[k * k_step + (j + c) * column_step] : T(0);
    }
  }
}

}  // namespace EINKORN_ISA
}  // namespace einkorn
