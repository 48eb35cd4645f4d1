#include "kernels/elementwise/math.h"

#include "bind/array.h"
#include "bind/quick.h"

namespace einkorn::bind_math {

namespace {

template <class T>
void run_unary(void (*MathKernels<T>::*kernel)(const Unary<T>&), const Array& out, const Array& x) {
  run(kernel, {out.strided_out<T>("out"), x.strided<T>("x"), merged_layout<2>({&out, &x}), T{}, workspace()});
}

template <class T>
void run_binary(void (*MathKernels<T>::*kernel)(const Binary<T>&), const Array& out, const Array& a, const Array& b) {
  run(kernel,
      {out.strided_out<T>("out"), a.strided<T>("a"), b.strided<T>("b"), merged_layout<3>({&out, &a, &b}), workspace()});
}

// The same kernels on the short cut.
void add_quick_kernels() {
#define X(name, Args)                                                                           \
  add_quick(#name, 1, 0, false, []<class T>(const QuickCall& q, T) {                            \
    run_quick(q, &MathKernels<T>::name, {q.to<T>(), q.from<T>(0), q.line(), T{}, workspace()}); \
  });
  EINKORN_MATH_UNARY_KERNELS(X)
#undef X

#define X(name, Args)                                                                                    \
  add_quick(#name, 2, 0, true, []<class T>(const QuickCall& q, T) {                                      \
    run_quick(q, &MathKernels<T>::name, {q.to<T>(), q.from<T>(0), q.from<T>(1), q.layout, workspace()}); \
  });
  EINKORN_MATH_BINARY_KERNELS(X)
#undef X
}

}  // namespace

EINKORN_BINDINGS(math, m) {
  add_quick_kernels();
#define X(name, Args)                                                                   \
  m.def(                                                                                \
      #name,                                                                            \
      [](const Array& out, const Array& x) {                                            \
        by_dtype(out, [&]<class T>() { run_unary<T>(&MathKernels<T>::name, out, x); }); \
      },                                                                                \
      "out"_a, "x"_a);
  EINKORN_MATH_UNARY_KERNELS(X)
#undef X

#define X(name, Args)                                                                       \
  m.def(                                                                                    \
      #name,                                                                                \
      [](const Array& out, const Array& a, const Array& b) {                                \
        by_dtype(out, [&]<class T>() { run_binary<T>(&MathKernels<T>::name, out, a, b); }); \
      },                                                                                    \
      "out"_a, "a"_a, "b"_a);
  EINKORN_MATH_BINARY_KERNELS(X)
#undef X

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

}  // namespace einkorn::bind_math
