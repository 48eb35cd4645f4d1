// einkorn._native: the kernels of csrc/kernels under the names of csrc/kernels/kernel_list.h.

#include "bind/array.h"

namespace einkorn {

#define EINKORN_BIND_FAMILIES(X) \
  X(runtime)                     \
  X(boost_loss)                  \
  X(dispatch)                    \
  X(machine)                     \
  X(conv)                        \
  X(copy)                        \
  X(elementwise)                 \
  X(haar)                        \
  X(matmul)                      \
  X(optimizer)                   \
  X(random)                      \
  X(reduce)                      \
  X(pool)                        \
  X(softmax)                     \
  X(stump)                       \
  X(loss)                        \
  X(histogram)                   \
  X(tree_predict)                \
  X(tree_shap)                   \
  X(tree_grow)                   \
  X(tree_forest)

#define X(family) void bind_##family(py::module_& m);
EINKORN_BIND_FAMILIES(X)
#undef X

}  // namespace einkorn

PYBIND11_MODULE(_native, m) {
  m.doc() = "einkorn's native engine: C++ kernels, compiled once per instruction set.";
#define X(family) einkorn::bind_##family(m);
  EINKORN_BIND_FAMILIES(X)
#undef X
}
