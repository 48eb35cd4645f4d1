// gru on the GPU: the gated recurrent unit on the walks of persistent_cuda.h and recurrent_cuda.h.

#include "kernels/instantiate.h"
#include "kernels/rnn/persistent_cuda.h"

namespace einkorn::cuda {

namespace {

struct Gru {
  static constexpr int kGates = 3;

  template <class T>
  __device__ static T forward(const Recurrent<T>& x, int64_t row, int64_t, int64_t unit, const T (&sums)[3], T former) {
    const int64_t H = x.layer.units;
    T* const gate = x.gates + row * 3 * H + unit;
    const T r = logistic(sums[0] + gate[0]), z = logistic(sums[1] + gate[H]);
    const T q = x.layer.bias_n != nullptr ? sums[2] + x.layer.bias_n[unit] : sums[2];
    const T n = ::tanh(r * q + gate[2 * H]);
    if (x.cells != nullptr) {
      gate[0] = r, gate[H] = z, gate[2 * H] = n;
      x.cells[row * H + unit] = q;
    }
    return (1 - z) * n + z * former;
  }

  template <class T>
  __device__ static void backward(const RecurrentGrad<T>& x, int64_t row, int64_t before, int64_t sequence,
                                  int64_t unit, T gh, T* flow, int64_t step, T* carry) {
    const int64_t H = x.layer.units;
    const T* const gate = x.gates + row * 3 * H + unit;
    const T r = gate[0], z = gate[H], n = gate[2 * H], q = x.cells[row * H + unit];
    const T former = before >= 0             ? x.out[before * H + unit]
                     : x.layer.h0 != nullptr ? x.layer.h0[sequence * H + unit]
                                             : T{0};
    const T gn = gh * (1 - z) * (1 - n * n), gq = gn * r, gr = gn * q * r * (1 - r);
    const T gz = gh * (former - n) * z * (1 - z);
    T* const ggate = x.ggates + row * 3 * H + unit;
    ggate[0] = gr, ggate[H] = gz, ggate[2 * H] = gn;
    x.gcells[row * H + unit] = gq;
    flow[0] = gr, flow[step] = gz, flow[2 * step] = gq;
    *carry = gh * z;
  }
};

}  // namespace

template <class T>
void gru_forward(const Recurrent<T>& x) {
  recurrent_forward<Gru>("gru_forward", x);
}

template <class T>
void gru_backward(const RecurrentGrad<T>& x) {
  recurrent_backward<Gru>("gru_backward", x);
}

EINKORN_INSTANTIATE(gru_forward, Recurrent)
EINKORN_INSTANTIATE(gru_backward, RecurrentGrad)

}  // namespace einkorn::cuda
