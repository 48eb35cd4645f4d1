#include "bind/quick.h"

#include <cmath>
#include <new>

#include "bind/fresh_array.h"

namespace einkorn::bind_quick {

namespace {

using NumpyApi = py::detail::npy_api;

PyObject* kernel_places = nullptr;  // name -> address in quick_kernels()
PyTypeObject* array_type = nullptr;
PyObject* float32_descriptor = nullptr;
PyObject* float64_descriptor = nullptr;

// An array that needs no second look; false for any other object.
bool view_plain(PyObject* object, Array& array) {
  if (Py_TYPE(object) != array_type) return false;
  const auto* proxy = py::detail::array_proxy(object);
  constexpr int needed = NumpyApi::NPY_ARRAY_C_CONTIGUOUS_ | NumpyApi::NPY_ARRAY_ALIGNED_;
  if ((proxy->flags & needed) != needed || proxy->nd > kMaxDims) return false;
  if (proxy->descr == float32_descriptor)
    array.dtype = DType::float32;
  else if (proxy->descr == float64_descriptor)
    array.dtype = DType::float64;
  else
    return false;
  array.data = proxy->data;
  array.ndim = proxy->nd;
  int64_t step = 1;
  for (int d = array.ndim - 1; d >= 0; --d) {
    array.shape[d] = proxy->dimensions[d];
    array.strides[d] = step;
    step *= array.shape[d];
  }
  return step > 0;
}

// A number beside an array: only where it becomes one of the array's type without a warning.
struct Number {
  float single;
  double value;

  bool take(PyObject* object, DType dtype) {
    if (PyFloat_CheckExact(object))
      value = PyFloat_AS_DOUBLE(object);
    else if (!PyLong_CheckExact(object))
      return false;
    else if (value = PyLong_AsDouble(object); value == -1 && PyErr_Occurred()) {
      PyErr_Clear();
      return false;
    }
    single = static_cast<float>(value);
    return dtype == DType::float64 || !std::isinf(single) || std::isinf(value);
  }
  const void* data(DType dtype) const { return dtype == DType::float32 ? static_cast<const void*>(&single) : &value; }
};

// `array` as one of the shape of `out`, by steps of 0; false where it does not broadcast.
bool spread(const Array& array, const Array& out, Array& wide) {
  wide = array;
  wide.ndim = out.ndim;
  const int missing = out.ndim - array.ndim;
  for (int d = out.ndim - 1; d >= 0; --d) {
    const int64_t size = d < missing ? 1 : array.shape[d - missing];
    if (size != 1 && size != out.shape[d]) return false;
    wide.shape[d] = out.shape[d];
    wide.strides[d] = size == 1 ? 0 : array.strides[d - missing];
  }
  return true;
}

// The operands of a two-operand kernel; `out` gets the shape of the result. False: not for the short cut.
struct Operands {
  Array array[2], out;
  Number number;
  int64_t size = 0;

  bool take(PyObject* const* objects, const QuickKernel& kernel, QuickCall& call) {
    const bool left = view_plain(objects[0], array[0]), right = kernel.inputs > 1 && view_plain(objects[1], array[1]);
    if (!left && !right) return false;
    out = array[left ? 0 : 1];
    call.dtype = out.dtype;
    size = out.size();
    for (int i = 0; i < 2; ++i) call.in[i] = array[i].data;
    if (kernel.inputs == 1) return true;
    if (left && right) {
      if (array[0].dtype != array[1].dtype) return false;
      bool same = array[0].ndim == array[1].ndim;
      for (int d = 0; same && d < out.ndim; ++d) same = array[0].shape[d] == array[1].shape[d];
      if (same) {
        line(call, 1, 1);
        return true;
      }
      return kernel.broadcasts && take_broadcast(call);
    }
    if (!kernel.broadcasts || !number.take(objects[left ? 1 : 0], out.dtype)) return false;
    call.in[left ? 1 : 0] = number.data(out.dtype);
    line(call, left, right);
    return true;
  }

 private:
  void line(QuickCall& call, int64_t left_step, int64_t right_step) const {
    call.layout.ndim = 1;
    call.layout.shape[0] = size;
    call.layout.strides[0][0] = 1;
    call.layout.strides[1][0] = left_step;
    call.layout.strides[2][0] = right_step;
  }

  bool take_broadcast(QuickCall& call) {
    const int ndim = array[0].ndim > array[1].ndim ? array[0].ndim : array[1].ndim;
    out.ndim = ndim;
    size = 1;
    for (int d = ndim - 1; d >= 0; --d) {
      int64_t n = 1;
      for (const Array& a : array)
        if (const int at = d - (ndim - a.ndim); at >= 0 && a.shape[at] != 1) n = a.shape[at];
      out.shape[d] = n;
      out.strides[d] = size;
      if (__builtin_mul_overflow(size, n, &size)) return false;
    }
    if (size > INT64_MAX / 8) return false;
    Array a, b;
    if (!spread(array[0], out, a) || !spread(array[1], out, b)) return false;
    call.layout = merged_layout<3>({&out, &a, &b});
    return true;
  }
};

// At the first call: files of bindings add their kernels in any order.
void find_places() {
  kernel_places = PyDict_New();
  for (const QuickKernel& kernel : quick_kernels())
    PyDict_SetItem(kernel_places, py::str(kernel.name).ptr(), py::int_(reinterpret_cast<intptr_t>(&kernel)).ptr());
}

const QuickKernel* find_kernel(PyObject* name) {
  if (kernel_places == nullptr) find_places();
  PyObject* const place = PyDict_GetItemWithError(kernel_places, name);
  if (place != nullptr) return static_cast<const QuickKernel*>(PyLong_AsVoidPtr(place));
  PyErr_Clear();
  return nullptr;
}

PyObject* quick(PyObject*, PyObject* const* args, Py_ssize_t count) {
  if (count < 2 || current_recorder() != nullptr) Py_RETURN_NONE;  // a recorder keeps numbers, too, in arrays
  const QuickKernel* const kernel = find_kernel(args[0]);
  if (kernel == nullptr || count != 1 + kernel->inputs + kernel->numbers) Py_RETURN_NONE;
  QuickCall call;
  call.number[0] = call.number[1] = 0;
  Operands operands;
  if (!operands.take(args + 1, *kernel, call)) Py_RETURN_NONE;
  for (int i = 0; i < kernel->numbers; ++i) {
    Number number;
    if (!number.take(args[1 + kernel->inputs + i], DType::float64)) Py_RETURN_NONE;
    call.number[i] = number.value;
  }
  const Array& shape = operands.out;
  const bool is_single = call.dtype == DType::float32;
  Py_intptr_t sizes[kMaxDims];
  for (int d = 0; d < shape.ndim; ++d) sizes[d] = static_cast<Py_intptr_t>(shape.shape[d]);
  PyObject* const out = fresh_array(Py_NewRef(is_single ? float32_descriptor : float64_descriptor), shape.ndim, sizes,
                                    static_cast<size_t>(operands.size) * (is_single ? 4 : 8));
  if (out == nullptr) return nullptr;
  call.out = py::detail::array_proxy(out)->data;
  call.size = operands.size;
  try {
    kernel->run(call);
  } catch (const std::exception& error) {
    Py_DECREF(out);
    PyErr_SetString(PyExc_RuntimeError, error.what());
    return nullptr;
  }
  return out;
}

PyMethodDef functions[] = {
    {"_quick", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&quick)), METH_FASTCALL,
     "_quick(kernel, *operands)\n--\n\nThe result of an elementwise kernel in a new array, or None "
     "where the call needs a closer look."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

EINKORN_BINDINGS(quick, m) {
  array_type = reinterpret_cast<PyTypeObject*>(NumpyApi::get().PyArray_Type_);
  float32_descriptor = py::dtype::of<float>().release().ptr();
  float64_descriptor = py::dtype::of<double>().release().ptr();
  if (PyModule_AddFunctions(m.ptr(), functions) < 0) throw py::error_already_set();
}

}  // namespace einkorn::bind_quick
