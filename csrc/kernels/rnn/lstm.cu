// lstm on the GPU: the cell of long short-term memory on the walks of persistent_cuda.h and recurrent_cuda.h.

#include "kernels/instantiate.h"
#include "kernels/rnn/persistent_cuda.h"

namespace einkorn::cuda {

namespace {

struct Lstm {
  static constexpr int kGates = 4;

  template <class T>
  __device__ static T forward(const Recurrent<T>& x, int64_t row, int64_t sequence, int64_t unit, const T (&sums)[4],
                              T) {
    const int64_t H = x.layer.units;
    T* const gate = x.gates + row * 4 * H + unit;
    const T i = logistic(sums[0] + gate[0]), f = logistic(sums[1] + gate[H]);
    const T g = ::tanh(sums[2] + gate[2 * H]), o = logistic(sums[3] + gate[3 * H]);
    T& state = x.c_n[sequence * H + unit];
    const T c = f * state + i * g;
    state = c;
    if (x.cells != nullptr) {
      gate[0] = i, gate[H] = f, gate[2 * H] = g, gate[3 * H] = o;
      x.cells[row * H + unit] = c;
    }
    return o * ::tanh(c);
  }

  // gc = what later steps pass back + gh o (1 - tanh(c)^2), and through c = f c' + i g to the gates and to c'.
  template <class T>
  __device__ static void backward(const RecurrentGrad<T>& x, int64_t row, int64_t before, int64_t sequence,
                                  int64_t unit, T gh, T* flow, int64_t step, T* carry) {
    const int64_t H = x.layer.units;
    const T* const gate = x.gates + row * 4 * H + unit;
    const T i = gate[0], f = gate[H], g = gate[2 * H], o = gate[3 * H], squashed = ::tanh(x.cells[row * H + unit]);
    const T former = before >= 0             ? x.cells[before * H + unit]
                     : x.layer.c0 != nullptr ? x.layer.c0[sequence * H + unit]
                                             : T{0};
    T& later = x.gc0[sequence * H + unit];
    const T gc = later + gh * o * (1 - squashed * squashed);
    const T grads[4] = {gc * g * i * (1 - i), gc * former * f * (1 - f), gc * i * (1 - g * g),
                        gh * squashed * o * (1 - o)};
    T* const ggate = x.ggates + row * 4 * H + unit;
#pragma unroll
    for (int k = 0; k < 4; ++k) ggate[k * H] = flow[k * step] = grads[k];
    later = gc * f;
    *carry = 0;
  }
};

}  // namespace

template <class T>
void lstm_forward(const Recurrent<T>& x) {
  recurrent_forward<Lstm>("lstm_forward", x);
}

template <class T>
void lstm_backward(const RecurrentGrad<T>& x) {
  recurrent_backward<Lstm>("lstm_backward", x);
}

EINKORN_INSTANTIATE(lstm_forward, Recurrent)
EINKORN_INSTANTIATE(lstm_backward, RecurrentGrad)

}  // namespace einkorn::cuda
