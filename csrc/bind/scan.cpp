#include "kernels/scan.h"

#include <limits>

#include "bind/array.h"

namespace einkorn::bind_scan {

namespace {

void check(const Array& x, const Array& like) {
  if (x.ndim != 3 || like.size() != x.size()) throw py::value_error("x must be 3-d and all arrays of its size");
}

// name(out, x, reverse)
void bind_scan(const Module& m, const char* name, Entry<ScanKernels, Scan> kernel) {
  m.def(
      name,
      [kernel](const Array& out, const Array& x, bool reverse) {
        check(x, out);
        by_dtype(out, [&]<class T>() {
          run(kernel.of<T>(),
              {out.out<T>("out"), x.in<T>("x"), x.shape[0], x.shape[1], x.shape[2], reverse, workspace()});
        });
      },
      "out"_a, "x"_a, "reverse"_a);
}

}  // namespace

EINKORN_BINDINGS(scan, m) {
#define X(name) bind_scan(m, #name, EINKORN_ENTRY(ScanKernels, name));
  X(cumsum)
  X(cumprod)
  X(log_cumsum_exp)
#undef X

  m.def(
      "cumprod_grad",
      [](const Array& gx, const Array& g, const Array& x) {
        check(x, gx);
        check(x, g);
        by_dtype(gx, [&]<class T>() {
          run(&ScanKernels<T>::cumprod_grad,
              {gx.out<T>("gx"), g.in<T>("g"), x.in<T>("x"), x.shape[0], x.shape[1], x.shape[2], workspace()});
        });
      },
      "gx"_a, "g"_a, "x"_a);

  m.def(
      "cumulative_extreme",
      [](const Array& out, const Array& index, const Array& x, bool smallest) {
        check(x, out);
        check(x, index);
        by_dtype(out, [&]<class T>() {
          run(&ScanKernels<T>::cumulative_extreme, {out.out<T>("out"), index.out<int64_t>("index"), x.in<T>("x"),
                                                    x.shape[0], x.shape[1], x.shape[2], smallest, workspace()});
        });
      },
      "out"_a, "index"_a, "x"_a, "smallest"_a);

  m.def(
      "count_nonzero",
      [](const Array& out, const Array& x) {
        if (x.ndim != 3 || out.size() != x.shape[0] * x.shape[2])
          throw py::value_error("count_nonzero: x must be 3-d, out [outer, inner]");
        by_dtype(x, [&]<class T>() {
          run(&ScanKernels<T>::count_nonzero,
              {out.out<int64_t>("out"), x.in<T>("x"), x.shape[0], x.shape[1], x.shape[2], workspace()});
        });
      },
      "out"_a, "x"_a);

  m.def(
      "count_bins",
      [](const Array& out, const Array& x, double low, double high) {
        if (out.size() < 1) throw py::value_error("count_bins: out must have a bin at least");
        by_dtype(x, [&]<class T>() {
          const T width = static_cast<T>(high) - static_cast<T>(low);
          if (!(width > 0 && width <= std::numeric_limits<T>::max()))
            throw py::value_error("count_bins: high must be above low, by a finite number");
          run(&ScanKernels<T>::count_bins, {out.out<int64_t>("out"), x.in<T>("x"), x.size(), out.size(),
                                            static_cast<T>(low), static_cast<T>(high), workspace()});
        });
      },
      "out"_a, "x"_a, "low"_a, "high"_a);

  m.def(
      "weigh_values",
      [](const Array& out, const Array& index, const Array& weights) {
        if (index.size() != weights.size()) throw py::value_error("index and weights must have one size");
        by_dtype(out, [&]<class T>() {
          run(&ScanKernels<T>::weigh_values, {out.out<T>("out"), index.in<int64_t>("index"), weights.in<T>("weights"),
                                              index.size(), out.size(), workspace()});
        });
      },
      "out"_a, "index"_a, "weights"_a);

  m.def(
      "count_values",
      [](const Array& out, const Array& index) {
        run(&ScanIndexKernels::count_values,
            {out.out<int64_t>("out"), index.in<int64_t>("index"), index.size(), out.size(), workspace()});
      },
      "out"_a, "index"_a);
}

}  // namespace einkorn::bind_scan
