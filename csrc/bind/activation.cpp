#include "kernels/elementwise/activation.h"

#include "bind/array.h"
#include "bind/quick.h"

namespace einkorn::bind_activation {

namespace {

template <class T>
void run_forward(void (*ActivationKernels<T>::*kernel)(const Activate<T>&), const Array& out, const Array& x,
                 double alpha, double beta) {
  run(kernel, {out.strided_out<T>("out"), x.strided<T>("x"), merged_layout<2>({&out, &x}), static_cast<T>(alpha),
               static_cast<T>(beta), workspace()});
}

template <class T>
void run_grad(void (*ActivationKernels<T>::*kernel)(const ActivateGrad<T>&), const Array& gx, const Array& g,
              const Array& x, double alpha, double beta) {
  if (g.size() != gx.size() || x.size() != gx.size()) throw py::value_error("gx, g and x must have one size");
  run(kernel, {gx.out<T>("gx"), g.in<T>("g"), x.in<T>("x"), gx.size(), static_cast<T>(alpha), static_cast<T>(beta),
               workspace()});
}

// The same kernels on the short cut.
void add_quick_kernels() {
#define X(name, Args)                                                                                                \
  add_quick(#name, 1, 2, false, []<class T>(const QuickCall& q, T) {                                                 \
    run_quick(                                                                                                       \
        q, &ActivationKernels<T>::name,                                                                              \
        {q.to<T>(), q.from<T>(0), q.line(), static_cast<T>(q.number[0]), static_cast<T>(q.number[1]), workspace()}); \
  });
  EINKORN_ACTIVATION_FORWARD_KERNELS(X)
#undef X

#define X(name, Args)                                                                      \
  add_quick(#name, 2, 2, false, []<class T>(const QuickCall& q, T) {                       \
    run_quick(q, &ActivationKernels<T>::name,                                              \
              {q.to<T>(), q.from<T>(0), q.from<T>(1), q.size, static_cast<T>(q.number[0]), \
               static_cast<T>(q.number[1]), workspace()});                                 \
  });
  EINKORN_ACTIVATION_GRAD_KERNELS(X)
#undef X
}

}  // namespace

EINKORN_BINDINGS(activation, m) {
  add_quick_kernels();
#define X(name, Args)                                                                                        \
  m.def(                                                                                                     \
      #name,                                                                                                 \
      [](const Array& out, const Array& x, double alpha, double beta) {                                      \
        by_dtype(out, [&]<class T>() { run_forward<T>(&ActivationKernels<T>::name, out, x, alpha, beta); }); \
      },                                                                                                     \
      "out"_a, "x"_a, "alpha"_a, "beta"_a);
  EINKORN_ACTIVATION_FORWARD_KERNELS(X)
#undef X

#define X(name, Args)                                                                                      \
  m.def(                                                                                                   \
      #name,                                                                                               \
      [](const Array& gx, const Array& g, const Array& x, double alpha, double beta) {                     \
        by_dtype(gx, [&]<class T>() { run_grad<T>(&ActivationKernels<T>::name, gx, g, x, alpha, beta); }); \
      },                                                                                                   \
      "gx"_a, "g"_a, "x"_a, "alpha"_a, "beta"_a);
  EINKORN_ACTIVATION_GRAD_KERNELS(X)
#undef X
}

}  // namespace einkorn::bind_activation
