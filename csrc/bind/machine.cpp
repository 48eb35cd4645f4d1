#include "kernels/machine.h"

#include "bind/array.h"

namespace einkorn::bind_machine {

EINKORN_BINDINGS(machine, m) {
  m.def(
      "fma_peak",
      [](const Array& out, int64_t iterations) {
        if (iterations < 0) throw py::value_error("fma_peak: iterations must not be negative");
        by_dtype(out, [&]<class T>() {
          run(&MachineKernels<T>::fma_peak, {out.out<T>("out"), out.size(), iterations, workspace()});
        });
      },
      "out"_a, "iterations"_a);

  m.def(
      "memory_stream",
      [](const Array& out, const Array& x) {
        if (out.size() != x.size()) throw py::value_error("memory_stream: out and x must have one size");
        by_dtype(out, [&]<class T>() {
          run(&MachineKernels<T>::memory_stream, {out.out<T>("out"), x.in<T>("x"), out.size(), workspace()});
        });
      },
      "out"_a, "x"_a);
}

}  // namespace einkorn::bind_machine
