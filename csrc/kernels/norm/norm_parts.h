// How the work of the norms is cut, and the scratch that follows from it.
//
// Runs of fewer than kShortRun elements would leave vectors half empty: there, weights are spread out to one an element (rows)
// and vectors go across channels (batches).

#pragma once

#include "kernels/norm/norm.h"

namespace einkorn {
inline namespace EINKORN_ISA {

constexpr int64_t kShortRun = 32;
constexpr int64_t kNormTask = 16384;        // elements of a task, about
constexpr int64_t kWholeChannel = 1 << 20;  // elements; a channel up to here is one task, if there are some channels
constexpr int64_t kSomeChannels = 8;

constexpr int64_t norm_divide_up(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

// Samples are cut into chunks of `each`, whose sums for gweight and gbias are kept apart.
struct Chunks {
  int64_t each, count;

  Chunks(int64_t samples, int64_t n) {
    const int64_t most = n > 65536 ? 8 : 64;
    each = norm_divide_up(2 * kNormTask, n > 0 ? n : 1);
    each = each < 4 ? 4 : each;
    if (samples > each * most) each = norm_divide_up(samples, most);
    each = norm_divide_up(each, 4) * 4;
    count = norm_divide_up(samples, each);
  }
};

// Whether the sums x + residual of a row wait in scratch for their streamed stores.
template <class T>
inline bool keeps_rows(const RowNorm<T>& k) {
  return k.residual != nullptr && k.n <= kNormTask;
}

template <class T>
struct RowNormParts {
  Number<T>* weight;  // spread out to one an element, [groups, n]
  Number<T>* bias;
  PartOfEach<T> row;  // [n]

  RowNormParts(Carver& c, const RowNorm<T>& k) {
    const bool spread = k.run > 1 && k.run < kShortRun;
    weight = c.take<Number<T>>(spread && k.weight != nullptr ? k.groups * k.n : 0);
    bias = c.take<Number<T>>(spread && k.bias != nullptr ? k.groups * k.n : 0);
    row = c.take_each<T>(k.ws.threads, keeps_rows(k) ? k.n : 0);
  }
};

template <class T>
struct RowNormGradParts {
  Number<T>* weight;   // as above
  Number<T>* partial;  // short runs: [groups, chunks, 2, n], sums of g xhat and of g
  double* sums;        // long runs: [rows, n / run, 2]

  RowNormGradParts(Carver& c, const RowNormGrad<T>& k) {
    const bool is_short = k.run < kShortRun, wanted = k.gweight != nullptr || k.gbias != nullptr;
    weight = c.take<Number<T>>(is_short && k.run > 1 && k.weight != nullptr ? k.groups * k.n : 0);
    const Chunks chunks(k.rows / k.groups, k.n);
    partial = c.take<Number<T>>(is_short && wanted ? k.groups * chunks.count * 2 * k.n : 0);
    sums = c.take<double>(!is_short && wanted ? k.rows * (k.n / k.run) * 2 : 0);
  }
};

// How channels are cut into pieces: all of a channel, some whole runs of it, or a part of one run.
struct Pieces {
  int64_t runs, length;  // of a piece, at most
  int64_t per_run, count;
  int64_t batch, all;

  Pieces(int64_t batch, int64_t channels, int64_t length) : batch(batch), all(length) {
    constexpr int64_t piece = 4 * kNormTask;
    const bool whole = batch * length <= piece || (channels >= kSomeChannels && batch * length <= kWholeChannel);
    this->length = whole || length <= piece ? length : piece;
    runs = whole ? batch : (length < piece ? piece / length : 1);
    per_run = norm_divide_up(length, this->length);
    count = per_run * norm_divide_up(batch, runs);
  }

  int64_t first_run(int64_t p) const { return p / per_run * runs; }
  int64_t runs_of(int64_t p) const { return first_run(p) + runs < batch ? runs : batch - first_run(p); }
  int64_t begin(int64_t p) const { return p % per_run * length; }
  int64_t length_of(int64_t p) const { return begin(p) + length < all ? length : all - begin(p); }
};

// Rows of the column way in one task.
inline int64_t column_rows(int64_t columns) {
  const int64_t rows = kNormTask / columns;
  return rows < 32 ? 32 : (rows > 512 ? 512 : rows);
}

// Two numbers for each piece of each channel or, the column way, for each chunk of rows of each column.
inline int64_t batch_norm_partials(int64_t batch, int64_t channels, int64_t length) {
  if (batch * channels * length == 0) return 0;
  if (length >= kShortRun) return 2 * channels * Pieces(batch, channels, length).count;
  return 2 * channels * length * norm_divide_up(batch, column_rows(channels * length));
}

template <class T>
struct BatchNormParts {
  double* partial;
  Number<T>* columns;  // [4, C L]: mean in two parts, factor, summand

  BatchNormParts(Carver& c, const BatchNorm<T>& k) {
    partial = c.take<double>(k.training ? batch_norm_partials(k.batch, k.channels, k.length) : 0);
    columns = c.take<Number<T>>(k.length < kShortRun ? 4 * k.channels * k.length : 0);
  }
};

template <class T>
struct BatchNormGradParts {
  double* partial;
  double* sums;        // [2, C]
  Number<T>* columns;  // [6, C L]: mean in two parts, rstd, and the factors of g, of 1 and of x - mean in gx

  BatchNormGradParts(Carver& c, const BatchNormGrad<T>& k) {
    partial = c.take<double>(batch_norm_partials(k.batch, k.channels, k.length));
    sums = c.take<double>(2 * k.channels);
    columns = c.take<Number<T>>(k.length < kShortRun ? 6 * k.channels * k.length : 0);
  }
};

constexpr int64_t kResponseLanes = 16;  // positions side by side

template <class T>
struct LocalResponseNormParts {
  PartOfEach<T> terms;  // [C, kResponseLanes]

  LocalResponseNormParts(Carver& c, const LocalResponseNormGrad<T>& k)
      : terms(c.take_each<T>(k.ws.threads, k.channels * kResponseLanes)) {}
};

}  // namespace EINKORN_ISA
}  // namespace einkorn
