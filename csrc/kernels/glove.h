// GloVe (Pennington, Socher and Manning 2014): vectors whose products are logarithms of counts. One pass over the counts, AdaGrad.
//
//   For every entry (i, j, c), in the order of `order`:
//     d = w_i . v_j + a_i + b_j - log c,   f = min(1, (c / c_max)^alpha),   g = f d
//     loss += f d^2 / 2
//     w_i -= rate g v_j / sqrt(G_w),   v_j -= rate g w_i / sqrt(G_v),   a_i, b_j -= rate g / sqrt(G)     each element with its own G,
//     then G += the square of that gradient; both updates from the values before
//
// Shapes       table [2, words, width + 1]: w with a, then v with b, the bias last; squares the same, greater than 0 (1 at the beginning);
//              row, column int32 [entries] in [0, words); count float32 [entries], greater than 0; order int64 [entries].
// Layout       contiguous. Aliasing none. Zero sizes: nothing happens. NaN propagates.
// Indices      the op has checked; entries outside are left out.
// Accumulates  in float32, the loss in double: stats [stretches].
// Determinism  as word2vec.h: one stretch gives the same bits each time, several share the arrays without locks.
//              CUDA: a warp a stretch.
// Cost         18 width FLOP an entry; bytes: four rows read and written.

#pragma once

#include <stdint.h>

#include "kernels/table.h"
#include "runtime/carver.h"
#include "runtime/parallel.h"

namespace einkorn {

struct GloveTrain {
  float* table;
  float* squares;
  double* stats;
  const int32_t* row;
  const int32_t* column;
  const float* count;
  const int64_t* order;
  int64_t entries, words, width, stretches;
  double count_max, alpha, rate;
  Workspace ws;
};

#define EINKORN_GLOVE_INDEX_KERNELS(X) X(glove_train, GloveTrain)

EINKORN_INDEX_TABLE(GloveIndexKernels, EINKORN_GLOVE_INDEX_KERNELS)

}  // namespace einkorn
