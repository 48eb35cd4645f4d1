#include <pybind11/numpy.h>

#include "bind/view.h"

namespace einkorn {

namespace {

DType dtype_from_numpy(const pybind11::detail::PyArrayDescr_Proxy* descr) {
  const bool native = descr->byteorder == '=' || descr->byteorder == '|';
  if (!native) return DType::none;
  using Api = pybind11::detail::npy_api;
  switch (descr->type_num) {
    case Api::NPY_FLOAT_:
      return DType::float32;
    case Api::NPY_DOUBLE_:
      return DType::float64;
    case Api::NPY_BYTE_:
      return DType::int8;
    case Api::NPY_INT_:
      return DType::int32;
    case Api::NPY_LONG_:
      return sizeof(long) == 8 ? DType::int64 : DType::int32;
    case Api::NPY_LONGLONG_:
      return DType::int64;
    case Api::NPY_UBYTE_:
      return DType::uint8;
    case Api::NPY_USHORT_:
      return DType::uint16;
    case Api::NPY_UINT_:
      return DType::uint32;
    default:
      return DType::none;
  }
}

constexpr int64_t item_size(DType dtype) {
  switch (dtype) {
    case DType::int8:
    case DType::uint8:
      return 1;
    case DType::uint16:
      return 2;
    case DType::float32:
    case DType::int32:
    case DType::uint32:
      return 4;
    default:
      return 8;
  }
}

}  // namespace

// NumPy's memory is the CPU's.
void* copy_to_host(const void*, size_t) {
  return nullptr;
}

bool view_array(PyObject* object, Array& array) {
  if (!pybind11::isinstance<pybind11::array>(object)) return false;
  const auto* proxy = pybind11::detail::array_proxy(object);
  const auto* descr = pybind11::detail::array_descriptor_proxy(proxy->descr);
  const DType dtype = dtype_from_numpy(descr);
  if (dtype == DType::none || proxy->nd > kMaxDims) return false;
  const int64_t itemsize = item_size(dtype);
  array.data = proxy->data;
  array.ndim = proxy->nd;
  array.dtype = dtype;
  array.writeable = (proxy->flags & pybind11::detail::npy_api::NPY_ARRAY_WRITEABLE_) != 0;
  if ((proxy->flags & pybind11::detail::npy_api::NPY_ARRAY_ALIGNED_) == 0) return false;
  for (int d = 0; d < proxy->nd; ++d) {
    array.shape[d] = proxy->dimensions[d];
    if (proxy->strides[d] % itemsize != 0) return false;
    array.strides[d] = proxy->strides[d] / itemsize;
  }
  return true;
}

}  // namespace einkorn
