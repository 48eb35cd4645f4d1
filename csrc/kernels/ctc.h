// Connectionist temporal classification: minus the log of the probability that a sequence of frames spells a target.
//
//   ctc_forward    loss[n] = -log sum over the paths of length input_lengths[n] that become target n when repeats are merged
//                  and blanks then dropped, of the product of their frames' probabilities, exp(log_probs[t, n, path[t]])
//   ctc_backward   glog_probs[t, n, c] = gloss[n] (exp(log_probs[t, n, c]) - share of the paths that are at c in frame t)
//                  0 for t >= input_lengths[n]
//   ctc_beam       labels[n, i], the i-th most probable target of those that a search over prefixes finds, label_counts[n, i] of
//                  them, -1 behind; scores[n, i], the log of its probability; -inf and no labels where fewer were found
//
// The gradient is that of scores before log_softmax, as in torch: what is added to the gradient of log-probabilities,
// exp(log_probs), log_softmax's own gradient takes away again.
//
// Method       with l = blank, target 1, blank, target 2, ..., blank (length L = 2 target_lengths[n] + 1), in logarithms:
//              alpha[t, s] = log_probs[t, l[s]] + log(e^alpha[t-1, s] + e^alpha[t-1, s-1] + e^alpha[t-1, s-2] unless l[s] is
//              the blank or l[s-2]), beta the same from the end. Graves et al. 2006.
//              Search: in each frame the `beams` most probable prefixes stay, each with the sums over its paths that end with
//              the blank and that do not; language[a, b], [classes, classes], is added where b follows a, row `blank` where b is
//              the first, and may be null. Graves 2012, 7.5; Hannun et al. 2014.
// Shapes       log_probs, glog_probs [steps, batch, classes] contiguous; loss, gloss, starts, input_lengths, target_lengths
//              [batch]; targets [targets_size], those of n from starts[n] on; log_alpha [batch, steps, width], width at
//              least ctc_width(longest target).
// Numbers      lengths, labels and starts are in range: the op has checked; a kernel reads nothing outside all the same.
// Zero sizes   no frames: loss 0 for an empty target, else infinity; the search finds the empty one.
// Ties         the search keeps what is met first: prefixes as they stand, then longer ones, by prefix and by class.
// Infinity     no path: loss infinity and gradient NaN, with zero_infinity both 0. The search passes by what is -inf or NaN.
// Aliasing     none. Writes all of loss, glog_probs; of log_alpha the frames that count.
// Accumulates  in T.
// Determinism  one task a sequence: same bits for any thread count. CUDA: a block a sequence.
// Cost         search: beams * classes additions and comparisons for each frame. Loss: about 4 exp and 1 log for each of steps * L, forward, and 5 and 1 backward; bytes: log_alpha once each way.

#pragma once

#include "kernels/table.h"
#include "runtime/carver.h"
#include "runtime/parallel.h"

namespace einkorn {

// Two places before the first state and a vector beyond the last, for loads that reach over the ends.
constexpr int64_t kCtcFront = 2;
constexpr int64_t ctc_width(int64_t longest) {
  return (kCtcFront + 2 * longest + 1 + 15) / 16 * 16 + 32;
}

template <class T>
struct CtcForward {
  T* loss;
  T* log_alpha;
  const T* log_probs;
  const int64_t* targets;
  const int64_t* starts;
  const int64_t* input_lengths;
  const int64_t* target_lengths;
  int64_t steps, batch, classes, width, targets_size;
  int64_t blank;
  bool zero_infinity;
  Workspace ws;
};

template <class T>
struct CtcBackward {
  T* glog_probs;
  const T* gloss;
  const T* log_alpha;
  const T* log_probs;
  const int64_t* targets;
  const int64_t* starts;
  const int64_t* input_lengths;
  const int64_t* target_lengths;
  int64_t steps, batch, classes, width, targets_size;
  int64_t blank;
  bool zero_infinity;
  Workspace ws;
};

// beams is 1 to kCtcMostBeams, paths 1 to beams.
constexpr int64_t kCtcMostBeams = 1 << 16;

template <class T>
struct CtcBeam {
  int64_t* labels;        // [batch, paths, steps]
  int64_t* label_counts;  // [batch, paths]
  T* scores;              // [batch, paths]
  const T* log_probs;
  const T* language;
  const int64_t* input_lengths;
  int64_t steps, batch, classes, beams, paths;
  int64_t blank;
  Workspace ws;
};

inline namespace EINKORN_ISA {

template <class T>
struct CtcParts {
  PartOfEach<T> rows;          // 5 of `width` for each thread: skips, emissions, two of beta, shares
  PartOfEach<int64_t> labels;  // [width] for each thread

  template <class Args>
  CtcParts(Carver& c, const Args& k)
      : rows(c.take_each<T>(k.ws.threads, 5 * k.width)), labels(c.take_each<int64_t>(k.ws.threads, k.width)) {}
};

template <class T>
struct CtcBeamParts {
  PartOfEach<T> sums;          // 8 of a whole number of vectors of beams for each thread
  PartOfEach<int64_t> chosen;  // 4 of beams
  PartOfEach<int64_t> nodes;   // 4 of 1 + beams * steps

  CtcBeamParts(Carver& c, const CtcBeam<T>& k)
      : sums(c.take_each<T>(k.ws.threads, 8 * ((k.beams + 15) / 16 * 16))),
        chosen(c.take_each<int64_t>(k.ws.threads, 4 * k.beams)),
        nodes(c.take_each<int64_t>(k.ws.threads, 4 * (1 + k.beams * k.steps))) {}
};

}  // namespace EINKORN_ISA

#define EINKORN_CTC_KERNELS(X) \
  X(ctc_forward, CtcForward)   \
  X(ctc_backward, CtcBackward) \
  X(ctc_beam, CtcBeam)

EINKORN_FLOAT_TABLE(CtcKernels, EINKORN_CTC_KERNELS)

}  // namespace einkorn
