// Rows of a table, looked up and summed.
//
//   embedding_forward         out[i] = weight[index[i]]
//   embedding_backward        gweight[r] = s_r sum of factor[i] g[bag[i]] over the i with index[i] = r
//                             s_r = 1, by_frequency: 1 / number of those i;  factor 1 and bag[i] = i without the arrays
//                             with place: element j only of those i with place[bag[i], j] = i
//   embedding_bag_forward     out[b] = sum, mean or largest of factor[i] weight[index[i]], offsets[b] <= i < offsets[b + 1]
//                             bag_size[b] = number of those i; place[b, j] = the i that the largest came from, or -1
//   embedding_bag_factor_grad gfactor[i] = sum over j of g[bag[i], j] weight[index[i], j]
//   embedding_renorm          weight[r] *= max_norm / (|weight[r]| + 1e-7) for the r in index whose p-norm is above max_norm
//   embedding_put             table[index[i]] = values[i]
//
// Shapes       weight, table, gweight [rows, width]; index, bag, factor, gfactor [count]; g [g_rows, width], g_rows = count
//              without bag; values and the lookup's out [count, width]; a bag's out [bags, width], offsets [bags + 1].
// Sparse       with gather_rows [most] and gather_count, embedding_backward writes the rows that occur, ascending, and their
//              sums alone, gweight [most, width]; most = min(count, rows). What is beyond gather_count is undefined.
// Padding      entries with index = padding add nothing, are in no bag and have gfactor 0; -1: no such index.
// Indices      are in [0, rows), bags in [0, g_rows): the op has checked. A lookup of another one gives NaN, elsewhere it counts
//              as padding; offsets beyond [0, count] count as the end they pass.
// Empty bags   and rows that nothing refers to are 0. Ties and NaN in a largest: the first stays unless a later one is greater.
// Layout       all contiguous. Aliasing none; rows given to embedding_put are distinct.
// Accumulates  in T, in the order of i; norms in double.
// Determinism  a row of the result belongs to one task, tasks by problem size: same bits for any thread count.
// Cost         no FLOP in a lookup, 1 an element of g in a sum; bytes: each row read and written once, gweight written whole.

#pragma once

#include "kernels/table.h"
#include "runtime/carver.h"
#include "runtime/parallel.h"

namespace einkorn {

enum class BagMode : int { sum, mean, max };

template <class T>
struct EmbeddingForward {
  T* out;
  const T* weight;
  const int64_t* index;
  int64_t count, rows, width;
  Workspace ws;
};

template <class T>
struct EmbeddingBackward {
  T* gweight;
  int64_t* gather_rows;   // null: gweight has all rows
  int64_t* gather_count;  // null with gather_rows
  const T* g;
  const int64_t* index;
  const int64_t* bag;    // null: i
  const T* factor;       // null: 1
  const int64_t* place;  // null: all elements
  int64_t count, rows, width, g_rows;
  int64_t padding;
  bool by_frequency;
  Workspace ws;
};

template <class T>
struct EmbeddingBagForward {
  T* out;
  T* bag_size;
  int64_t* place;  // null unless mode is max
  const T* weight;
  const int64_t* index;
  const int64_t* offsets;
  const T* factor;  // null: 1
  int64_t count, rows, width, bags;
  int64_t padding;
  BagMode mode;
  Workspace ws;
};

template <class T>
struct EmbeddingBagFactorGrad {
  T* gfactor;
  const T* g;
  const T* weight;
  const int64_t* index;
  const int64_t* bag;
  int64_t count, rows, width, g_rows;
  int64_t padding;
  Workspace ws;
};

template <class T>
struct EmbeddingRenorm {
  T* weight;
  const int64_t* index;
  int64_t count, rows, width;
  double max_norm, p;
  Workspace ws;
};

template <class T>
struct EmbeddingPut {
  T* table;
  const T* values;
  const int64_t* index;
  int64_t count, rows, width;
  Workspace ws;
};

inline namespace EINKORN_ISA {

struct EmbeddingParts {
  int64_t *row, *other_row;      // [count]: the indices, sorted, and room for the passes
  int64_t *entry, *other_entry;  // [count]: which i each belongs to
  int64_t* start;                // [count + 1]: where each distinct row begins

  template <class T>
  EmbeddingParts(Carver& c, const EmbeddingBackward<T>& k)
      : row(c.take<int64_t>(k.count)),
        other_row(c.take<int64_t>(k.count)),
        entry(c.take<int64_t>(k.count)),
        other_entry(c.take<int64_t>(k.count)),
        start(c.take<int64_t>(k.count + 1)) {}
};

}  // namespace EINKORN_ISA

#define EINKORN_EMBEDDING_KERNELS(X)                   \
  X(embedding_forward, EmbeddingForward)               \
  X(embedding_backward, EmbeddingBackward)             \
  X(embedding_bag_forward, EmbeddingBagForward)        \
  X(embedding_bag_factor_grad, EmbeddingBagFactorGrad) \
  X(embedding_renorm, EmbeddingRenorm)                 \
  X(embedding_put, EmbeddingPut)

EINKORN_FLOAT_TABLE(EmbeddingKernels, EINKORN_EMBEDDING_KERNELS)

}  // namespace einkorn
