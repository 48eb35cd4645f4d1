#include "bind/elementwise.h"

namespace einkorn::bind_elementwise {

#define X(name, Args) EINKORN_NAMED(ElementwiseKernels, name)

EINKORN_BINDINGS(elementwise, m) {
  bind_unary<ElementwiseKernels>(m, {EINKORN_PLAIN_UNARY_KERNELS(X)}, false);
  bind_unary<ElementwiseKernels>(m, {EINKORN_ALPHA_UNARY_KERNELS(X)}, true);
  bind_unary_grad<ElementwiseKernels>(m, {EINKORN_PLAIN_UNARY_GRAD_KERNELS(X)}, false);
  bind_unary_grad<ElementwiseKernels>(m, {EINKORN_ALPHA_UNARY_GRAD_KERNELS(X)}, true);
  bind_binary<ElementwiseKernels>(m, {EINKORN_BINARY_KERNELS(X)});

  m.def(
      "where",
      [](const Array& out, const Array& condition, const Array& a, const Array& b) {
        const Layout<4> layout = merged_layout<4>({&out, &condition, &a, &b});
        by_dtype(out, [&]<class T>() {
          run(&ElementwiseKernels<T>::where, {out.strided_out<T>("out"), condition.strided<T>("condition"),
                                              a.strided<T>("a"), b.strided<T>("b"), layout, workspace()});
        });
      },
      "out"_a, "condition"_a, "a"_a, "b"_a);

  m.def(
      "clip",
      [](const Array& out, const Array& x, double low, double high) {
        const Layout<2> layout = merged_layout<2>({&out, &x});
        by_dtype(out, [&]<class T>() {
          run(&ElementwiseKernels<T>::clip, {out.strided_out<T>("out"), x.strided<T>("x"), layout, static_cast<T>(low),
                                             static_cast<T>(high), workspace()});
        });
      },
      "out"_a, "x"_a, "low"_a, "high"_a);
}

#undef X

}  // namespace einkorn::bind_elementwise
