#include "kernels/elementwise/math.h"

#include "bind/elementwise.h"

namespace einkorn::bind_math {

#define X(name, Args) EINKORN_NAMED(MathKernels, name)

EINKORN_BINDINGS(math, m) {
  bind_unary<MathKernels>(m, {EINKORN_MATH_UNARY_KERNELS(X)}, false);
  bind_binary<MathKernels>(m, {EINKORN_MATH_BINARY_KERNELS(X)});

  m.def(
      "compare",
      [](const Array& out, const Array& a, const Array& b, int kind) {
        const Layout<3> layout = merged_layout<3>({&out, &a, &b});
        by_dtype(a, [&]<class T>() {
          run(&MathKernels<T>::compare,
              {out.strided_out<uint8_t>("out"), a.strided<T>("a"), b.strided<T>("b"), layout, kind, workspace()});
        });
      },
      "out"_a, "a"_a, "b"_a, "kind"_a);

  m.def(
      "classify",
      [](const Array& out, const Array& x, int kind) {
        const Layout<2> layout = merged_layout<2>({&out, &x});
        by_dtype(x, [&]<class T>() {
          run(&MathKernels<T>::classify,
              {out.strided_out<uint8_t>("out"), x.strided<T>("x"), layout, kind, workspace()});
        });
      },
      "out"_a, "x"_a, "kind"_a);
}

#undef X

}  // namespace einkorn::bind_math
