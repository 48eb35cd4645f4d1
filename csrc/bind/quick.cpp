#include "bind/quick.h"

#include <pybind11/numpy.h>

#include <cmath>
#include <new>

#include "bind/fresh_array.h"
#include "kernels/copy.h"

namespace einkorn::bind_quick {

namespace py = pybind11;

namespace {

using NumpyApi = py::detail::npy_api;

PyObject* kernel_places = nullptr;  // name -> address in quick_kernels()
PyTypeObject* array_type = nullptr;
PyObject* float32_descriptor = nullptr;
PyObject* float64_descriptor = nullptr;
PyObject* int64_descriptor = nullptr;

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

constexpr Py_ssize_t kMostJoined = 16;

// Arrays that are joined along an axis they have, or along a new one.
struct Joined {
  Array part[kMostJoined];
  Array out;
  int64_t run[kMostJoined];  // neighbours in a part, and so in the result
  int64_t rows = 1, pitch = 0;

  bool take(PyObject* arrays, PyObject* axis, bool is_new) {
    const bool is_list = PyList_CheckExact(arrays);
    if (!is_list && !PyTuple_CheckExact(arrays)) return false;
    const Py_ssize_t count = is_list ? PyList_GET_SIZE(arrays) : PyTuple_GET_SIZE(arrays);
    if (count < 1 || count > kMostJoined || !PyLong_CheckExact(axis)) return false;
    for (Py_ssize_t i = 0; i < count; ++i)
      if (!view_plain(is_list ? PyList_GET_ITEM(arrays, i) : PyTuple_GET_ITEM(arrays, i), part[i])) return false;
    const Array& first = part[0];
    const int ndim = first.ndim + (is_new ? 1 : 0);
    int overflow = 0;
    long at = PyLong_AsLongAndOverflow(axis, &overflow);
    if (at < 0) at += ndim;
    if (overflow != 0 || at < 0 || at >= ndim || ndim > kMaxDims) return false;
    for (int d = 0; d < at; ++d) rows *= first.shape[d];
    int64_t along = 0;
    for (Py_ssize_t i = 0; i < count; ++i) {
      if (part[i].dtype != first.dtype || part[i].ndim != first.ndim) return false;
      for (int d = 0; d < first.ndim; ++d)
        if ((is_new || d != at) && part[i].shape[d] != first.shape[d]) return false;
      run[i] = part[i].size() / rows;
      pitch += run[i];
      along += is_new ? 1 : part[i].shape[at];
    }
    out.dtype = first.dtype;
    out.ndim = ndim;
    for (int d = 0; d < ndim; ++d) out.shape[d] = d == at ? along : first.shape[is_new && d > at ? d - 1 : d];
    parts_ = count;
    return true;
  }

  template <class T>
  void copy(T* to) const {
    for (Py_ssize_t i = 0; i < parts_; to += run[i++]) {
      Copy<T> args = {to, static_cast<const T*>(part[i].data), {}, workspace()};
      Layout<2>& layout = args.layout;
      layout.ndim = rows > 1 ? 2 : 1;
      layout.shape[0] = rows;
      layout.strides[0][0] = pitch;
      layout.strides[1][0] = run[i];
      layout.shape[layout.ndim - 1] = run[i];
      layout.strides[0][layout.ndim - 1] = layout.strides[1][layout.ndim - 1] = 1;
      if (rows * pitch <= kKeepsGil)
        launch(&CopyKernels<T>::copy, args);
      else
        run_copy(args);
    }
  }

 private:
  template <class T>
  static void run_copy(const Copy<T>& args) {
    einkorn::run(&CopyKernels<T>::copy, args);
  }

  Py_ssize_t parts_ = 0;
};

PyObject* fresh_like(const Array& array, int64_t size) {
  const bool is_single = array.dtype == DType::float32;
  Py_intptr_t sizes[kMaxDims];
  for (int d = 0; d < array.ndim; ++d) sizes[d] = static_cast<Py_intptr_t>(array.shape[d]);
  return fresh_array(Py_NewRef(is_single ? float32_descriptor : float64_descriptor), array.ndim, sizes,
                     static_cast<size_t>(size) * (is_single ? 4 : 8));
}

PyObject* join(PyObject* const* args, Py_ssize_t count) {
  Joined joined;
  const bool is_new = PyUnicode_CompareWithASCIIString(args[0], "stack") == 0;
  if (count != 3 || !joined.take(args[1], args[2], is_new)) Py_RETURN_NONE;
  PyObject* const out = fresh_like(joined.out, joined.rows * joined.pitch);
  if (out == nullptr) return nullptr;
  void* const data = py::detail::array_proxy(out)->data;
  if (joined.out.dtype == DType::float32)
    joined.copy(static_cast<float*>(data));
  else
    joined.copy(static_cast<double*>(data));
  return out;
}

PyObject* quick(PyObject*, PyObject* const* args, Py_ssize_t count) {
  if (count < 2 || current_recorder() != nullptr) Py_RETURN_NONE;  // a recorder keeps numbers, too, in arrays
  if (PyList_CheckExact(args[1]) || PyTuple_CheckExact(args[1])) return join(args, count);
  const QuickKernel* const kernel = find_kernel(args[0]);
  if (kernel != nullptr && kernel->take != nullptr) {
    try {
      return kernel->take(args + 1, count - 1);
    } catch (const std::exception& error) {
      PyErr_SetString(PyExc_RuntimeError, error.what());
      return nullptr;
    }
  }
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
  PyObject* const out = fresh_like(operands.out, operands.size);
  if (out == nullptr) return nullptr;
  call.out = py::detail::array_proxy(out)->data;
  call.size = operands.size;
  try {
    kernel->run(kernel->callable, call);
  } catch (const ::einkorn::py::raised&) {
    Py_DECREF(out);
    return nullptr;
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
  int64_descriptor = py::dtype::of<int64_t>().release().ptr();
  if (PyModule_AddFunctions(m.ptr(), functions) < 0) throw py::error_already_set();
}

}  // namespace einkorn::bind_quick

namespace einkorn {

namespace {

// An array of NumPy's own class without gaps, of whatever type; null for any other object.
const pybind11::detail::PyArray_Proxy* plain_array(PyObject* object) {
  if (Py_TYPE(object) != bind_quick::array_type) return nullptr;
  const auto* proxy = pybind11::detail::array_proxy(object);
  constexpr int needed =
      pybind11::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_ | pybind11::detail::npy_api::NPY_ARRAY_ALIGNED_;
  return (proxy->flags & needed) == needed && proxy->nd <= kMaxDims ? proxy : nullptr;
}

// False where it has no elements.
bool lay_out(const pybind11::detail::PyArray_Proxy* proxy, Array& array) {
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

}  // namespace

bool view_plain(PyObject* object, Array& array) {
  const auto* const proxy = plain_array(object);
  if (proxy == nullptr) return false;
  if (proxy->descr == bind_quick::float32_descriptor)
    array.dtype = DType::float32;
  else if (proxy->descr == bind_quick::float64_descriptor)
    array.dtype = DType::float64;
  else
    return false;
  return lay_out(proxy, array);
}

bool view_plain_index(PyObject* object, Array& array) {
  const auto* const proxy = plain_array(object);
  if (proxy == nullptr || proxy->descr != bind_quick::int64_descriptor) return false;
  array.dtype = DType::int64;
  return lay_out(proxy, array);
}

PyObject* fresh_plain(const Array& like) {
  return bind_quick::fresh_like(like, like.size());
}

}  // namespace einkorn
