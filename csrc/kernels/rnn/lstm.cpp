// lstm: the cell of long short-term memory on the walk of rnn_steps.h.

#include "kernels/instantiate.h"
#include "kernels/rnn/lstm_cell.h"

namespace einkorn::EINKORN_ISA {

template <class T>
void lstm_forward(const Recurrent<T>& x) {
  recurrent_forward<Lstm>(x);
}
EINKORN_INSTANTIATE(lstm_forward, Recurrent)

template <class T>
void lstm_backward(const RecurrentGrad<T>& x) {
  recurrent_backward<Lstm>(x);
}
EINKORN_INSTANTIATE(lstm_backward, RecurrentGrad)

}  // namespace einkorn::EINKORN_ISA
