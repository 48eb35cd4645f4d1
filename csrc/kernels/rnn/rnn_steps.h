// How a recurrent layer walks its steps. What a cell does with its sums is the cell's own (lstm.h, gru.h, rnn.cpp).
//
//   forward, one step     state [batch][P]   x   panel of a block of units [P][gates][units]   ->   sums [rows][gates][units]
//                                                packed once, all gates of the units together       in the first cache:
//                                                                                                   nonlinearities, c, h
//   backward, one step    flow [batch][G H]  x   panel of a block of columns [G H][columns]    ->   sums: gradient of h,
//                         gradients of the gates of the step walked before                          then of this step's gates
//
// Two ways to share the work:
//   by rows     sequences do not know of each other: a chunk of them walks all its steps without waiting for anybody. Each
//               thread reads all weights, so these must be small enough for one core's second cache.
//   by columns  all threads do a step together, each its blocks of columns, whose weights stay in its second cache; they
//               wait for each other once a step (parallel_steps).
// Both compute every element in the same way.
//
// measured, the whole layer with its input product, float32, two threads of a Zen 4 EPYC (limit 234 GFLOP/s), ms (torch 2.13):
//   steps, batch, features, units     lstm forward  and backward    gru forward   and backward
//   64   32  65  128                  2.4 (2.5)     7.8 (9.0)       1.8 (4.3)     6.4 (20)
//   100  32  256 256                  17.1 (17.0)   55.1 (69.1)     14.1 (28)     48 (103)
//   128  64  512 512                  181 (193)     582 (663)       126 (197)     420 (767)
//   50   1   256 256                  0.72 (1.02)   2.3 (3.7)       0.55 (3.0)    1.5 (16.6)
//
// versions, the lstm walk alone, one thread, ms                          64x32, H 128      100x32, H 256
//                                                                       forw.   backw.    forw.   backw.
//   the gates' lines asked for before a tile's product                   3.0     4.0       17.1    20.5
//   all lines that its cells read and write, beside the product          3.0     3.1       16.9    18.6
//   the same, and those of the tile's sums, as late as there is time     3.1     3.3       17.3    18.3    by turns with the one
//                                                                        3.1     3.3       17.4    18.4    before, in a slower hour
//   bound, counted: the product at the limit (117 a core), the cells     2.7               15.6
// The cells' functions are 1.3 ms of that at H 256. A tile runs near the limit; what is lost, by count, are its ends (28 sums out of and into
// registers every 256 steps of k, 2%), the packing of the weights, and with two threads one wait a step.
// One core of Emerald Rapids (177 GFLOP/s) beside other programs, the least of many in ms, each line by turns with the first one, whose
// figures of that run are in brackets; forward and with gradients    lstm 64x32x65 H 128        lstm 100x32 H 256          gru H 256
//   the input of all steps by a product before the walk              3.5   12.2                 24.4   79.1                18.4
//   made in the walk, 128 rows at a time, block by block of units    3.28 (3.50)  12.4 (12.2)   23.9 (24.4)  79.5 (79.1)   17.7 (18.4)
//   runs of lines to ask for in the place of a list of them          3.22 (3.57)  12.4 (12.7)   23.9 (25.7)  81.4 (81.4)   18.0 (19.3)
//   cells of up to 32 rows after the sums of all of them             2.97 (3.58)  11.2 (12.9)   23.2 (25.6)  80.0 (81.7)   17.0 (18.8)
// There a cell took 175 cycles, with its operands in the first cache as well; its functions take 61 in a long loop. What was lost is
// the wait for the last cells of each tile's seven rows: with 32 rows they take 80, 7% of the time at H 256 for 13%. Tiles take
// 91%, at 93% of the limit. Of the gradients at H 256 two thirds are products of all steps, of which packing the gates' gradients is a
// sixth (13 MB read, written and read again from the last cache).
// On Zen 4, 1.2 times torch forward would need 94 to 101% (H 256) and 91 to 97% (H 512) of the limit for the products, with the cells for
// nothing; 2.5 times its gru more than the limit at H 512.

#pragma once

#include "kernels/rnn/rnn.h"
#include "kernels/rnn/rnn_tile.h"
#include "simd/math.h"

namespace einkorn {
inline namespace EINKORN_ISA {

// Weights of up to this many bytes are read by every thread.
constexpr int64_t kSharedWeightBytes = int64_t{512} << 10;
constexpr int64_t kRowsOfChunk = 16;
// Rows whose cells are computed together, after the sums of all: each such loop waits some 250 cycles for its last cells.
constexpr int64_t kRowsOfCells = 32;

template <class T>  // nanoseconds
constexpr double kMultiplyCost = sizeof(T) == 2 ? 0.01 : 0.02;

inline int64_t smaller(int64_t a, int64_t b) {
  return a < b ? a : b;
}
inline int64_t larger(int64_t a, int64_t b) {
  return a > b ? a : b;
}
inline int64_t blocks_of(int64_t n, int64_t size) {
  return (n + size - 1) / size;
}

// The rows of the steps, in the order of the walk.
template <class T>
struct Walk {
  const RecurrentLayer<T>& layer;
  const int64_t* offsets;
  bool backwards;  // from the last step to the first

  Walk(const RecurrentLayer<T>& l, int64_t* into, bool from_the_last)
      : layer(l), offsets(into), backwards(from_the_last) {
    into[0] = 0;
    for (int64_t t = 0; t < l.steps; ++t)
      into[t + 1] = into[t] + (l.batch_sizes == nullptr ? l.batch : l.batch_sizes[t]);
  }

  int64_t at(int64_t index) const { return backwards ? layer.steps - 1 - index : index; }
  // Of the index-th step walked: its first row and how many it has; none outside the walk.
  int64_t first(int64_t index) const { return offsets[at(index)]; }
  int64_t count(int64_t index) const {
    return index < 0 || index >= layer.steps ? 0 : offsets[at(index) + 1] - offsets[at(index)];
  }
};

// Runs phase(step, which, block, first row, end of rows) for every step, `kPhases` phases each, and every block of columns
// of a phase.
template <class Phase>
void walk_steps(const Workspace& ws, int64_t steps, int phases, const int64_t (&blocks)[2], int64_t batch,
                int64_t weight_bytes, double step_cost, const Phase& phase) {
  const int64_t chunks = weight_bytes <= kSharedWeightBytes ? blocks_of(batch, kRowsOfChunk) : 1;
  if (chunks > 1) {
    parallel_for(ws, chunks, step_cost * static_cast<double>(steps) / static_cast<double>(chunks),
                 [&](int64_t chunk, int) {
                   const int64_t begin = batch * chunk / chunks, end = batch * (chunk + 1) / chunks;
                   for (int64_t step = 0; step < steps; ++step)
                     for (int which = 0; which < phases; ++which)
                       for (int64_t block = 0; block < blocks[which]; ++block) phase(step, which, block, begin, end);
                 });
    return;
  }
  const int64_t tasks = phases == 1 ? blocks[0] : larger(blocks[0], blocks[1]);
  parallel_steps(ws, steps * phases, tasks, step_cost / static_cast<double>(tasks * phases),
                 [&](int64_t step, int64_t block, int) {
                   const int which = static_cast<int>(step % phases);
                   if (block < blocks[which]) phase(step / phases, which, block, int64_t{0}, batch);
                 });
}

// Tiles of nearly equal heights: body(row, rows).
template <int kMost, class Body>
EINKORN_INLINE void for_tiles(int64_t begin, int64_t end, const Body& body) {
  if (begin >= end) return;
  const int64_t count = end - begin, tiles = blocks_of(count, kMost);
  for (int64_t tile = 0; tile < tiles; ++tile) {
    const int64_t row = begin + count * tile / tiles;
    body(row, begin + count * (tile + 1) / tiles - row);
  }
}

// lanes[k][column] = rows[column][k], and panel[k][column] = rows[k][column]; zero past the last column of a vector.
template <class T>
void pack_rows(T* lanes, int64_t step, const T* rows, int64_t live, int64_t depth) {
  constexpr int L = kLanes<T>;
  for (int64_t k = 0; k < depth; k += L)
    transpose_block(lanes + k * step, step, rows + k, depth, live, smaller(L, depth - k));
}
template <class T>
void pack_panel(T* panel, const T* rows, int64_t row_step, int64_t live, int64_t depth) {
  pack_b_slice(panel, live, depth, rows, row_step, int64_t{1});
}
#if defined(__AVX512BF16__)
inline void pack_rows(int32_t* lanes, int64_t step, const bfloat16* rows, int64_t live, int64_t depth) {
  packed::pack_panel<Pairs, PairReader>(lanes, live, step, depth, rows, depth, 1);
}
inline void pack_panel(int32_t* panel, const bfloat16* rows, int64_t row_step, int64_t live, int64_t depth) {
  packed::pack_slice<Pairs>(panel, live, depth, lanes_along<bfloat16>(depth), rows, row_step, 1);
}
#endif

// panels[block][k][gate][unit] = weight[gate * units + block * kBlock + unit][k], zero past the last unit.
template <class T, int kGates, int kUnitVectors>
void pack_units(const Workspace& ws, LaneOf<T>* panels, const T* weight, int64_t units, int64_t depth) {
  constexpr int L = kLanes<LaneOf<T>>, U = kUnitVectors * L, C = kGates * U;
  const int64_t size = lanes_along<T>(depth) * C;
  parallel_for(ws, blocks_of(units, U), 0.3 * static_cast<double>(size), [&](int64_t block, int) {
    for (int gate = 0; gate < kGates; ++gate)
      for (int v = 0; v < kUnitVectors; ++v) {
        const int64_t unit = block * U + v * L, live = larger(0, smaller(L, units - unit));
        pack_rows(panels + block * size + gate * U + v * L, C, weight + (gate * units + smaller(unit, units)) * depth,
                  live, depth);
      }
  });
}

// panels[block][k][column] = weight[k][block * kTileColumns + column], zero past the last column.
template <class T>
void pack_columns(const Workspace& ws, LaneOf<T>* panels, const T* weight, int64_t columns, int64_t depth) {
  constexpr int64_t C = kTileColumns<LaneOf<T>>;
  const int64_t size = lanes_along<T>(depth) * C;
  parallel_for(ws, blocks_of(columns, C), 0.3 * static_cast<double>(size), [&](int64_t block, int) {
    pack_panel(panels + block * size, weight + block * C, columns, smaller(C, columns - block * C), depth);
  });
}

// Rows that products read by lanes.
template <class T>
EINKORN_INLINE const LaneOf<T>* by_lanes(const T* rows) {
  return reinterpret_cast<const LaneOf<T>*>(rows);
}
template <class T>
int64_t lane_step(int64_t step) {
  return step / RecurrentLane<T>::kGroup;  // a state_step, which is even
}
// Zeros past an odd end of rows that are read by pairs.
template <class T>
void end_rows(T* into, int64_t step, int64_t rows, int64_t n) {
  for (int64_t r = 0; r < rows && n < lanes_along<T>(n) * RecurrentLane<T>::kGroup; ++r) into[r * step + n] = 0;
}

// into[r] = from[r], or zeros.
template <class T>
void set_rows(T* into, int64_t into_step, const Number<T>* from, int64_t from_step, int64_t rows, int64_t n) {
  for (int64_t r = 0; r < rows; ++r)
    for_vectors<Number<T>>(n, [&](int64_t j, int64_t live) {
      store_n(into + r * into_step + j, live,
              from == nullptr ? Vec<Number<T>>{} : load_n(from + r * from_step + j, live));
    });
}

// Where a cell works: a row of all steps, a sequence, its units from `unit` on, `live` of a vector.
struct Place {
  int64_t row, sequence, unit, live;
  int64_t
      before;  // backward: the row of the step before in time order of the walk forward; -1: none, the initial state
};

// What the gates of a unit have, one after the other, `step` apart.
template <class N>
struct Gates {
  const N* first;
  int64_t step;

  EINKORN_INLINE const N* of(int gate) const { return first + gate * step; }
};

// A cell gives
//   kGates, kUnitVectors
//   Vec forward(x, place, sums, input, h)              h of the step from the gates' sums with h and their input; the former h
//   void backward(x, place, gh, flow, carry)           gradients of the gates, to x.ggates and, H apart, to flow;
//                                                      what of gh goes past the product, to carry
//   void reads(lines, x, place, count, before)         what backward reads of arrays of all steps, beside gates, in `count` rows from
//                                                      the place on, of which `before` have a step before
//   void writes(lines, x, place, count)                and what it writes
template <class Cell, class T>
void recurrent_forward(const Recurrent<T>& x) {
  using N = Number<T>;
  constexpr int L = kLanes<N>, U = Cell::kUnitVectors * L, V = Cell::kGates * Cell::kUnitVectors, C = V * L;
  const RecurrentLayer<T>& l = x.layer;
  const int64_t H = l.units, P = l.width, h_step = state_step(P), m_step = state_step(H), depth = lanes_along<T>(P);
  constexpr bool kRounds = RecurrentLane<T>::kGroup > 1;
  const auto parts = carve<RecurrentParts<T, Cell::kGates>>(x);
  const Walk<T> walk(l, parts.offsets, l.reverse);
  const bool projects = l.projection != nullptr;

  for (T* state : parts.state) {
    set_rows(state, h_step, l.h0, P, l.batch, P);
    end_rows(state, h_step, l.batch, P);
  }
  if (projects) end_rows(parts.unprojected, m_step, l.batch, H);
  set_rows(x.h_n, P, l.h0, P, l.batch, P);
  if (x.c_n != nullptr) set_rows(x.c_n, H, l.c0, H, l.batch, H);
  if (l.steps == 0 || l.batch == 0 || (H == 0 && P == 0)) return;
  pack_units<T, Cell::kGates, Cell::kUnitVectors>(x.ws, parts.panels, l.weight, H, P);
  const RecurrentInput<T>& given = x.input;
  const bool makes_input = !kRounds && given.given;
  const int64_t together = steps_together(l), features = given.features;
  if (makes_input) pack_units<T, Cell::kGates, Cell::kUnitVectors>(x.ws, parts.input_panels, given.weight, H, features);
  if (projects) pack_units<T, 1, kTileVectors>(x.ws, parts.projection, l.projection, P, H);

  // h of the units j... of a row, to wherever it is read from: `left` sequences have a step more. Where the state is rounded, h_n has it as
  // it is.
  const auto put = [&](int64_t step, int64_t left, int64_t row, int64_t b, int64_t j, int64_t live, Vec<N> h)
                       __attribute__((always_inline)) {
                         store_n(x.out + row * P + j, live, h);
                         store_n(parts.state[(step + 1) & 1] + b * h_step + j, live, h);
                         if (kRounds || b >= left) store_n(x.h_n + b * P + j, live, h);
                       };
  const auto former = [&](const T* state, int64_t b, int64_t unit) __attribute__((always_inline)) {
    if constexpr (kRounds)
      return x.h_n + b * P + unit;
    else
      return state + b * h_step + unit;
  };
  const auto input_of = [&](int64_t step, int64_t block, int64_t b) {
    return parts.input + ((block * together + step % together) * l.batch + b) * C;
  };
  // What x gives to the gates of a block in the steps from this one on that are taken together.
  const auto make_input = [&](int64_t from, int64_t block, int64_t begin, int64_t end) {
    const int64_t unit = block * U, units = smaller(U, H - unit);
    Lines none;
    for (int64_t step = from; step < smaller(from + together, l.steps); ++step)
      for_tiles<kStateRows<V>>(begin, smaller(end, walk.count(step)), [&](int64_t b0, int64_t rows) {
        N* const sums = input_of(step, block, b0);
        state_tile<T, V>(rows, features, by_lanes(given.x + (walk.first(step) + b0) * features), features,
                         parts.input_panels + block * features * C, sums, none);
        if (given.bias == nullptr) return;
        for (int gate = 0; gate < Cell::kGates; ++gate)
          for_vectors<N>(units, [&](int64_t u, int64_t live) {
            const Vec<N> bias = load_n(given.bias + gate * H + unit + u, live);
            for (int64_t r = 0; r < rows; ++r) {
              N* const sum = sums + r * C + gate * U + u;
              store(sum, load(sum) + bias);
            }
          });
      });
  };
  const auto cell = [&](int64_t step, int64_t block, int64_t begin, int64_t end) {
    if constexpr (!kRounds)
      if (makes_input && step % together == 0) make_input(step, block, begin, end);
    const int64_t first = walk.first(step), left = walk.count(step + 1);
    const int64_t unit = block * U, units = smaller(U, H - unit);
    const T* const state = parts.state[step & 1];
    const bool from_nothing = step == 0 && l.h0 == nullptr;
    alignas(64) N sums[kRowsOfCells * C];
    for_tiles<kRowsOfCells>(begin, smaller(end, walk.count(step)), [&](int64_t c0, int64_t cells) {
      for_tiles<kStateRows<V>>(c0, c0 + cells, [&](int64_t b0, int64_t rows) {
        Lines lines;
        const int64_t row = first + b0;
        const auto gates = [&] { lines.add(x.gates + row * Cell::kGates * H + unit, units, H, rows * Cell::kGates); };
        if (!makes_input && x.cells == nullptr) gates();
        lines.now_to_write();
        if (x.cells != nullptr) {
          gates();
          lines.add(x.cells + row * H + unit, units, H, rows);
        }
        if (!projects) {
          lines.add(x.out + row * P + unit, units, P, rows);
          lines.add(parts.state[(step + 1) & 1] + b0 * h_step + unit, units, h_step, rows);
        }
        N* const to = sums + (b0 - c0) * C;
        if (from_nothing) {
          for (int64_t i = 0; i < rows * C; i += L) store(to + i, Vec<N>{});
        } else {
          state_tile<T, V>(rows, depth, by_lanes(state + b0 * h_step), lane_step<T>(h_step),
                           parts.panels + block * depth * C, to, lines);
        }
      });
      const N* const made = makes_input ? input_of(step, block, c0) : nullptr;
      for_vectors<N>(units, [&](int64_t u, int64_t live) {
        for (int64_t r = 0; r < cells; ++r) {
          const int64_t b = c0 + r;
          const Place place{first + b, b, unit + u, live, -1};
          const Gates<N> in = makes_input ? Gates<N>{made + r * C + u, U}
                                          : Gates<N>{x.gates + place.row * Cell::kGates * H + place.unit, H};
          const Vec<N> h = Cell::forward(x, place, {sums + r * C + u, U}, in, former(state, b, unit + u));
          if (!projects) {
            put(step, left, place.row, b, place.unit, live, h);
            continue;
          }
          store_n(parts.unprojected + b * m_step + place.unit, live, h);
          if (x.hidden != nullptr) store_n(x.hidden + place.row * H + place.unit, live, h);
        }
      });
    });
  };
  const auto project = [&](int64_t step, int64_t block, int64_t begin, int64_t end) {
    constexpr int64_t W = kTileColumns<N>;
    const int64_t first = walk.first(step), left = walk.count(step + 1);
    const int64_t columns = smaller(W, P - block * W), units = lanes_along<T>(H);
    alignas(64) N sums[kTileRows * W];
    for_tiles<kTileRows>(begin, smaller(end, walk.count(step)), [&](int64_t b0, int64_t rows) {
      state_tile<T, kTileVectors>(rows, units, by_lanes(parts.unprojected + b0 * m_step), lane_step<T>(m_step),
                                  parts.projection + block * units * W, sums, Lines{});
      for (int64_t r = 0; r < rows; ++r)
        for_vectors<N>(columns, [&](int64_t u, int64_t live) {
          put(step, left, first + b0 + r, b0 + r, block * W + u, live, load(sums + r * W + u));
        });
    });
  };
  const int64_t blocks[2] = {blocks_of(H, U), projects ? blocks_of(P, kTileColumns<N>) : 0};
  const int64_t weights = Cell::kGates * H * P + (projects ? H * P : 0);
  walk_steps(
      x.ws, l.steps, projects ? 2 : 1, blocks, l.batch, weights * static_cast<int64_t>(sizeof(T)),
      static_cast<double>(l.batch) * (kMultiplyCost<T> * static_cast<double>(weights) + 1.0 * static_cast<double>(H)),
      [&](int64_t step, int which, int64_t block, int64_t begin, int64_t end) {
        which == 0 ? cell(step, block, begin, end) : project(step, block, begin, end);
      });
}

template <class Cell, class T>
void recurrent_backward(const RecurrentGrad<T>& x) {
  using N = Number<T>;
  constexpr int64_t W = kTileColumns<N>;
  const RecurrentLayer<T>& l = x.layer;
  const int64_t H = l.units, P = l.width, gates = Cell::kGates * H, flow_step = state_step(gates),
                h_step = state_step(P), depth = lanes_along<T>(gates), width = lanes_along<T>(P);
  const auto parts = carve<RecurrentGradParts<T, Cell::kGates>>(x);
  const Walk<T> walk(l, parts.offsets, !l.reverse);
  const bool projects = l.projection != nullptr;

  // gh0 and gc0 hold, for each sequence, the gradient that the steps still to be walked find.
  set_rows(x.gh0, P, x.gh_n, P, l.batch, P);
  if (x.gc0 != nullptr) set_rows(x.gc0, H, x.gc_n, H, l.batch, H);
  if (l.steps == 0 || l.batch == 0 || (H == 0 && P == 0)) return;
  pack_columns(x.ws, parts.panels, l.weight, P, gates);
  if (projects) pack_columns(x.ws, parts.projection, l.projection, H, P);
  for (T* flow : parts.flow) end_rows(flow, flow_step, l.batch, gates);
  if (projects) end_rows(parts.total, h_step, l.batch, P);

  const auto place_of = [&](int64_t step, int64_t b, int64_t j, int64_t live) __attribute__((always_inline)) {
    const bool first = b >= walk.count(step + 1);
    return Place{walk.first(step) + b, b, j, live, first ? -1 : walk.first(step + 1) + b};
  };
  const auto cell = [&](int64_t step, int64_t b, int64_t j, int64_t live, Vec<N> gh,
                        N* carry) __attribute__((always_inline)) {
    Cell::backward(x, place_of(step, b, j, live), gh, parts.flow[step & 1] + b * flow_step + j, carry);
  };
  // What the cells of some rows and units, and what is before them, read and write.
  const auto lines_of = [&](int64_t step, int64_t b0, int64_t rows, int64_t j, int64_t n, bool arrives, bool is_cell) {
    Lines lines;
    const int64_t count = smaller(b0 + rows, walk.count(step)) - b0;
    if (count <= 0) return lines;  // past the last step
    const int64_t row = walk.first(step) + b0;
    const int64_t before = smaller(count, walk.count(step + 1) - b0);  // those that are no first ones
    const Place place{row, b0, j, n, before > 0 ? walk.first(step + 1) + b0 : -1};
    if (arrives && x.g != nullptr) lines.add(x.g + row * P + j, n, P, count);
    if (is_cell) {
      if (x.gates != nullptr) lines.add(x.gates + row * Cell::kGates * H + j, n, H, count * Cell::kGates);
      Cell::reads(lines, x, place, count, before);
    }
    lines.now_to_write();
    if (!is_cell) {
      lines.add(x.gout + row * P + j, n, P, count);
      return lines;
    }
    lines.add(x.ggates + row * Cell::kGates * H + j, n, H, count * Cell::kGates);
    for (int gate = 0; gate < Cell::kGates; ++gate)
      lines.add(parts.flow[step & 1] + b0 * flow_step + gate * H + j, n, flow_step, count);
    Cell::writes(lines, x, place, count);
    return lines;
  };
  // The gradient of h of this step, from all that read it; of a sequence that has no step left, the gradient of h0.
  const auto arrive = [&](int64_t step, int64_t b, int64_t j, int64_t live, Vec<N> gh) __attribute__((always_inline)) {
    N* const carry = x.gh0 + b * P + j;
    gh += load_n(carry, live);
    if (b >= walk.count(step)) return store_n(carry, live, gh);
    const int64_t row = walk.first(step) + b;
    if (x.g != nullptr) gh += load_n(x.g + row * P + j, live);
    if (!projects) return cell(step, b, j, live, gh, carry);
    store_n(x.gout + row * P + j, live, gh);
    store_n(parts.total + b * h_step + j, live, gh);
    store_n(carry, live, Vec<N>{});
  };
  const auto product = [&](int64_t step, int64_t block, int64_t begin, int64_t end) {
    const int64_t columns = smaller(W, P - block * W), before = walk.count(step - 1);
    alignas(64) N sums[kTileRows * W];
    for_tiles<kTileRows>(begin, smaller(end, before), [&](int64_t b0, int64_t rows) {
      state_tile<T, kTileVectors>(rows, depth, by_lanes(parts.flow[(step - 1) & 1] + b0 * flow_step),
                                  lane_step<T>(flow_step), parts.panels + block * depth * W, sums,
                                  lines_of(step, b0, rows, block * W, columns, true, !projects));
      for (int64_t r = 0; r < rows; ++r)
        for_vectors<N>(columns, [&](int64_t u, int64_t live) {
          arrive(step, b0 + r, block * W + u, live, load(sums + r * W + u));
        });
    });
    for (int64_t b = larger(begin, before); b < smaller(end, walk.count(step)); ++b)
      for_vectors<N>(columns, [&](int64_t u, int64_t live) { arrive(step, b, block * W + u, live, Vec<N>{}); });
  };
  const auto unproject = [&](int64_t step, int64_t block, int64_t begin, int64_t end) {
    const int64_t units = smaller(W, H - block * W);
    alignas(64) N sums[kTileRows * W];
    for_tiles<kTileRows>(begin, smaller(end, walk.count(step)), [&](int64_t b0, int64_t rows) {
      state_tile<T, kTileVectors>(rows, width, by_lanes(parts.total + b0 * h_step), lane_step<T>(h_step),
                                  parts.projection + block * width * W, sums,
                                  lines_of(step, b0, rows, block * W, units, false, true));
      for (int64_t r = 0; r < rows; ++r)
        for_vectors<N>(units, [&](int64_t u, int64_t live) {
          cell(step, b0 + r, block * W + u, live, load(sums + r * W + u), nullptr);
        });
    });
  };
  const int64_t blocks[2] = {blocks_of(P, W), projects ? blocks_of(H, W) : 0};
  const int64_t weights = gates * P + (projects ? H * P : 0);
  walk_steps(
      x.ws, l.steps + 1, projects ? 2 : 1, blocks, l.batch, weights * static_cast<int64_t>(sizeof(T)),
      static_cast<double>(l.batch) * (kMultiplyCost<T> * static_cast<double>(weights) + 1.0 * static_cast<double>(H)),
      [&](int64_t step, int which, int64_t block, int64_t begin, int64_t end) {
        which == 0 ? product(step, block, begin, end) : unproject(step, block, begin, end);
      });
}

}  // namespace EINKORN_ISA
}  // namespace einkorn
