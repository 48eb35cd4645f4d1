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
    // About that many tasks across, each at least one panel wide; down, only as tall products need. (Fewer across where there are rows
    // enough to make tasks of, so that a panel of A is read less often: no quicker, and small ones 3% slower, on Emerald Rapids.)
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

// One row times columns that run along k: how many elements a task reads, and whether column after column. What a core's caches do
// not hold is best read in one long run: several columns at once are short ones, each of which the prefetchers have to find anew.
//
// measured, float32, two Zen 4 cores of a machine with neighbours, GB/s, by turns; columns x depth
//                                     768x768   3072x768   768x3072   50257x768
//   four columns at once, 64 KB a task     18         19         19          22
//   one by one, 256 KB to 4 MB             24         28         27          33
//   (torch 2.13                            12         13         13          13; a plain read 35)
// and tried, within the spread of one by one: lines asked for 0.5 to 8 KB ahead, non-temporal ones, 2 and 4 columns a quarter of the
// task apart. Two neighbouring columns with lines asked for, and 96 KB a task, were slower. What fits the caches is dotted by fours:
// one by one takes twice the time, 256x256 17 for 7.5 us.
// One core of Emerald Rapids, ms, the least of many, one by one; lines asked for bytes ahead, into the first cache (and the second)
//                     none   1 KB   2 KB   4 KB         8 KB         16 KB    torch 2.13
//   100000x300       12.1    10.2   9.0    8.8 (8.6)    8.6 (8.3)     8.6      8.5
//   50257x768        11.6    11.1   10.3   9.9 (10.0)   9.5 (9.9)    10.1     10.4
//   768x768 in L3     .071    .062   .060   .062 (.075)  .057 (.074)   .065     .059
// Two threads of it, medians of two runs by turns, GB/s, an eighth or a sixteenth of the weights a task, 256 KB at least:
//   3072x768 23.9, 26.5     768x3072 25.2, 30.3    (what two cores read at most there: 28 to 31)
// What this costs: weights of that size that the last cache still has from the call before. 3072x768 again and again takes 109 us
// one by one, 76 by fours (of a version before this one). A model's layers together do not fit there.
struct DotCuts {
  int64_t elements;
  bool one_by_one;

  DotCuts(int64_t columns, int64_t depth, int64_t size) {
    const int64_t all = columns * depth, share = all / 16, least_far = (256 << 10) / size, most = (4 << 20) / size;
    one_by_one = all * size > (1 << 20);
    elements = !one_by_one ? 16 << 10 : share < least_far ? least_far : least(share, most);
  }
};

// Asks for what comes two pages after p. Columns read one by one follow each other in memory, and some processors' own prefetchers
// end with a page.
template <class T>
EINKORN_INLINE void ask_two_pages_ahead(const T* p) {
  __builtin_prefetch(reinterpret_cast<const char*>(p) + 8192);
}

}  // namespace EINKORN_ISA
}  // namespace einkorn
