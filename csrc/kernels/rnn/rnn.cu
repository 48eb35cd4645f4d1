// rnn on the GPU: the plain recurrent cell, tanh or relu, on the walks of persistent_cuda.h and recurrent_cuda.h.

#include "kernels/instantiate.h"
#include "kernels/rnn/persistent_cuda.h"

namespace einkorn::cuda {

namespace {

struct Plain {
  static constexpr int kGates = 1;

  template <class T>
  __device__ static T forward(const Recurrent<T>& x, int64_t row, int64_t, int64_t unit, const T (&sums)[1], T) {
    const T a = sums[0] + x.gates[row * x.layer.units + unit];
    if (x.layer.relu) return a < 0 ? T{0} : a;
    return ::tanh(a);
  }

  template <class T>
  __device__ static void backward(const RecurrentGrad<T>& x, int64_t row, int64_t, int64_t, int64_t unit, T gh, T* flow,
                                  int64_t, T* carry) {
    const T h = x.out[row * x.layer.units + unit];
    const T ga = x.layer.relu ? (h > 0 ? gh : T{0}) : gh * (1 - h * h);
    x.ggates[row * x.layer.units + unit] = *flow = ga;
    *carry = 0;
  }
};

}  // namespace

template <class T>
void rnn_forward(const Recurrent<T>& x) {
  recurrent_forward<Plain>("rnn_forward", x);
}

template <class T>
void rnn_backward(const RecurrentGrad<T>& x) {
  recurrent_backward<Plain>("rnn_backward", x);
}

EINKORN_INSTANTIATE(rnn_forward, Recurrent)
EINKORN_INSTANTIATE(rnn_backward, RecurrentGrad)

}  // namespace einkorn::cuda
