// word2vec (Mikolov et al. 2013): vectors of words that tell the words around them. One pass over a corpus.
//
//   For every word c of a sentence, d drawn from 1 .. window, and the words w within d of it:
//     skip-gram   an input x_w for each w: its row of `vectors`
//     CBOW        one input, the mean (or the sum) of the rows of all w
//   every input against the same targets y_j, rows of `outputs`, each with a label t_j:
//     negative sampling     c with 1, and `negatives` words drawn by the alias table with 0; one that was drawn before, or is c, is left out
//     hierarchical softmax  the nodes of c's path in the Huffman tree, with 1 - its code
//     full softmax          all words, c with 1
//   p_j = sigmoid(x . y_j), or softmax over j;  g_j = rate (t_j - p_j);  then at once, from the values before:
//     x += sum over j of g_j y_j,   y_j += sum over the inputs of g_j x
//
// The targets of a word are drawn once for all its inputs (Ji et al. 2016): then a word is a small matrix product, and its rows are
// read once; the published program draws anew for each pair. Subwords (Bojanowski et al. 2017): with part_starts, the input of a word
// is the mean of the rows parts[part_starts[w] .. part_starts[w + 1]), and each of them gets its gradient.
//
// Shapes       vectors [rows, width], outputs [targets, width]; tokens [count] in [0, words), starts [sentences + 1], rising, from 0 to
//              count; keep, chance, alias [words]; paths [words + 1], nodes and codes [paths[words]]; part_starts [words + 1].
// keep         the chance that an occurrence of a word counts at all (subsampling); null: 1.
// alias table  word i = floor(u words), itself with `chance[i]`, else alias[i] (Walker 1977); null: no negative sampling.
// rate         falls from rate_first at tokens[0] to rate_last behind the end, by stretches of kSegment words.
// stats        of each stretch the loss (negative log likelihoods) and how many inputs were trained.
// Random       splitmix64 (Steele et al. 2014) from (seed, first + the token's place): not the Philox of the other kernels, which takes
//              longer than the draws of a word are worth.
// Layout       contiguous. Aliasing none. Zero sizes: nothing happens. Sentences are cut at kSegment words. NaN propagates.
// Indices      the op has checked; tokens outside of [0, words) are left out.
// Determinism  `stretches` pieces of the corpus are trained at once, as many as there are threads for. One stretch: the same bits
//              each time. Several share the arrays without locks (Niu et al. 2011), as the published program does, and then bits differ.
//              CUDA: a block a stretch; one stretch is deterministic and leaves the card idle, hundreds are what it is fast with.
// Cost         6 width FLOP for each pair of an input and a target; bytes: the rows of both, read and written.

#pragma once

#include <stdint.h>

#include "kernels/table.h"
#include "runtime/carver.h"
#include "runtime/parallel.h"

namespace einkorn {

struct Word2VecTrain {
  float* vectors;
  float* outputs;
  double* stats;  // [stretches, 2]
  const int32_t* tokens;
  const int64_t* starts;
  const float* keep;     // null: all
  const float* chance;   // null: no negative sampling
  const int32_t* alias;  // null with chance
  const int64_t* paths;  // null: no hierarchical softmax
  const int32_t* nodes;  // rows of outputs
  const uint8_t* codes;
  const int64_t* part_starts;  // null: a word is a row
  const int32_t* parts;
  int64_t count, sentences, words, rows, targets, width;
  int64_t window, negatives, longest_path, first, stretches;
  double rate_first, rate_last;
  uint64_t seed;
  bool cbow, mean, full;
  Workspace ws;
};

constexpr int64_t kSegment = 10000;  // words

inline namespace EINKORN_ISA {

// Of a stretch.
struct Word2VecStretch {
  int32_t* kept;    // [kSegment]: the words that were not left out
  int64_t* place;   // [kSegment]: and where they are
  float** around;   // of CBOW the rows of the words around
  int32_t* target;  // rows of outputs
  float* label;     // their labels
  float* x;         // inputs, rows padded to whole vectors
  float* dx;        // their gradients
  float* g;         // [inputs, most targets at a time], or of one input all targets

  static int64_t inputs(const Word2VecTrain& k) { return k.cbow ? 1 : 2 * k.window; }
  static int64_t most(const Word2VecTrain& k) { return 1 + k.negatives + k.longest_path; }
  static int64_t padded(const Word2VecTrain& k) { return (k.width + 15) / 16 * 16; }

  Word2VecStretch(Carver& c, const Word2VecTrain& k)
      : kept(c.take<int32_t>(kSegment)),
        place(c.take<int64_t>(kSegment)),
        around(c.take<float*>(2 * k.window)),
        target(c.take<int32_t>(most(k))),
        label(c.take<float>(most(k))),
        x(c.take<float>(inputs(k) * padded(k))),
        dx(c.take<float>(inputs(k) * padded(k))),
        g(c.take<float>(k.full ? k.targets : 8 * inputs(k) + 16)) {}
};

struct Word2VecParts {
  PartsOfEach<Word2VecStretch, Word2VecTrain> stretches;

  Word2VecParts(Carver& c, const Word2VecTrain& k) : stretches(c.each<Word2VecStretch>(k.stretches, k)) {}
};

}  // namespace EINKORN_ISA

#define EINKORN_WORD2VEC_INDEX_KERNELS(X) X(word2vec_train, Word2VecTrain)

EINKORN_INDEX_TABLE(Word2VecIndexKernels, EINKORN_WORD2VEC_INDEX_KERNELS)

}  // namespace einkorn
