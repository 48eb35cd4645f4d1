// matmul: a packed GEMM around the register tile of gemm_tile.h, a direct one for small problems, and the two vector forms.
//
//   for each task: rows x kColumnBlock of C            tasks are cut by M and N alone
//     for each depth block (<= kDepthBlock of K)
//       pack that slice of B into panels               row by row, as memory likes to be read; stays in L2. Where its rows
//                                                      are contiguous the first panel's tiles do it beside their products
//       for each panel of A, tile rows high            packed once for all tasks, or read in place
//         for each panel of B, tile columns wide       streams from L2, 9 bytes a cycle
//           the register tile
//
// Large products pack all of A first (in parallel), one depth block at a time. Small ones read A in place, and B too where its
// rows are contiguous and the whole slice is small, because a copy would cost as much as the product. A row vector times a matrix
// only reads the matrix: rows are added up in streams, or dotted, whichever way they lie. A few columns that run along k as the
// rows do (the last layer of a classifier) are dotted in blocks.
//
// versions, float32, one Zen 5 core with AVX-512 (the register tile alone: 250)                1024   2048   GFLOP/s
//   a panel of B in L1, A streams by; depth 256, 504 rows a task                              204    180
//   panels of A outside, a slice of B streams by from L2; depth 512                           214    180
//   the tile's lines of out asked for early, 1024 rows a task                                 213    188
//   tasks go along columns first, so that neighbours share rows of A in L3                    224    200
//   slices of 128 columns instead of 256                                                      229    217
//   depth 1024                                                                                235    208
//   panels of A asked for 24 steps ahead (gemm_tile.h)                                        238    232
// and for small ones                                                     128x784x32 (a linear layer)    64   us
//   A always packed above 2 MFLOP, all sums through the epilogue                          64           3.1
//   A packed only where 192 columns use it; plain tiles stored straight into out          38           2.5
// and for layers of a small transformer, one Zen 4 core (117)   768x128 to 512, with bias   768x128 to 384   768x512 to 128  GFLOP/s
//   lines of out asked for early where K is more than 128             82                        91              98
//   from 64 on                                                        92                       100             102
// and for gradients of weights, one Zen 4 core (117)             1024x3200 (lies transposed) to 256   4096x352 to 768, added
//   panels of a packed one by one, all depths first                    88                             90
//   eight panels at a time, a depth after the other                    100                            97       packing: 21% to 9%
// and a few rows through weights from memory, one core of Emerald Rapids   2      4      5      8     12     16 rows   50257x768, ms
//   dots(): four rows of weights by four columns, nothing asked for       15.0   15.4   19.8   19.5   24.1   25.7
//   one row of weights by eight columns, read where they lie              12.0   12.2   15.5   16.3          44.3
//   two by eight, columns packed: aligned loads serve two rows            11.5   11.6   12.4   12.7          24.9
//   four by four, four by six, three by eight; what comes asked for       10.9   10.9   11.6   12.5
//   (four by four twice over for eight                                                         14.6)
//   tiles from nine on                                                                                18.9   19.0
//   (one row 10.0; torch 2.13                                             10.7   21.1   22.2   34.2   47.3   23.4)
// and for a training step of GPT 4x128 on one core of Emerald Rapids (177) beside other programs; rows x features to outputs
//                                                   768x128 to 512     768x512 to 128     3200x256 to 1024 (LSTM)   2048x65 to 512
//   forward; gradients of the input; of the weight  147; 161; 134      161; 154; 143      142; 129; 128             125; 108; 74
//   that of the weight as its transpose (where rows
//   are more than kUncutDepth: bind/matmul.cpp)                 138               126               138                     122
//   fewer columns a task, and rows cut instead      142; 156; 133      151; 153; 137      140; 123; 132             124; 109; 110
//   torch 2.13                                      133; 163; 150      150; 162; 166      129; 144; 135              84; 123; 117
// The step's products take 26 of its 38 ms there, at 142; the limit is 21. On two threads the step takes 25.6 ms (torch 29.1, 1.14; 1.6 was
// wanted, 18.2): half of one thread's time would be 19.2, a product's eight tasks and two handshakes leave 80%.
// Gradients of 3200 rows: 2.4 of 13 ms are packing 13 MB of them, which the last cache gives at 11 GB/s.
// The same core and others' programs, operands from the last cache (six sets of them in turn), by turns; rows x features to outputs
//                                              1024x384 to 1152    1024x384 to 1536    1024x1536 to 384    768x128 to 512
//   forward; gradient of input; of weight      151; 138; 138       150; 135; 139       136; 152; 147       133; 142;  86
//   rows of a read where they lie, up to 640
//   columns; a large gradient as its transpose 149; 149; 144       150; 147; 146       150; 152; 148       132; 136; 119 to 136
//   read where they lie always                 144; 149            145; 145            148; 147
//   panels of a asked for 48 steps ahead       148; 138            151; 137            137; 153            136; 141
//   512 rows a task                            145; 140            146; 135            134; 148            131; 145
//   what the next task packs asked for beside  150; 148; 140       149; 143; 142       149; 152; 146       136; 136; 124
// A weight's gradient of 768x128 to 512 took 770 us in the step: 569 at the limit, 143 for 1.6 MB of gradients and 36 for the features
// at what the last cache gives: 11 GB/s, as only 16 lines can be under way at a time.
// Gradients of weights, the same core and ways, best twentieth  768x128 to 384   to 128   to 512   768x512 to 128   2048x65 to 512
//   a slice of B packed before its products                     121              132      127      130              110
//   lines of it asked for 12 rows ahead while it is packed      121              132      124      126
//   packed by the tiles that read it first, nothing asked for    98              142      110      105
//   8; 16; 32; 48; 96 rows ahead, between their products        128;127;129;129;131  145   127;128;136;135;132  128;128;138;136;134
//   32, kept                                                    129              146      136      138              121
// What lies in the second cache gains 0 to 12%, products of 1024 and more -1 to 3%.
// And tried: panels of A asked for 16 and 32 rows ahead while they are packed (none), slices of 32 columns for 384, so that no rows are
// cut and none is packed twice (gradients none, forward 122 for 130).

#include "kernels/matmul.h"

#include "kernels/gemm_cuts.h"
#include "kernels/gemm_tile.h"
#include "kernels/instantiate.h"
#include "kernels/matmul_epilogue.h"

namespace einkorn::EINKORN_ISA {

namespace {

// How the work is cut; depends on the problem and the instruction set, not on threads.
template <class T>
struct Cuts : TaskCuts {
  int64_t depth, depth_blocks;
  bool pack_a, pack_b;

  explicit Cuts(const Matmul<T>& x) : TaskCuts(x.m, x.n, kTileColumns<T>, kColumnBlock) {
    depth_blocks = x.k <= kUncutDepth ? 1 : ceil_div(x.k, kDepthBlock);
    depth = ceil_div(x.k, depth_blocks);
    pack_a = packs_a(x);
    const bool small_b = x.k * x.n * static_cast<int64_t>(sizeof(T)) <= (128 << 10);
    pack_b = x.b_n != 1 || !(small_b || x.m <= kTileRows);
  }
};

// Packed A of a depth block: [panel][k][row], panels of kTileRows rows, a vector of room after each for whole-vector stores.
template <class T>
inline T* packed_panel(T* base, int64_t depth, int64_t panel) {
  return base + panel * (depth * kTileRows + kLanes<T>);
}

// A lies transposed, and its rows are long: neighbouring panels read them together, since those of a single one would be a line
// or two of each page.
constexpr int64_t kPanelsAtOnce = 8, kRowsAhead = 8;

template <class T>
void pack_panels_across(T* packed, int64_t depth, int64_t first, int64_t panels, const T* a, int64_t rows,
                        int64_t a_k) {
  constexpr int L = kLanes<T>, kLine = 64 / static_cast<int>(sizeof(T));
  const T* const begin = a + first * kTileRows;
  const int64_t width = least(rows - first * kTileRows, panels * kTileRows);
  for (int64_t k = 0; k < depth; ++k) {
    const T* const row = begin + k * a_k;
    for (int64_t c = 0; c < width; c += kLine) __builtin_prefetch(row + kRowsAhead * a_k + c);
    for (int64_t panel = 0; panel < panels; ++panel) {
      const int64_t high = least(kTileRows, width - panel * kTileRows);
      T* const out = packed_panel(packed, depth, first + panel) + k * high;
      for (int64_t r = (high - 1) / L * L; r >= 0; r -= L)
        store(out + r, load_partial(row + panel * kTileRows + r, least(L, high - r)));
    }
  }
}

template <class T>
void pack_all_of_a(const Matmul<T>& x, const T* a, int64_t depth, T* packed) {
  const int64_t panels = ceil_div(x.m, kTileRows);
  const bool across = x.a_m == 1 && x.a_k >= kPanelsAtOnce * kTileRows;
  const int64_t at_once = across ? kPanelsAtOnce : 1;
  const double cost = 0.2 * static_cast<double>(at_once * kTileRows * depth);
  parallel_for(x.ws, ceil_div(panels, at_once), cost, [&](int64_t task, int) {
    const int64_t first = task * at_once, row = first * kTileRows;
    if (across)
      pack_panels_across(packed, depth, first, least(at_once, panels - first), a, x.m, x.a_k);
    else
      pack_a_panel(packed_panel(packed, depth, first), static_cast<int>(least(kTileRows, x.m - row)), depth,
                   a + row * x.a_m, x.a_m, x.a_k);
  });
}

template <class T>
void gemm_task(const Matmul<T>& x, const Cuts<T>& cuts, const T* a, const T* b, T* out, T* a_packed, T* b_slice,
               int64_t row_block, int64_t column_block, int64_t first_depth, int64_t end_depth) {
  constexpr int64_t C = kTileColumns<T>;
  const int64_t j_begin = column_block * cuts.columns, j_end = least(x.n, j_begin + cuts.columns);
  const int64_t i_begin = row_block * cuts.rows, i_end = least(x.m, i_begin + cuts.rows);
  const APanel by = !cuts.pack_a && x.a_k == 1 ? APanel::by_rows : APanel::by_columns;
  const int64_t a_step = by == APanel::by_rows ? x.a_m : x.a_k;
  alignas(64) T sums[kTileRows * C];
  for (int64_t block = first_depth; block < end_depth; ++block) {
    const int64_t k0 = block * cuts.depth, depth = least(cuts.depth, x.k - k0);
    const Epilogue<Matmul<T>> epilogue{x, out, block == 0, block + 1 == cuts.depth_blocks};
    const bool plain = epilogue.is_plain();
    const T* const b_block = b + k0 * x.b_k + j_begin * x.b_n;
    const int64_t ragged = (j_end - j_begin) % kLanes<T> == 0 ? 0 : (j_end - j_begin) % C;
    // Whole panels of rows that run along j are packed by the first tiles that read them.
    const bool on_the_way = cuts.pack_b && x.b_n == 1 && i_end - i_begin >= kTileRows;
    const int64_t from = on_the_way ? (j_end - j_begin) / C * C : 0;
    if (cuts.pack_b)
      pack_b_slice(b_slice + from * depth, j_end - j_begin - from, depth, b_block + from * x.b_n, x.b_k, x.b_n);
    else if (ragged != 0)  // pack the last panel, so that whole vectors can be read
      pack_b_slice(b_slice, ragged, depth, b_block + (j_end - j_begin - ragged), x.b_k, x.b_n);
    for (int64_t i = i_begin; i < i_end; i += kTileRows) {
      const int64_t rows = least(kTileRows, i_end - i);
      const T* a_panel = a + i * x.a_m + k0 * x.a_k;
      if (cuts.pack_a) a_panel = packed_panel(a_packed, depth, i / kTileRows);
      const TileSums<T> wide = choose_tile<T>(rows, 2, by), narrow = choose_tile<T>(rows, 1, by);
      for (int64_t j = j_begin; j < j_end; j += C) {
        const int64_t columns = least(C, j_end - j);
        const T* panel = cuts.pack_b ? b_slice + (j - j_begin) * depth : b_block + (j - j_begin);
        int64_t panel_step = cuts.pack_b ? C : x.b_k;
        if (!cuts.pack_b && ragged != 0 && j + ragged == j_end) panel = b_slice, panel_step = C;
        if (depth >= 64) epilogue.prefetch(rows, i, j);
        const bool direct = plain && columns == C;
        const int64_t step = cuts.pack_a ? rows : a_step, sums_step = direct ? x.out_m : C;
        T* const to = direct ? out + i * x.out_m + j : sums;
        if (on_the_way && i == i_begin && columns == C)
          choose_packing_tile<T>(by)(depth, a_panel, step, b_block + (j - j_begin), x.b_k,
                                     b_slice + (j - j_begin) * depth, to, sums_step);
        else
          (columns > kLanes<T> ? wide : narrow)(depth, a_panel, step, panel, panel_step, to, sums_step);
        if (!direct) epilogue(sums, rows, columns, i, j);
      }
    }
  }
}

template <class T>
void gemm(const Matmul<T>& x, int64_t batch) {
  const Cuts<T> cuts(x);
  const auto parts = carve<MatmulParts<T>>(x);
  const int64_t tasks = cuts.row_blocks * cuts.column_blocks;
  const double cost = 0.01 * static_cast<double>(cuts.pack_a ? cuts.depth : x.k) *
                      static_cast<double>(least(cuts.rows, x.m) * least(cuts.columns, x.n));
  const auto run = [&](int64_t entry, int64_t task, int slot, int64_t first_depth, int64_t end_depth) {
    gemm_task(x, cuts, x.a + batch_offset(x, x.a_batch, entry), x.b + batch_offset(x, x.b_batch, entry),
              x.out + batch_offset(x, x.out_batch, entry), parts.a_packed, parts.b_slices[slot],
              task / cuts.column_blocks,
              task % cuts.column_blocks,  // columns first: neighbouring tasks share rows of a in the L3 cache
              first_depth, end_depth);
  };
  if (!cuts.pack_a) {
    parallel_for(x.ws, batch * tasks, cost,
                 [&](int64_t task, int slot) { run(task / tasks, task % tasks, slot, 0, cuts.depth_blocks); });
    return;
  }
  // A depth block at a time, whose packed A the L3 cache still has when it is read. (K of nothing has a block of nothing.)
  for (int64_t entry = 0; entry < batch; ++entry)
    for (int64_t block = 0; block < cuts.depth_blocks; ++block) {
      const int64_t k0 = block * cuts.depth;
      pack_all_of_a(x, x.a + batch_offset(x, x.a_batch, entry) + k0 * x.a_k, least(cuts.depth, x.k - k0),
                    parts.a_packed);
      parallel_for(x.ws, tasks, cost, [&](int64_t task, int slot) { run(entry, task, slot, block, block + 1); });
    }
}

// total[i] += the lanes of sum[i]; those of as many sums as lanes come from one transposition.
template <class T, int N>
EINKORN_INLINE void add_sums(double (&total)[N], const Vec<T> (&sum)[N]) {
  constexpr int L = kLanes<T>;
  alignas(64) T dot[(N + L - 1) / L * L];
  EINKORN_UNROLL for (int group = 0; group < N; group += L) {
    Vec<T> square[L];
    EINKORN_UNROLL for (int l = 0; l < L; ++l) square[l] = group + l < N ? sum[group + l] : Vec<T>{};
    transpose_square<T>(square);
    EINKORN_UNROLL for (int half = L / 2; half > 0; half /= 2) EINKORN_UNROLL for (int l = 0; l < half; ++l)
        square[l] += square[l + half];
    store(dot + group, square[0]);
  }
  for (int i = 0; i < N; ++i) total[i] += dot[i];
}

// A block of 4 rows and 4 (or 2) columns of dot products at a time; the sums over lanes come from one transposition. Sums run
// in T for 256 steps, then go on in double.
template <class T>
void dots(const Matmul<T>& x, int64_t batch) {
  constexpr int L = kLanes<T>, C = kTileColumns<T>, R = 4, Q = kVectorBytes == 64 ? 4 : 2;
  constexpr int64_t kRowsOfTask = 16, kBlock = 256 * L;
  const int64_t tasks = ceil_div(x.m, kRowsOfTask);
  const double cost = 0.02 * static_cast<double>(kRowsOfTask * x.n * x.k);
  parallel_for(x.ws, batch * tasks, cost, [&](int64_t task, int) {
    const int64_t entry = task / tasks, first = task % tasks * kRowsOfTask, end = least(x.m, first + kRowsOfTask);
    const T* const a = x.a + batch_offset(x, x.a_batch, entry);
    const T* const b = x.b + batch_offset(x, x.b_batch, entry);
    const Epilogue<Matmul<T>> epilogue{x, x.out + batch_offset(x, x.out_batch, entry), true, true};
    alignas(64) T sums[R * C] = {};
    for (int64_t i = first; i < end; i += R) {
      const T* row[R];
      for (int r = 0; r < R; ++r) row[r] = a + least(i + r, end - 1) * x.a_m;
      for (int64_t panel = 0; panel < x.n; panel += C) {
        const int64_t columns = least(C, x.n - panel);
        for (int64_t j = 0; j < columns; j += Q) {
          const T* column[Q];
          for (int q = 0; q < Q; ++q) column[q] = b + least(panel + j + q, x.n - 1) * x.b_n;
          double total[R * Q] = {};
          for (int64_t k0 = 0; k0 < x.k; k0 += kBlock) {
            Vec<T> sum[R * Q] = {};
            for_vectors<T>(least(kBlock, x.k - k0), [&](int64_t k, int64_t n) __attribute__((always_inline)) {
              Vec<T> bv[Q];
              EINKORN_UNROLL for (int q = 0; q < Q; ++q) bv[q] = load_n(column[q] + k0 + k, n);
              EINKORN_UNROLL for (int r = 0; r < R; ++r) {
                const Vec<T> av = load_n(row[r] + k0 + k, n);
                EINKORN_UNROLL for (int q = 0; q < Q; ++q) sum[r * Q + q] += av * bv[q];
              }
            });
            add_sums<T>(total, sum);
          }
          for (int r = 0; r < R; ++r)
            for (int q = 0; q < Q; ++q) sums[r * C + j + q] = static_cast<T>(total[r * Q + q]);
        }
        epilogue(sums, least(R, end - i), columns, i, panel);
      }
    }
  });
}

// Packs columns that run along k for dot_rows: [k / lanes][Q][lanes], zeros past the ends.
template <class T, int Q>
void pack_columns(T* packed, const T* b, int64_t b_n, int64_t columns, int64_t depth) {
  constexpr int L = kLanes<T>;
  for (int q = 0; q < Q; ++q)
    for (int64_t k = 0; k < depth; k += L) {
      const bool is_there = q < columns;
      store(packed + k * Q + q * L, is_there ? load_n(b + q * b_n + k, least(L, depth - k)) : Vec<T>{});
    }
}

// R rows of a that come from memory, and Q packed columns, which stay in the caches: a load for each column serves R rows.
template <class T, int R, int Q>
EINKORN_INLINE void dot_rows(T* out, int64_t out_step, const T* const* row, int64_t ahead, const T* packed,
                             int64_t depth) {
  constexpr int L = kLanes<T>;
  constexpr int64_t kBlock = 256 * L;
  double total[R * Q] = {};
  for (int64_t k0 = 0; k0 < depth; k0 += kBlock) {
    const int64_t end = k0 + least(kBlock, depth - k0);
    Vec<T> sum[R * Q] = {};
    const auto step = [&](const Vec<T>(&av)[R], const T* columns) __attribute__((always_inline)) {
      EINKORN_UNROLL for (int q = 0; q < Q; ++q) {
        const Vec<T> bv = load(columns + q * L);
        EINKORN_UNROLL for (int r = 0; r < R; ++r) sum[r * Q + q] += av[r] * bv;
      }
    };
    int64_t k = k0;
    for (; k + L <= end; k += L) {
      Vec<T> av[R];
      EINKORN_UNROLL for (int r = 0; r < R; ++r) {
        __builtin_prefetch(row[r] + k + ahead);
        av[r] = load(row[r] + k);
      }
      step(av, packed + k * Q);
    }
    if (k < end) {
      Vec<T> av[R];
      EINKORN_UNROLL for (int r = 0; r < R; ++r) av[r] = load_partial(row[r] + k, end - k);
      step(av, packed + k * Q);
    }
    add_sums<T>(total, sum);
  }
  for (int r = 0; r < R; ++r)
    for (int q = 0; q < Q; ++q) out[r * out_step + q] = static_cast<T>(total[r * Q + q]);
}

// Few columns and a matrix that the caches do not hold: a model's weights and the rows of a small batch.
template <class T, int R, int Q>
void dots_of_streamed_rows(const Matmul<T>& x, int64_t batch) {
  constexpr int C = kTileColumns<T>, L = kLanes<T>;
  static_assert(C % Q == 0 || (C >= kMostStreamedColumns && Q > 4));
  const DotCuts cuts(x.m, x.k, sizeof(T));
  const int64_t per_task = R * ceil_div(cuts.elements, R * x.k), tasks = ceil_div(x.m, per_task);
  const auto parts = carve<MatmulParts<T>>(x);
  const double cost = 0.05 * static_cast<double>(least(per_task, x.m) * x.k);
  parallel_for(x.ws, batch * tasks, cost, [&](int64_t task, int slot) {
    const int64_t entry = task / tasks, first = task % tasks * per_task, end = least(x.m, first + per_task);
    const T* const a = x.a + batch_offset(x, x.a_batch, entry);
    const T* const b = x.b + batch_offset(x, x.b_batch, entry);
    const Epilogue<Matmul<T>> epilogue{x, x.out + batch_offset(x, x.out_batch, entry), true, true};
    T* const packed = parts.b_slices[slot];
    const int64_t depth = ceil_div(x.k, L) * L;
    const int64_t group = R * x.a_m, far = 8192 / static_cast<int64_t>(sizeof(T));
    const int64_t ahead = group <= 0 ? 0 : ceil_div(far, group) * group;
    for (int64_t j = 0; j < x.n; j += Q)
      pack_columns<T, Q>(packed + j * depth, b + j * x.b_n, x.b_n, least(Q, x.n - j), x.k);
    alignas(64) T sums[R * C] = {};
    for (int64_t i = first; i < end; i += R) {
      const T* row[R];
      for (int r = 0; r < R; ++r) row[r] = a + least(i + r, end - 1) * x.a_m;
      for (int64_t panel = 0; panel < x.n; panel += C) {
        const int64_t columns = least(C, x.n - panel);
        for (int64_t j = 0; j < columns; j += Q)
          dot_rows<T, R, Q>(sums + j, C, row, ahead, packed + (panel + j) * depth, x.k);
        epilogue(sums, least(R, end - i), columns, i, panel);
      }
    }
  });
}

template <class T>
void dots_of_streamed_rows(const Matmul<T>& x, int64_t batch) {
  if constexpr (kVectorBytes < 64)
    dots_of_streamed_rows<T, 2, 4>(x, batch);
  else if (x.n <= 4)
    dots_of_streamed_rows<T, 4, 4>(x, batch);
  else if (x.n <= 6)
    dots_of_streamed_rows<T, 4, 6>(x, batch);
  else
    dots_of_streamed_rows<T, 3, 8>(x, batch);
}

// Copies n elements, `step` apart, unless they are neighbours already.
template <class T>
inline const T* gathered(T* room, const T* p, int64_t step, int64_t n) {
  if (step == 1) return p;
  for (int64_t i = 0; i < n; ++i) room[i] = p[i * step];
  return room;
}

// One dot product of a piece of K: eight sums in T over a block of at most 16 steps each, added by halves; blocks in double.
template <class T>
double dot_one(const T* a, int64_t a_step, const T* b, int64_t b_step, int64_t depth) {
  constexpr int L = kLanes<T>, S = 8;
  constexpr int64_t kBlock = 16 * S * L;
  alignas(64) T a_room[kBlock], b_room[kBlock];
  double total = 0;
  for (int64_t k0 = 0; k0 < depth; k0 += kBlock) {
    const int64_t n = least(kBlock, depth - k0);
    const T* const left = gathered(a_room, a + k0 * a_step, a_step, n);
    const T* const right = gathered(b_room, b + k0 * b_step, b_step, n);
    Vec<T> sum[S] = {};
    int64_t k = 0;
    for (; k + S * L <= n; k += S * L) EINKORN_UNROLL for (int s = 0; s < S; ++s) {
        ask_two_pages_ahead(right + k + s * L);
        sum[s] += load(left + k + s * L) * load(right + k + s * L);
      }
    for_vectors<T>(n - k, [&](int64_t i, int64_t live) {
      ask_two_pages_ahead(right + k + i);
      sum[0] += load_n(left + k + i, live) * load_n(right + k + i, live);
    });
    EINKORN_UNROLL for (int half = S / 2; half > 0; half /= 2) EINKORN_UNROLL for (int s = 0; s < half; ++s) sum[s] +=
        sum[s + half];
    total += sum_lanes<T>(sum[0]);
  }
  return total;
}

// `live` dot products, at most a vector of them, of `a` and columns that run along k, four at a time: 32 steps in one sum, those
// in another.
template <class T>
EINKORN_INLINE void dot_columns(T* lane, const T* a, const T* b, int64_t b_n, int64_t live, int64_t depth) {
  constexpr int kColumns = 4;
  constexpr int64_t kBlock = 32 * kLanes<T>;
  for (int64_t c = 0; c < live; c += kColumns) {
    const T* column[kColumns];
    for (int q = 0; q < kColumns; ++q) column[q] = b + least(c + q, live - 1) * b_n;
    Vec<T> total[kColumns] = {};
    for (int64_t k0 = 0; k0 < depth; k0 += kBlock) {
      Vec<T> sum[kColumns] = {};
      for_vectors<T>(least(kBlock, depth - k0), [&](int64_t k, int64_t n) {
        const Vec<T> av = load_n(a + k0 + k, n);
        EINKORN_UNROLL for (int q = 0; q < kColumns; ++q) sum[q] += av * load_n(column[q] + k0 + k, n);
      });
      EINKORN_UNROLL for (int q = 0; q < kColumns; ++q) total[q] += sum[q];
    }
    for (int q = 0; q < kColumns && c + q < live; ++q) lane[c + q] = sum_lanes<T>(total[q]);
  }
}

// A row of sums, each the sum of `parts` parts, on to the epilogue.
template <class T>
void finish_row(const Epilogue<Matmul<T>>& epilogue, int64_t columns, const PartOfEach<double>& partials,
                int64_t parts) {
  constexpr int L = kLanes<T>;
  for_vectors<T>(columns, [&](int64_t j, int64_t live) {
    T lane[L] = {};
    for (int64_t c = 0; c < live; ++c) {
      double total = partials[0][j + c];
      for (int64_t part = 1; part < parts; ++part) total += partials[part][j + c];
      lane[c] = static_cast<T>(total);
    }
    epilogue.to_row(0, j, live, load(lane));
  });
}

// One row times a matrix, each output a dot product: one column of any stride, or several that run along k. Pieces of K are
// tasks of their own; their sums are added in double.
template <class T>
void vector_dot(const Matmul<T>& x, const T* a, const T* b, T* out) {
  constexpr int L = kLanes<T>;
  const Epilogue<Matmul<T>> epilogue{x, out, true, true};
  const int64_t pieces = dot_pieces(x), depth_most = least(kDotPiece, x.k);
  const DotCuts cuts(x.n, depth_most, sizeof(T));
  const int64_t per_task = L * ceil_div(cuts.elements, L * depth_most), groups = ceil_div(x.n, per_task);
  const auto parts = carve<MatmulParts<T>>(x);
  const PartOfEach<double> partials = parts.totals;
  int64_t a_step = x.a_k;
  if (x.n > 1 && a_step != 1) {  // every column reads it
    a = gathered(parts.row, a, a_step, x.k);
    a_step = 1;
  }
  const double cost = 0.05 * static_cast<double>(least(per_task, x.n) * depth_most);
  parallel_for(x.ws, pieces * groups, cost, [&](int64_t task, int) {
    const int64_t piece = task / groups, k0 = piece * kDotPiece, depth = least(kDotPiece, x.k - k0);
    const int64_t begin = task % groups * per_task, end = least(x.n, begin + per_task);
    if (x.n == 1) {
      *partials[piece] = dot_one(a + k0 * a_step, a_step, b + k0 * x.b_k, x.b_k, depth);
      return;
    }
    for (int64_t j = begin; j < end; j += L) {
      const int64_t live = least(L, end - j);
      T lane[L] = {};
      if (cuts.one_by_one)
        for (int64_t c = 0; c < live; ++c)
          lane[c] = static_cast<T>(dot_one(a + k0, 1, b + (j + c) * x.b_n + k0, 1, depth));
      else
        dot_columns(lane, a + k0, b + j * x.b_n + k0, x.b_n, live, depth);
      if (pieces == 1)
        epilogue.to_row(0, j, live, load(lane));
      else
        for (int64_t c = 0; c < live; ++c) partials[piece][j + c] = lane[c];
    }
  });
  if (x.n == 1 || pieces > 1) finish_row(epilogue, x.n, partials, pieces);
}

// One row times a matrix whose rows are contiguous: add up scaled rows, eight streams at a time, a chunk of K per task. Sums run
// in T for kRowBlock rows, then go on in double.
template <class T>
void vector_rows(const Matmul<T>& x, const T* a, const T* b, T* out) {
  constexpr int L = kLanes<T>, kStreams = 8;
  constexpr int64_t kRowBlock = 512;
  const int64_t chunks = vector_chunks(x), chunk = ceil_div(x.k, chunks);
  const auto parts = carve<MatmulParts<T>>(x);
  parallel_for(x.ws, chunks, 0.1 * static_cast<double>(chunk * x.n), [&](int64_t task, int) {
    T* const partial = parts.sums[task];
    double* const total = parts.totals[task];
    const int64_t begin = task * chunk, end = least(x.k, begin + chunk);
    for (int64_t j = 0; j < x.n; ++j) total[j] = 0;
    for (int64_t block = begin; block < end; block += kRowBlock) {
      const int64_t block_end = least(end, block + kRowBlock);
      for (int64_t j = 0; j < x.n; j += L) store(partial + j, Vec<T>{});
      for (int64_t k = block; k < block_end; k += kStreams) {
        const int64_t streams = least(kStreams, block_end - k);
        T factor[kStreams] = {};
        const T* stream[kStreams];
        for (int64_t s = 0; s < kStreams; ++s) {
          factor[s] = s < streams ? a[(k + s) * x.a_k] : T(0);
          stream[s] = b + least(k + s, block_end - 1) * x.b_k;
        }
        if (streams == kStreams) {
          for_vectors<T>(x.n, [&](int64_t j, int64_t n) {
            Vec<T> sum = load(partial + j);
            EINKORN_UNROLL for (int s = 0; s < kStreams; ++s) sum += load_n(stream[s] + j, n) * factor[s];
            store(partial + j, sum);
          });
        } else {
          for (int64_t s = 0; s < streams; ++s)
            for_vectors<T>(x.n, [&](int64_t j, int64_t n) {
              store(partial + j, load(partial + j) + load_n(stream[s] + j, n) * factor[s]);
            });
        }
      }
      for (int64_t j = 0; j < x.n; ++j) total[j] += partial[j];
    }
  });
  finish_row(Epilogue<Matmul<T>>{x, out, true, true}, x.n, parts.totals, chunks);
}

}  // namespace

template <class T>
void matmul(const Matmul<T>& x) {
  int64_t batch = 1;
  for (int d = 0; d < x.batch_ndim; ++d) batch *= x.batch_shape[d];
  if (batch == 0 || x.m == 0 || x.n == 0) return;
  if (is_dotted(x)) return is_streamed(x) ? dots_of_streamed_rows(x, batch) : dots(x, batch);
  if (x.m > 1 || x.k == 0) return gemm(x, batch);
  for (int64_t entry = 0; entry < batch; ++entry) {
    const T* a = x.a + batch_offset(x, x.a_batch, entry);
    const T* b = x.b + batch_offset(x, x.b_batch, entry);
    T* out = x.out + batch_offset(x, x.out_batch, entry);
    if (is_dot_of_row(x))
      vector_dot(x, a, b, out);
    else
      vector_rows(x, a, b, out);
  }
}
EINKORN_INSTANTIATE(matmul, Matmul)

}  // namespace einkorn::EINKORN_ISA
