// Linear-chain conditional random field: scores of whole sequences of tags, of which each depends on the one before.
//
//   score(y) = start[y_0] + sum over t of emissions[n, t, y_t] + sum over t >= 1 of transitions[y_(t-1), y_t] + end[y_last]
//
//   crf_forward    loss[n] = log of the sum of exp(score(y)) over all y of length lengths[n], less score(tags[n]) where tags
//                  are given
//   crf_backward   gradients of sum gloss[n] loss[n]: gemissions[n, t, i] = gloss[n] (P(y_t = i) - [tags[n, t] = i]), and the
//                  same of pairs for gtransitions, of first and last tags for gstart and gend; 0 for t >= lengths[n]
//   crf_viterbi    best[n, t]: the y of the highest score, -1 for t >= lengths[n]; score[n]: that score
//
// Method       alpha[t, i] = emissions[t, i] + log sum over j of exp(alpha[t-1, j] + transitions[j, i]), beta the same from the
//              end, P from both (Lafferty, McCallum and Pereira 2001; Rabiner 1989).
// Shapes       emissions, gemissions, log_alpha [batch, steps, tags] contiguous; tags, best [batch, steps]; transitions and
//              gtransitions [tags, tags] (from, to); start, end and their gradients [tags]; loss, gloss, score, lengths [batch].
// Numbers      tags and lengths are in range: the op has checked; a kernel reads nothing outside all the same.
// Zero sizes   a sequence of length 0 has loss and score 0 and no gradient.
// Infinity     -inf forbids a tag or a step. Where nothing is allowed the loss is -inf, less the score of the tags, and gradients
//              are NaN; so is the loss where a score is +inf. NaN goes through, but for crf_viterbi, which passes it by.
// Ties         crf_viterbi takes the lowest tag, from the last position on.
// Aliasing     none. Writes all of its outputs; of log_alpha the steps that count.
// Accumulates  in T, the score of the tags in double.
// Determinism  one task a sequence; backward one task for crf_groups(batch) runs of sequences, added in order: same bits for any
//              thread count. CUDA: a block a sequence, pairs summed in a fixed order: same bits each time.
// Cost         2 tags^2 FLOPs a step forward, 4 backward, and about 2 exp and 1 log a tag; bytes: log_alpha once each way.

#pragma once

#include "kernels/table.h"
#include "runtime/carver.h"
#include "runtime/parallel.h"

namespace einkorn {

// Rows of tags in scratch: whole vectors of any instruction set.
constexpr int64_t crf_width(int64_t tags) {
  return (tags + 15) / 16 * 16;
}
constexpr int64_t crf_groups(int64_t batch) {
  return batch < 16 ? batch : 16;
}

template <class T>
struct CrfForward {
  T* loss;
  T* log_alpha;
  const T* emissions;
  const T* transitions;
  const T* start;
  const T* end;
  const int64_t* lengths;
  const int64_t* chosen;  // the tags, or null
  int64_t batch, steps, tags;
  Workspace ws;
};

template <class T>
struct CrfBackward {
  T* gemissions;
  T* gtransitions;
  T* gstart;
  T* gend;
  const T* gloss;
  const T* log_alpha;
  const T* emissions;
  const T* transitions;
  const T* start;
  const T* end;
  const int64_t* lengths;
  const int64_t* chosen;
  int64_t batch, steps, tags;
  Workspace ws;
};

template <class T>
struct CrfViterbi {
  int64_t* best;
  T* score;
  const T* emissions;
  const T* transitions;
  const T* start;
  const T* end;
  const int64_t* lengths;
  int64_t batch, steps, tags;
  Workspace ws;
};

inline namespace EINKORN_ISA {

// Transitions one way: their logarithms, padded by -inf, exp(log - most), and the largest into each column.
template <class T>
struct CrfTable {
  T* log;   // [tags, width]
  T* exp;   // [tags, width]
  T* most;  // [width]

  CrfTable(Carver& c, int64_t tags)
      : log(c.take<T>(tags * crf_width(tags))),
        exp(c.take<T>(tags * crf_width(tags))),
        most(c.take<T>(crf_width(tags))) {}
};

template <class T>
struct CrfForwardParts {
  CrfTable<T> to;
  PartOfEach<T> rows;  // 3 of width for each thread

  CrfForwardParts(Carver& c, const CrfForward<T>& k)
      : to(c, k.tags), rows(c.take_each<T>(k.ws.threads, 3 * crf_width(k.tags))) {}
};

template <class T>
struct CrfBackwardParts {
  CrfTable<T> to, from;
  PartOfEach<T> rows;  // 6 of width for each thread
  PartOfEach<T>
      sums;  // for each group: pairs and what is outside of the table [tags, width] each, first and last [width]

  CrfBackwardParts(Carver& c, const CrfBackward<T>& k)
      : to(c, k.tags),
        from(c, k.tags),
        rows(c.take_each<T>(k.ws.threads, 6 * crf_width(k.tags))),
        sums(c.take_each<T>(crf_groups(k.batch), (2 * k.tags + 2) * crf_width(k.tags))) {}
};

template <class T>
struct CrfViterbiParts {
  T* into;               // the transitions turned, [tags (to), tags (from)]
  PartOfEach<T> scores;  // [steps, width] for each thread

  CrfViterbiParts(Carver& c, const CrfViterbi<T>& k)
      : into(c.take<T>(k.tags * k.tags)), scores(c.take_each<T>(k.ws.threads, k.steps * crf_width(k.tags))) {}
};

}  // namespace EINKORN_ISA

#define EINKORN_CRF_KERNELS(X) \
  X(crf_forward, CrfForward)   \
  X(crf_backward, CrfBackward) \
  X(crf_viterbi, CrfViterbi)

EINKORN_FLOAT_TABLE(CrfKernels, EINKORN_CRF_KERNELS)

}  // namespace einkorn
