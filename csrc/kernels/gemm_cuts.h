// How a product of matrices is cut into tasks: by its sizes and the tile of the instruction set, not by the number of threads.

#pragma once

#include "kernels/divide.h"
#include "kernels/gemm_tile.h"

namespace einkorn {

// Rows a task takes at most, so that tall products split too. Each task packs its slice of b anew.
constexpr int64_t kRowsPerTask = 1024;

inline namespace EINKORN_ISA {

inline int64_t least(int64_t a, int64_t b) {
  return a < b ? a : b;
}

struct TaskCuts {
  int64_t columns, column_blocks;
  int64_t rows, row_blocks;

  TaskCuts(int64_t m, int64_t n, int64_t tile_columns, int64_t most_columns, int64_t across = 8,
           int64_t tile_rows = kTileRows) {
    // About that many tasks across, each at least one panel wide; down, only as tall products need.
    columns = least(ceil_div(ceil_div(n, across), tile_columns) * tile_columns, most_columns);
    column_blocks = ceil_div(n, columns);
    const int64_t least_rows = 4 * tile_rows, wanted = ceil_div(m * column_blocks, 8);
    rows = column_blocks >= 8 ? kRowsPerTask : least(kRowsPerTask, wanted < least_rows ? least_rows : wanted);
    row_blocks = ceil_div(m, rows);
    rows = ceil_div(ceil_div(m, row_blocks), tile_rows) * tile_rows;
    row_blocks = ceil_div(m, rows);
  }
};

// Moves to batch entry `index`.
template <class Args>
inline int64_t batch_offset(const Args& x, const int64_t* strides, int64_t index) {
  int64_t offset = 0;
  for (int d = x.batch_ndim - 1; d >= 0; --d) {
    offset += index % x.batch_shape[d] * strides[d];
    index /= x.batch_shape[d];
  }
  return offset;
}

}  // namespace EINKORN_ISA
}  // namespace einkorn
