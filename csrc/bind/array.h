// Arrays on their way from Python to an argument struct.
//
// Array is a borrowed view of a NumPy array (or, in the CUDA module, of a CuPy array): pointer, shape, strides in elements,
// element type. Public functions have checked shapes and values already (python/einkorn/ops); here only what would break memory
// safety or read the wrong type is refused.

#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

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

namespace py = pybind11;

// "x"_a names an argument that is not None; "x"_a.none(true) one that may be.
inline py::arg operator""_a(const char* name, size_t) {
  return py::arg(name).none(false);
}

enum class DType : uint8_t { none, float32, float64, int8, int32, int64, uint8, uint16, uint32 };

template <class T>
constexpr DType dtype_of = DType::none;
template <>
inline constexpr DType dtype_of<float> = DType::float32;
template <>
inline constexpr DType dtype_of<double> = DType::float64;
template <>
inline constexpr DType dtype_of<int8_t> = DType::int8;
template <>
inline constexpr DType dtype_of<int32_t> = DType::int32;
template <>
inline constexpr DType dtype_of<int64_t> = DType::int64;
template <>
inline constexpr DType dtype_of<uint8_t> = DType::uint8;
template <>
inline constexpr DType dtype_of<uint16_t> = DType::uint16;
template <>
inline constexpr DType dtype_of<uint32_t> = DType::uint32;

struct Array {
  void* data = nullptr;  // null: None was passed
  int ndim = 0;
  DType dtype = DType::none;
  bool writeable = false;
  int64_t shape[kMaxDims];
  int64_t strides[kMaxDims];

  explicit operator bool() const { return dtype != DType::none; }

  int64_t size() const {
    int64_t n = 1;
    for (int d = 0; d < ndim; ++d) n *= shape[d];
    return n;
  }

  bool contiguous() const {
    int64_t step = 1;
    for (int d = ndim - 1; d >= 0; --d) {
      if (shape[d] != 1 && strides[d] != step) return size() == 0;
      step *= shape[d];
    }
    return true;
  }

  // The elements as T, in any layout; in row-major order without gaps; the same for outputs. None, where an argument
  // may be None, gives null.
  template <class T>
  const T* strided(const char* name) const {
    if (*this && dtype != dtype_of<T>)
      throw py::type_error(std::string("argument '") + name + "' has another dtype than this call's kernel expects");
    return static_cast<const T*>(data);
  }

  template <class T>
  const T* in(const char* name) const {
    const T* p = strided<T>(name);
    if (!contiguous()) throw py::value_error(std::string("argument '") + name + "' must be C-contiguous");
    return p;
  }

  template <class T>
  T* strided_out(const char* name) const {
    return const_cast<T*>(require_writeable(strided<T>(name), name));
  }

  template <class T>
  T* out(const char* name) const {
    return const_cast<T*>(require_writeable(in<T>(name), name));
  }

  // The same, and null for None.
  template <class T>
  const T* optional_in(const char* name) const {
    return *this ? in<T>(name) : nullptr;
  }

  template <class T>
  const T* optional_strided(const char* name) const {
    return *this ? strided<T>(name) : nullptr;
  }

  template <class T>
  T* optional_out(const char* name) const {
    return *this ? out<T>(name) : nullptr;
  }

 private:
  template <class T>
  T* require_writeable(T* p, const char* name) const {
    if (*this && !writeable) throw py::value_error(std::string("argument '") + name + "' is read-only");
    return p;
  }
};

// Reads the fields of a NumPy array without a copy and without Python calls. False: not an array einkorn's kernels take.
bool view_array(PyObject* object, Array& array);

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

// The common layout of arrays of one shape, the output first: size-1 dimensions dropped, dimensions merged where all operands
// step through them as through one.
template <int N>
Layout<N> merged_layout(const Array* const (&arrays)[N]) {
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

// Launches without the GIL.
template <class Table, class Args>
void run(void (*Table::*kernel)(const Args&), const Args& args) {
  const WithoutGil without_gil;
  launch(kernel, args);
}

// The same with scratch for the parts that the kernel takes from it: a Parts(carver, args) of its contract.
template <class Parts, class Table, class Args>
void run_in_scratch(void (*Table::*kernel)(const Args&), Args args) {
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
  run(kernel, args);
  guard(Carving::verify);
}

}  // namespace einkorn

namespace pybind11::detail {

template <>
struct type_caster<einkorn::Array> {
  PYBIND11_TYPE_CASTER(einkorn::Array, const_name("numpy.ndarray | None"));

  bool load(handle source, bool) {
    if (source.is_none()) return true;
    return einkorn::view_array(source.ptr(), value);
  }
};

}  // namespace pybind11::detail
