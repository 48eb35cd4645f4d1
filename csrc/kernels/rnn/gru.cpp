// gru: the gated recurrent unit on the walk of rnn_steps.h.

#include "kernels/instantiate.h"
#include "kernels/rnn/gru_cell.h"

namespace einkorn::EINKORN_ISA {

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
