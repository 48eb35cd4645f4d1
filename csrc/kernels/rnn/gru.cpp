// gru: the gated recurrent unit on the walk of rnn_steps.h.

#include "kernels/instantiate.h"
#include "kernels/rnn/rnn_steps.h"

namespace einkorn::EINKORN_ISA {

namespace {

struct Gru {
  static constexpr int kGates = 3, kUnitVectors = 1;

  template <class T>
  EINKORN_INLINE static Vec<T> forward(const Recurrent<T>& x, const Place& at, const T* sum, int64_t gate_step,
                                       const T* former) {
    const int64_t H = x.layer.units;
    T* const gate = x.gates + at.row * 3 * H + at.unit;
    const auto input = [&](int k) __attribute__((always_inline)) { return load_n(gate + k * H, at.live); };
    const Vec<T> r = sigmoid(load(sum) + input(0)), z = sigmoid(load(sum + gate_step) + input(1));
    Vec<T> q = load(sum + 2 * gate_step);
    if (x.layer.bias_n != nullptr) q += load_n(x.layer.bias_n + at.unit, at.live);
    const Vec<T> n = tanh(r * q + input(2));
    if (x.cells != nullptr) {
      store_n(gate, at.live, r);
      store_n(gate + H, at.live, z);
      store_n(gate + 2 * H, at.live, n);
      store_n(x.cells + at.row * H + at.unit, at.live, q);
    }
    return (1 - z) * n + z * load_n(former, at.live);
  }

  template <class T>
  EINKORN_INLINE static void backward(const RecurrentGrad<T>& x, const Place& at, Vec<T> gh, T* flow, T* carry) {
    const int64_t H = x.layer.units;
    const T* const gate = x.gates + at.row * 3 * H + at.unit;
    const Vec<T> r = load_n(gate, at.live), z = load_n(gate + H, at.live), n = load_n(gate + 2 * H, at.live),
                 q = load_n(x.cells + at.row * H + at.unit, at.live);
    Vec<T> former = {};
    if (at.before >= 0)
      former = load_n(x.out + at.before * H + at.unit, at.live);
    else if (x.layer.h0 != nullptr)
      former = load_n(x.layer.h0 + at.sequence * H + at.unit, at.live);
    const Vec<T> gn = gh * (1 - z) * (1 - n * n), gq = gn * r, gr = gn * q * r * (1 - r),
                 gz = gh * (former - n) * z * (1 - z);
    T* const ggate = x.ggates + at.row * 3 * H + at.unit;
    store_n(ggate, at.live, gr);
    store_n(ggate + H, at.live, gz);
    store_n(ggate + 2 * H, at.live, gn);
    store_n(x.gcells + at.row * H + at.unit, at.live, gq);
    store_n(flow, at.live, gr);
    store_n(flow + H, at.live, gz);
    store_n(flow + 2 * H, at.live, gq);
    store_n(carry, at.live, gh * z);
  }

  template <class T>
  static void reads(Lines& lines, const RecurrentGrad<T>& x, const Place& at) {
    lines.add(x.cells + at.row * x.layer.units + at.unit, at.live);
    if (at.before >= 0) lines.add(x.out + at.before * x.layer.units + at.unit, at.live);
  }

  template <class T>
  static void writes(Lines& lines, const RecurrentGrad<T>& x, const Place& at) {
    lines.add(x.gcells + at.row * x.layer.units + at.unit, at.live);
  }
};

}  // namespace

template <class T>
void gru_forward(const Recurrent<T>& x) {
  recurrent_forward<Gru>(x);
}
EINKORN_INSTANTIATE(gru_forward, Recurrent)

template <class T>
void gru_backward(const RecurrentGrad<T>& x) {
  recurrent_backward<Gru>(x);
}
EINKORN_INSTANTIATE(gru_backward, RecurrentGrad)

}  // namespace einkorn::EINKORN_ISA
