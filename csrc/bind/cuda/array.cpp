// Array views of GPU arrays: whatever has __cuda_array_interface__ (CuPy, Numba, PyTorch), version 2 or later.
//
// https://numba.readthedocs.io/en/stable/cuda/cuda_array_interface.html. Its `stream` entry is not looked at: work goes to the
// stream that set_stream() named, which is the one the caller's array library is using.

#include <cuda_runtime_api.h>
#include <pybind11/pybind11.h>

#include <new>

#include "bind/view.h"
#include "kernels/cuda_launch.h"

namespace einkorn {

namespace {

struct ElementType {
  const char* typestr;
  DType dtype;
  int64_t size;
};

constexpr ElementType kElementTypes[] = {
    {"<f4", DType::float32, 4}, {"<f8", DType::float64, 8}, {"|i1", DType::int8, 1},   {"<i4", DType::int32, 4},
    {"<i8", DType::int64, 8},   {"|u1", DType::uint8, 1},   {"<u2", DType::uint16, 2}, {"<u4", DType::uint32, 4}};

const ElementType* find_element_type(const pybind11::object& typestr) {
  if (!pybind11::isinstance<pybind11::str>(typestr)) return nullptr;
  for (const ElementType& type : kElementTypes)
    if (PyUnicode_CompareWithASCIIString(typestr.ptr(), type.typestr) == 0) return &type;
  return nullptr;
}

bool read_interface(const pybind11::dict& interface, Array& array) {
  if (interface["version"].cast<int>() < 2) return false;
  if (interface.contains("mask") && !interface["mask"].is_none()) return false;
  const ElementType* type = find_element_type(interface["typestr"]);
  if (type == nullptr) return false;
  const pybind11::tuple shape = interface["shape"];
  if (shape.size() > kMaxDims) return false;
  const pybind11::tuple data = interface["data"];
  const uintptr_t address = data[0].cast<uintptr_t>();
  if (address % static_cast<uintptr_t>(type->size) != 0) return false;

  array.data = reinterpret_cast<void*>(address);
  array.ndim = static_cast<int>(shape.size());
  array.dtype = type->dtype;
  array.writeable = !data[1].cast<bool>();
  int64_t step = 1;
  for (int d = array.ndim - 1; d >= 0; --d) {
    array.shape[d] = shape[static_cast<size_t>(d)].cast<int64_t>();
    array.strides[d] = step;
    step *= array.shape[d];
  }
  if (!interface.contains("strides") || interface["strides"].is_none()) return true;
  const pybind11::tuple strides = interface["strides"];
  if (strides.size() != shape.size()) return false;
  for (int d = 0; d < array.ndim; ++d) {
    const int64_t bytes = strides[static_cast<size_t>(d)].cast<int64_t>();
    if (bytes % type->size != 0) return false;
    array.strides[d] = bytes / type->size;
  }
  return true;
}

}  // namespace

void* copy_to_host(const void* data, size_t bytes) {
  void* const copy = malloc(bytes > 0 ? bytes : 1);
  if (copy == nullptr) throw std::bad_alloc();
  cudaError_t error = cudaMemcpyAsync(copy, data, bytes, cudaMemcpyDeviceToHost, current_stream());
  if (error == cudaSuccess) error = cudaStreamSynchronize(current_stream());
  if (error != cudaSuccess) free(copy);
  cuda::check(error, "reading an argument");
  return copy;
}

bool view_array(PyObject* object, Array& array) {
  static PyObject* const name = PyUnicode_InternFromString("__cuda_array_interface__");
  PyObject* interface = PyObject_GetAttr(object, name);
  if (interface == nullptr) {
    PyErr_Clear();
    return false;
  }
  const pybind11::object owned = pybind11::reinterpret_steal<pybind11::object>(interface);
  try {
    return read_interface(pybind11::dict(owned), array);
  } catch (const pybind11::builtin_exception&) {  // a malformed interface
    return false;
  } catch (pybind11::error_already_set&) {
    return false;
  }
}

}  // namespace einkorn
