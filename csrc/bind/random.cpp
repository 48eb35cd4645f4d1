#include "kernels/random.h"

#include "bind/array.h"

namespace einkorn::bind_random {

EINKORN_BINDINGS(random, m) {
  m.def(
      "uniform",
      [](const Array& out, uint64_t seed, uint64_t offset, double low, double high) {
        by_dtype(out, [&]<class T>() {
          run(&RandomKernels<T>::uniform,
              {out.out<T>("out"), out.size(), seed, offset, static_cast<T>(low), static_cast<T>(high), workspace()});
        });
      },
      "out"_a, "seed"_a, "offset"_a, "low"_a, "high"_a);

  m.def(
      "normal",
      [](const Array& out, uint64_t seed, uint64_t offset, double mean, double std) {
        by_dtype(out, [&]<class T>() {
          run(&RandomKernels<T>::normal,
              {out.out<T>("out"), out.size(), seed, offset, static_cast<T>(mean), static_cast<T>(std), workspace()});
        });
      },
      "out"_a, "seed"_a, "offset"_a, "mean"_a, "std"_a);

  m.def(
      "dropout",
      [](const Array& out, const Array& x, uint64_t seed, uint64_t offset, double p) {
        if (!x || x.size() != out.size()) throw py::value_error("out and x must have one size");
        if (!(p >= 0 && p <= 1)) throw py::value_error("p must be a probability");
        by_dtype(out, [&]<class T>() {
          run(&RandomKernels<T>::dropout, {out.out<T>("out"), x.in<T>("x"), out.size(), seed, offset, p, workspace()});
        });
      },
      "out"_a, "x"_a, "seed"_a, "offset"_a, "p"_a);

  m.def(
      "permutation",
      [](const Array& out, uint64_t seed, uint64_t offset) {
        if (out.size() > int64_t{1} << 32) throw py::value_error("a permutation has at most 2^32 elements");
        run(&RandomIndexKernels::permutation, {out.out<int64_t>("out"), out.size(), seed, offset, workspace()});
      },
      "out"_a, "seed"_a, "offset"_a);
}

}  // namespace einkorn::bind_random
