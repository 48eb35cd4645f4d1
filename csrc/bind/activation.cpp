#include "kernels/elementwise/activation.h"

#include "bind/array.h"
#include "bind/quick.h"

namespace einkorn::bind_activation {

namespace {

// name(out, x, alpha, beta)
void bind_forward(const Module& m, const char* name, Entry<ActivationKernels, Activate> kernel) {
  m.def(
      name,
      [kernel](const Array& out, const Array& x, double alpha, double beta) {
        by_dtype(out, [&]<class T>() {
          run(kernel.of<T>(), {out.strided_out<T>("out"), x.strided<T>("x"), merged_layout<2>({&out, &x}),
                               static_cast<T>(alpha), static_cast<T>(beta), workspace()});
        });
      },
      "out"_a, "x"_a, "alpha"_a, "beta"_a);
  add_quick(name, 1, 2, false, [kernel]<class T>(const QuickCall& q) {
    run_quick(
        q, kernel.of<T>(),
        {q.to<T>(), q.from<T>(0), q.line(), static_cast<T>(q.number[0]), static_cast<T>(q.number[1]), workspace()});
  });
}

// name(gx, g, x, alpha, beta)
void bind_grad(const Module& m, const char* name, Entry<ActivationKernels, ActivateGrad> kernel) {
  m.def(
      name,
      [kernel](const Array& gx, const Array& g, const Array& x, double alpha, double beta) {
        if (g.size() != gx.size() || x.size() != gx.size()) throw py::value_error("gx, g and x must have one size");
        by_dtype(gx, [&]<class T>() {
          run(kernel.of<T>(), {gx.out<T>("gx"), g.in<T>("g"), x.in<T>("x"), gx.size(), static_cast<T>(alpha),
                               static_cast<T>(beta), workspace()});
        });
      },
      "gx"_a, "g"_a, "x"_a, "alpha"_a, "beta"_a);
  add_quick(name, 2, 2, false, [kernel]<class T>(const QuickCall& q) {
    run_quick(q, kernel.of<T>(),
              {q.to<T>(), q.from<T>(0), q.from<T>(1), q.size, static_cast<T>(q.number[0]), static_cast<T>(q.number[1]),
               workspace()});
  });
}

}  // namespace

EINKORN_BINDINGS(activation, m) {
#define X(name, Args) bind_forward(m, #name, EINKORN_ENTRY(ActivationKernels, name));
  EINKORN_ACTIVATION_FORWARD_KERNELS(X)
#undef X
#define X(name, Args) bind_grad(m, #name, EINKORN_ENTRY(ActivationKernels, name));
  EINKORN_ACTIVATION_GRAD_KERNELS(X)
#undef X
}

}  // namespace einkorn::bind_activation
