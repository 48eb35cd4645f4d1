// Arrays as kernels see them.
//
// Array is a borrowed view of a NumPy array (or, in the CUDA module, of a CuPy array): pointer, shape, strides in elements,
// element type. Public functions have checked shapes and values already (python/einkorn/ops); here only what would break memory
// safety or read the wrong type is refused.

#pragma once

#include <Python.h>
#include <stdlib.h>

#include <memory>

#include "kernels/layout.h"

namespace einkorn {

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

  bool contiguous() const;

  // The elements as T, in any layout; in row-major order without gaps; the same for outputs. None, where an argument
  // may be None, gives null.
  template <class T>
  const T* strided(const char* name) const {
    return static_cast<const T*>(elements(dtype_of<T>, name, false, false));
  }

  template <class T>
  const T* in(const char* name) const {
    return static_cast<const T*>(elements(dtype_of<T>, name, true, false));
  }

  template <class T>
  T* strided_out(const char* name) const {
    return static_cast<T*>(elements(dtype_of<T>, name, false, true));
  }

  template <class T>
  T* out(const char* name) const {
    return static_cast<T*>(elements(dtype_of<T>, name, true, true));
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
  // `data`, where the array is what is asked for; else what is wrong with the argument is thrown.
  void* elements(DType wanted, const char* name, bool without_gaps, bool to_write) const;
};

// A copy, from malloc, of memory that the CPU cannot read, for which the stream is waited for; null for what it reads where it is.
void* copy_to_host(const void* data, size_t bytes);

// An array's elements where the CPU can read them: what bindings look at before a launch. Kernels get the array itself.
template <class T>
class OnHost {
 public:
  OnHost(const T* data, int64_t count)
      : copy_(data == nullptr ? nullptr : static_cast<T*>(copy_to_host(data, static_cast<size_t>(count) * sizeof(T)))),
        data_(copy_ != nullptr ? copy_.get() : data) {}

  const T& operator[](int64_t i) const { return data_[i]; }
  const T* get() const { return data_; }

 private:
  struct Free {
    void operator()(T* p) const { free(p); }
  };
  std::unique_ptr<T, Free> copy_;
  const T* data_;
};

// Reads the fields of a NumPy array without a copy and without Python calls. False: not an array einkorn's kernels take.
bool view_array(PyObject* object, Array& array);

}  // namespace einkorn
