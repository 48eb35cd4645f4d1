// Bindings of all elementwise kernels that take a Unary, a UnaryGrad or a Binary, whatever the family: by name and entry.

#pragma once

#include "bind/array.h"
#include "bind/quick.h"
#include "kernels/elementwise/elementwise.h"

namespace einkorn {

template <template <class> class Table, template <class> class Args>
struct Named {
  const char* name;
  Entry<Table, Args> entry;
};
#define EINKORN_NAMED(Table, name) {#name, EINKORN_ENTRY(Table, name)},

// name(out, x), or name(out, x, alpha)
template <template <class> class Table>
void bind_unary(const Module& m, std::initializer_list<Named<Table, Unary>> kernels, bool has_alpha) {
  for (const auto& [name, entry] : kernels) {
    const auto run_unary = [kernel = entry](const Array& out, const Array& x, double alpha) {
      by_dtype(out, [&]<class T>() {
        run(kernel.template of<T>(), {out.strided_out<T>("out"), x.strided<T>("x"), merged_layout<2>({&out, &x}),
                                      static_cast<T>(alpha), workspace()});
      });
    };
    if (has_alpha)
      m.def(name, run_unary, "out"_a, "x"_a, "alpha"_a);
    else
      m.def(name, [run_unary](const Array& out, const Array& x) { run_unary(out, x, 0); }, "out"_a, "x"_a);
    add_quick(name, 1, has_alpha, false, [kernel = entry]<class T>(const QuickCall& q) {
      run_quick(q, kernel.template of<T>(),
                {q.to<T>(), q.from<T>(0), q.line(), static_cast<T>(q.number[0]), workspace()});
    });
  }
}

// name(gx, g, s), or name(gx, g, s, alpha)
template <template <class> class Table>
void bind_unary_grad(const Module& m, std::initializer_list<Named<Table, UnaryGrad>> kernels, bool has_alpha) {
  for (const auto& [name, entry] : kernels) {
    const auto run_grad = [kernel = entry](const Array& gx, const Array& g, const Array& s, double alpha) {
      if (g.size() != gx.size() || s.size() != gx.size()) throw py::value_error("gx, g and s must have one size");
      by_dtype(gx, [&]<class T>() {
        run(kernel.template of<T>(),
            {gx.out<T>("gx"), g.in<T>("g"), s.in<T>("s"), gx.size(), static_cast<T>(alpha), workspace()});
      });
    };
    if (has_alpha)
      m.def(name, run_grad, "gx"_a, "g"_a, "s"_a, "alpha"_a);
    else
      m.def(
          name, [run_grad](const Array& gx, const Array& g, const Array& s) { run_grad(gx, g, s, 0); }, "gx"_a, "g"_a,
          "s"_a);
    add_quick(name, 2, has_alpha, false, [kernel = entry]<class T>(const QuickCall& q) {
      run_quick(q, kernel.template of<T>(),
                {q.to<T>(), q.from<T>(0), q.from<T>(1), q.size, static_cast<T>(q.number[0]), workspace()});
    });
  }
}

// name(out, a, b)
template <template <class> class Table>
void bind_binary(const Module& m, std::initializer_list<Named<Table, Binary>> kernels) {
  for (const auto& [name, entry] : kernels) {
    const auto run_binary = [kernel = entry](const Array& out, const Array& a, const Array& b) {
      by_dtype(out, [&]<class T>() {
        run(kernel.template of<T>(), {out.strided_out<T>("out"), a.strided<T>("a"), b.strided<T>("b"),
                                      merged_layout<3>({&out, &a, &b}), workspace()});
      });
    };
    m.def(name, run_binary, "out"_a, "a"_a, "b"_a);
    add_quick(name, 2, 0, true, [kernel = entry]<class T>(const QuickCall& q) {
      run_quick(q, kernel.template of<T>(), {q.to<T>(), q.from<T>(0), q.from<T>(1), q.layout, workspace()});
    });
  }
}

}  // namespace einkorn
