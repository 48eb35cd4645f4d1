#include "kernels/elementwise/elementwise.h"

#include "bind/array.h"
#include "bind/quick.h"

namespace einkorn::bind_elementwise {

namespace {

template <class T>
void run_unary(void (*ElementwiseKernels<T>::*kernel)(const Unary<T>&), const Array& out, const Array& x,
               double alpha) {
  run(kernel,
      {out.strided_out<T>("out"), x.strided<T>("x"), merged_layout<2>({&out, &x}), static_cast<T>(alpha), workspace()});
}

template <class T>
void run_unary_grad(void (*ElementwiseKernels<T>::*kernel)(const UnaryGrad<T>&), const Array& gx, const Array& g,
                    const Array& s, double alpha) {
  if (g.size() != gx.size() || s.size() != gx.size()) throw py::value_error("gx, g and s must have one size");
  run(kernel, {gx.out<T>("gx"), g.in<T>("g"), s.in<T>("s"), gx.size(), static_cast<T>(alpha), workspace()});
}

template <class T>
void run_binary(void (*ElementwiseKernels<T>::*kernel)(const Binary<T>&), const Array& out, const Array& a,
                const Array& b) {
  run(kernel,
      {out.strided_out<T>("out"), a.strided<T>("a"), b.strided<T>("b"), merged_layout<3>({&out, &a, &b}), workspace()});
}

// The same kernels on the short cut.
void add_quick_kernels() {
#define X(name, Args)                                                                         \
  add_quick(#name, 1, numbers, false, []<class T>(const QuickCall& q, T) {                    \
    run_quick(q, &ElementwiseKernels<T>::name,                                                \
              {q.to<T>(), q.from<T>(0), q.line(), static_cast<T>(q.number[0]), workspace()}); \
  });
  int numbers = 0;
  EINKORN_PLAIN_UNARY_KERNELS(X)
  numbers = 1;
  EINKORN_ALPHA_UNARY_KERNELS(X)
#undef X

#define X(name, Args)                                                                                     \
  add_quick(#name, 2, numbers, false, []<class T>(const QuickCall& q, T) {                                \
    run_quick(q, &ElementwiseKernels<T>::name,                                                            \
              {q.to<T>(), q.from<T>(0), q.from<T>(1), q.size, static_cast<T>(q.number[0]), workspace()}); \
  });
  numbers = 0;
  EINKORN_PLAIN_UNARY_GRAD_KERNELS(X)
  numbers = 1;
  EINKORN_ALPHA_UNARY_GRAD_KERNELS(X)
#undef X

#define X(name, Args)                                                                                           \
  add_quick(#name, 2, 0, true, []<class T>(const QuickCall& q, T) {                                             \
    run_quick(q, &ElementwiseKernels<T>::name, {q.to<T>(), q.from<T>(0), q.from<T>(1), q.layout, workspace()}); \
  });
  EINKORN_BINARY_KERNELS(X)
#undef X
}

}  // namespace

EINKORN_BINDINGS(elementwise, m) {
  add_quick_kernels();
#define X(name, Args)                                                                               \
  m.def(                                                                                            \
      #name,                                                                                        \
      [](const Array& out, const Array& x) {                                                        \
        by_dtype(out, [&]<class T>() { run_unary<T>(&ElementwiseKernels<T>::name, out, x, 0.0); }); \
      },                                                                                            \
      "out"_a, "x"_a);
  EINKORN_PLAIN_UNARY_KERNELS(X)
#undef X

#define X(name, Args)                                                                                 \
  m.def(                                                                                              \
      #name,                                                                                          \
      [](const Array& out, const Array& x, double alpha) {                                            \
        by_dtype(out, [&]<class T>() { run_unary<T>(&ElementwiseKernels<T>::name, out, x, alpha); }); \
      },                                                                                              \
      "out"_a, "x"_a, "alpha"_a);
  EINKORN_ALPHA_UNARY_KERNELS(X)
#undef X

#define X(name, Args)                                                                                     \
  m.def(                                                                                                  \
      #name,                                                                                              \
      [](const Array& gx, const Array& g, const Array& s) {                                               \
        by_dtype(gx, [&]<class T>() { run_unary_grad<T>(&ElementwiseKernels<T>::name, gx, g, s, 0.0); }); \
      },                                                                                                  \
      "gx"_a, "g"_a, "s"_a);
  EINKORN_PLAIN_UNARY_GRAD_KERNELS(X)
#undef X

#define X(name, Args)                                                                                       \
  m.def(                                                                                                    \
      #name,                                                                                                \
      [](const Array& gx, const Array& g, const Array& s, double alpha) {                                   \
        by_dtype(gx, [&]<class T>() { run_unary_grad<T>(&ElementwiseKernels<T>::name, gx, g, s, alpha); }); \
      },                                                                                                    \
      "gx"_a, "g"_a, "s"_a, "alpha"_a);
  EINKORN_ALPHA_UNARY_GRAD_KERNELS(X)
#undef X

#define X(name, Args)                                                                              \
  m.def(                                                                                           \
      #name,                                                                                       \
      [](const Array& out, const Array& a, const Array& b) {                                       \
        by_dtype(out, [&]<class T>() { run_binary<T>(&ElementwiseKernels<T>::name, out, a, b); }); \
      },                                                                                           \
      "out"_a, "a"_a, "b"_a);
  EINKORN_BINARY_KERNELS(X)
#undef X

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

}  // namespace einkorn::bind_elementwise
