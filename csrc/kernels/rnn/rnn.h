// Recurrent layers, one layer and one direction at a time, all steps in one launch: forward, and backward through time.
//
//   rnn    h_t = tanh(a_t + W h)                                  a_t = x_t W_ih' + bias, b_ih + b_hh; h = h_(t-1)
//          or relu
//   lstm   i, f, g, o = sigmoid, sigmoid, tanh, sigmoid (a_t + W h)          four blocks of rows of W, in this order
//          c_t = f c_(t-1) + i g         h_t = o tanh(c_t),  or  h_t = R (o tanh(c_t)) with a projection R
//   gru    r, z = sigmoid(a_t + W h)     q_t = W_n h + bias_n     three blocks: r, z, n
//          n = tanh(a_t + r q_t)         h_t = (1 - z) n + z h                 here a_t lacks b_hh's n, which is bias_n
//
// a_t is made of `input`, where that is given, for a few steps at a time; else it is in `gates` already. The products over all
// steps backward, for the gradients of x and of the weights, are plain matrix products and not part of these kernels.
//
// Shapes       `steps` steps of `batch` sequences, units H, width P of h (H, or the projection's). Rows: of all steps one
//              after the other, N in all; step t has batch_sizes[t] rows, those of the first sequences. batch_sizes does
//              not grow; null: `batch` everywhere.
//              out [N, P], gates [N, G H] (G = 1, 4, 3), cells, hidden [N, H], h0, h_n [batch, P], c0, c_n [batch, H],
//              weight [G H, P], projection [P, H], bias_n [H]. input: x [N, F], weight [G H, F], bias [G H].
// Order        reverse walks from each sequence's last step to its first.
// State        h0, c0 null: zeros (the product with W is left out then). h_n, c_n are those after the last step walked.
// Saves        gates gets the values of the gates, cells c_t (lstm) or q_t (gru), hidden o tanh(c_t); all of these are left
//              alone when cells is null (a CPU without native kernels keeps a_t in gates). Backward reads them and `out`.
// Input        given to the CPU's kernels of float and double alone: on a GPU and of bfloat16 it is a product of all steps.
// Backward     from g (null: zeros), gh_n, gc_n (null: zeros): ggates, the gradient of a_t; gcells of q_t (gru); gout of h_t
//              as a whole (with a projection); gh0, gc0. h_(t-1) of the first step is h0.
// Layout       contiguous.
// Aliasing     outputs overlap nothing, but out may be gates (rnn).
// Zero sizes   no steps or rows: h_n = h0, c_n = c0 and gradients likewise. No output: nothing happens.
// NaN          propagates along its sequence.
// bfloat16     T = uint16_t: weight and projection are the bits of bfloat16, all else is float. Products with them are of pairs: the
//              state, and backward the gates' gradients, are rounded for these alone, and the sums are float.
// Accumulates  in Number<T>, along the units in order.
// Writes       every element of the outputs. Same bits for any thread count: an element is computed in the same way
//              whoever does it.
// Cost         2 N G H P FLOP forward, as much backward; bytes: weights once a step, from the caches; gates twice.

#pragma once

#include "kernels/stored.h"
#include "kernels/table.h"
#include "runtime/carver.h"
#include "runtime/parallel.h"

namespace einkorn {

// What forward and backward share.
template <class T>
struct RecurrentLayer {
  const T* weight;
  const T* projection;      // null: none
  const Number<T>* bias_n;  // null: none
  const Number<T>* h0;
  const Number<T>* c0;
  const int64_t* batch_sizes;
  int64_t steps, batch, units, width;
  bool reverse, relu;
};

// What the gates' input is made of, where it does not come in `gates`.
template <class T>
struct RecurrentInput {
  bool given;
  const T* x;
  const T* weight;        // W_ih
  const Number<T>* bias;  // null: none
  int64_t features;
};

template <class T>
struct Recurrent {
  Number<T>* out;
  Number<T>* h_n;
  Number<T>* c_n;  // lstm
  Number<T>* gates;
  Number<T>* cells;   // null: nothing is saved
  Number<T>* hidden;  // null unless there is a projection and something is saved
  RecurrentInput<T> input;
  RecurrentLayer<T> layer;
  Workspace ws;
};

template <class T>
struct RecurrentGrad {
  Number<T>* ggates;
  Number<T>* gcells;  // gru
  Number<T>* gout;    // with a projection
  Number<T>* gh0;
  Number<T>* gc0;  // lstm
  const Number<T>* g;
  const Number<T>* gh_n;
  const Number<T>* gc_n;
  const Number<T>* out;
  const Number<T>* gates;
  const Number<T>* cells;
  RecurrentLayer<T> layer;
  Workspace ws;
};

inline namespace EINKORN_ISA {

// Rows of a state in scratch, so far apart that those of one tile do not fall into the same sets of the first cache. Also the
// units of packed panels, rounded up.
constexpr int64_t kStatePad = 32;
inline int64_t padded_units(int64_t n) {
  return (n + kStatePad - 1) / kStatePad * kStatePad;
}
inline int64_t state_step(int64_t n) {
  return (n + 15) / 16 * 16 + 16;
}

// What lies in a lane of a panel, and how many elements along k that is.
template <class T>
struct RecurrentLane {
  using type = T;
  static constexpr int kGroup = 1;
};
template <>
struct RecurrentLane<uint16_t> {
  using type = int32_t;
  static constexpr int kGroup = 2;
};
template <class T>
int64_t lanes_along(int64_t depth) {
  return (depth + RecurrentLane<T>::kGroup - 1) / RecurrentLane<T>::kGroup;
}

// Steps whose input is made together: enough rows to read the panels of W_ih for, few enough to stay in the second cache.
constexpr int64_t kRowsTogether = 128;
template <class T>
int64_t steps_together(const RecurrentLayer<T>& l) {
  const int64_t wanted = (kRowsTogether + l.batch - 1) / (l.batch > 0 ? l.batch : 1);
  return wanted < l.steps ? wanted : l.steps;
}

// What products read is T, rounded where that is bfloat16, with a zero past an odd end.
template <class T, int kGates>
struct RecurrentParts {
  using Lane = typename RecurrentLane<T>::type;
  int64_t* offsets;    // [steps + 1], the first row of each step
  T* state[2];         // h before and after a step [batch][state_step]
  T* unprojected;      // what the projection is applied to
  Lane* panels;        // of the weight
  Lane* projection;    // panels of the projection
  Lane* input_panels;  // of W_ih
  Number<T>* input;    // of the gates, for steps_together [block of units][step][batch][a block's gates]

  RecurrentParts(Carver& c, const Recurrent<T>& x) {
    const RecurrentLayer<T>& l = x.layer;
    const bool projects = l.projection != nullptr;
    offsets = c.take<int64_t>(l.steps + 1);
    for (T*& s : state) s = c.take<T>(l.batch * state_step(l.width));
    unprojected = c.take<T>(projects ? l.batch * state_step(l.units) : 0);
    panels = c.take<Lane>(kGates * padded_units(l.units) * lanes_along<T>(l.width));
    projection = c.take<Lane>(projects ? padded_units(l.width) * lanes_along<T>(l.units) : 0);
    const bool makes = x.input.given;
    input_panels = c.take<Lane>(makes ? kGates * padded_units(l.units) * lanes_along<T>(x.input.features) : 0);
    input = c.take<Number<T>>(makes ? kGates * padded_units(l.units) * steps_together(l) * l.batch : 0);
  }
};

template <class T, int kGates>
struct RecurrentGradParts {
  using Lane = typename RecurrentLane<T>::type;
  int64_t* offsets;
  T* flow[2];    // gradients of the gates of a step [batch][state_step], as the product with W wants them
  T* total;      // with a projection: of h
  Lane* panels;  // of the weight, the other way round
  Lane* projection;

  RecurrentGradParts(Carver& c, const RecurrentGrad<T>& x) {
    const RecurrentLayer<T>& l = x.layer;
    const bool projects = l.projection != nullptr;
    offsets = c.take<int64_t>(l.steps + 1);
    for (T*& f : flow) f = c.take<T>(l.batch * state_step(kGates * l.units));
    total = c.take<T>(projects ? l.batch * state_step(l.width) : 0);
    panels = c.take<Lane>(padded_units(l.width) * lanes_along<T>(kGates * l.units));
    projection = c.take<Lane>(projects ? padded_units(l.units) * lanes_along<T>(l.width) : 0);
  }
};

}  // namespace EINKORN_ISA

#define EINKORN_RNN_KERNELS(X)    \
  X(rnn_forward, Recurrent)       \
  X(rnn_backward, RecurrentGrad)  \
  X(lstm_forward, Recurrent)      \
  X(lstm_backward, RecurrentGrad) \
  X(gru_forward, Recurrent)       \
  X(gru_backward, RecurrentGrad)

EINKORN_FLOAT_TABLE(RnnKernels, EINKORN_RNN_KERNELS)

}  // namespace einkorn
