// What files of bindings are written with: arrays on their way from Python to an argument struct, and launches.

#pragma once

#include <string>

#include "bind/gil.h"
#include "bind/module.h"
#include "kernels/layout.h"
#include "runtime/carver.h"
#include "runtime/launch.h"
#include "runtime/memory.h"
#include "runtime/parallel.h"
#include "runtime/threads.h"

namespace einkorn {

// Calls fn.template operator()<T>() with the element type of `array`.
template <class Fn>
void by_dtype(const Array& array, const Fn& fn) {
  if (array.dtype == DType::float32)
    fn.template operator()<float>();
  else if (array.dtype == DType::float64)
    fn.template operator()<double>();
  else
    throw py::type_error("kernels take float32 or float64 arrays");
}

// The same of kernels that take bfloat16 too, as its bits.
template <class Fn>
void by_stored_dtype(const Array& array, const Fn& fn) {
  if (array.dtype == DType::uint16)
    fn.template operator()<uint16_t>();
  else
    by_dtype(array, fn);
}

// A kernel's entries in both tables of its family: what many kernels of one argument struct are bound by in one piece of code.
template <template <class> class Table, template <class> class Args>
struct Entry {
  void (*Table<float>::*f32)(const Args<float>&);
  void (*Table<double>::*f64)(const Args<double>&);

  template <class T>
  auto of() const {
    if constexpr (std::is_same_v<T, float>)
      return f32;
    else
      return f64;
  }
};
#define EINKORN_ENTRY(Table, name) (Entry{&Table<float>::name, &Table<double>::name})

// The common layout of arrays of one shape, the output first: size-1 dimensions dropped, dimensions merged where all operands
// step through them as through one.
template <int N>
[[gnu::noinline]] Layout<N> merged_layout(const Array* const (&arrays)[N]) {
  const Array& out = *arrays[0];
  for (const Array* a : arrays) {
    bool same = static_cast<bool>(*a) && a->ndim == out.ndim;  // None is no operand
    for (int d = 0; same && d < out.ndim; ++d) same = a->shape[d] == out.shape[d];
    if (!same) throw py::value_error("all arrays of an elementwise kernel must have one shape");
  }
  Layout<N> layout;
  layout.ndim = 0;
  for (int d = 0; d < out.ndim; ++d) {
    if (out.shape[d] == 1) continue;
    const int last = layout.ndim - 1;
    bool merges = last >= 0;
    for (int k = 0; merges && k < N; ++k)
      merges = layout.strides[k][last] == arrays[k]->strides[d] * arrays[k]->shape[d];
    if (merges) {
      layout.shape[last] *= out.shape[d];
      for (int k = 0; k < N; ++k) layout.strides[k][last] = arrays[k]->strides[d];
    } else {
      layout.shape[layout.ndim] = out.shape[d];
      for (int k = 0; k < N; ++k) layout.strides[k][layout.ndim] = arrays[k]->strides[d];
      ++layout.ndim;
    }
  }
  if (layout.ndim == 0) {  // a scalar
    layout.ndim = 1;
    layout.shape[0] = 1;
    for (int k = 0; k < N; ++k) layout.strides[k][0] = 1;
  }
  return layout;
}

inline Workspace workspace() {
  return Workspace{num_threads(), nullptr};
}

// Launches without the GIL. A kernel that a signal stopped leaves its outputs unfinished.
template <class Table, class Args>
void run(void (*Table::*kernel)(const Args&), const Args& args) {
  try {
    const WithoutGil without_gil;
    launch(kernel, args);
  } catch (const Interrupted&) {
    throw py::raised();
  }
}

// The same with scratch for the parts that the kernel takes from it: a Parts(carver, args) of its contract. A brief launch, done
// before the GIL has changed hands, keeps it.
template <class Parts, class Table, class Args>
void run_in_scratch(void (*Table::*kernel)(const Args&), Args args, bool brief = false) {
  const Scratch scratch(kGuardBytes + Carver::bytes_of<Parts>(args));
  args.ws.scratch = scratch.data() + kGuardBytes;
  const auto guard = [&](Carving doing) {
    if constexpr (kGuardBytes > 0) {
      guard_part(doing, scratch.data(), 0, kGuardBytes);
      Carver carver{args.ws.scratch, 0, doing};
      static_cast<void>(Parts(carver, args));
    }
  };
  guard(Carving::mark);
  if (brief)
    launch(kernel, args);
  else
    run(kernel, args);
  guard(Carving::verify);
}

}  // namespace einkorn
