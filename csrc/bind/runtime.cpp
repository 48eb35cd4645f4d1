// Threads, memory and the machine, seen from Python.
//
// empty() is on the road of every op, so it is a plain C function instead of a pybind11 one, and the object that gives
// the array's memory back is a type of its own instead of a capsule. Measured for a (128, 128) float32 array that is
// freed at once: this 75 ns, a pybind11 function and a capsule 230 ns, numpy.empty 125 ns.

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>
#include <stdexcept>
#include <string>

#include "bind/fresh_array.h"
#include "bind/module.h"
#include "runtime/cgroup.h"
#include "runtime/cpu.h"
#include "runtime/memory.h"
#include "runtime/threads.h"

namespace einkorn::bind_runtime {

namespace py = pybind11;
using pybind11::literals::operator""_a;

namespace {

using NumpyApi = py::detail::npy_api;

constexpr int kMaxArrayDims = 64;  // NumPy's own bound

// An array's base object: gives the block back when the last array or view on it dies.
struct Block {
  PyObject_HEAD void* data;
  size_t bytes;
};

void block_dealloc(PyObject* self) {
  const Block* block = reinterpret_cast<Block*>(self);
  PyTypeObject* const type = Py_TYPE(self);
  deallocate(block->data, block->bytes);
  PyObject_Free(self);
  Py_DECREF(type);
}

PyType_Slot block_slots[] = {{Py_tp_dealloc, reinterpret_cast<void*>(&block_dealloc)}, {0, nullptr}};
PyType_Spec block_spec = {"einkorn._native.Block", sizeof(Block), 0,
                          Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, block_slots};
PyTypeObject* block_type = nullptr;

// The dtypes of nearly all calls, recognized by address: np.float32 and np.dtype("float32").
struct KnownDtype {
  PyObject* scalar_type;
  PyObject* descriptor;
  Py_ssize_t itemsize;
};
KnownDtype known_dtypes[4];
const NumpyApi* numpy = nullptr;

void find_known_dtypes() {
  numpy = &NumpyApi::get();
  const py::module_ module = py::module_::import("numpy");
  int i = 0;
  for (const char* name : {"float32", "float64", "int32", "int64"}) {
    const py::object scalar_type = module.attr(name);
    const py::dtype dtype = py::dtype::from_args(scalar_type);
    known_dtypes[i++] = {scalar_type.inc_ref().ptr(), dtype.inc_ref().ptr(), dtype.itemsize()};
  }
}

// A new reference to the descriptor, and its item size.
PyObject* find_descriptor(PyObject* dtype, Py_ssize_t* itemsize) {
  for (const KnownDtype& known : known_dtypes)
    if (dtype == known.descriptor || dtype == known.scalar_type) {
      *itemsize = known.itemsize;
      return Py_NewRef(known.descriptor);
    }
  PyObject* descriptor = nullptr;
  if (dtype != Py_None && !numpy->PyArray_DescrConverter_(dtype, &descriptor)) return nullptr;
  if (descriptor != nullptr) {
    const auto type = py::reinterpret_borrow<py::dtype>(descriptor);
    const bool bfloat16 = type.char_() == 'E' && type.kind() == 'V' && type.itemsize() == 2;  // as ml_dtypes has it
    const bool number = type.num() <= NumpyApi::NPY_CLONGDOUBLE_ || type.char_() == 'e' || bfloat16;
    *itemsize = type.itemsize();
    if (number && (type.byteorder() == '=' || type.byteorder() == '|')) return descriptor;
    Py_DECREF(descriptor);
  }
  PyErr_Format(PyExc_TypeError, "empty: dtype is %R, expected a number type in native byte order", dtype);
  return nullptr;
}

PyObject* refuse_shape(PyObject* shape, const char* reason) {
  PyErr_Format(PyExc_ValueError, "empty: shape %R %s", shape, reason);
  return nullptr;
}

PyObject* new_array(PyObject* shape, PyObject* dtype) {
  Py_ssize_t itemsize;
  auto descriptor = py::reinterpret_steal<py::object>(find_descriptor(dtype, &itemsize));
  if (!descriptor) return nullptr;

  const Py_ssize_t ndim = PyTuple_GET_SIZE(shape);
  if (ndim > kMaxArrayDims) return refuse_shape(shape, "has more than 64 dimensions");
  Py_intptr_t sizes[kMaxArrayDims];
  Py_ssize_t bytes = itemsize;
  bool overflows = false, empty = false;
  for (Py_ssize_t d = 0; d < ndim; d++) {
    const Py_ssize_t size = PyNumber_AsSsize_t(PyTuple_GET_ITEM(shape, d), nullptr);  // saturates
    if (size == -1 && PyErr_Occurred()) return nullptr;
    if (size < 0) return refuse_shape(shape, "has a negative size");
    sizes[d] = size;
    if (size == 0)
      empty = true;
    else
      overflows |= __builtin_mul_overflow(bytes, size, &bytes);
  }
  if (overflows) return refuse_shape(shape, "is larger than the address space");

  return fresh_array(descriptor.release().ptr(), static_cast<int>(ndim), sizes, empty ? 0 : static_cast<size_t>(bytes));
}

PyObject* empty(PyObject*, PyObject* const* args, Py_ssize_t positional, PyObject* keywords) {
  PyObject* shape = positional > 0 ? args[0] : nullptr;
  PyObject* dtype = positional > 1 ? args[1] : nullptr;
  const Py_ssize_t named = keywords == nullptr ? 0 : PyTuple_GET_SIZE(keywords);
  for (Py_ssize_t i = 0; i < named; i++) {
    PyObject* const name = PyTuple_GET_ITEM(keywords, i);
    if (shape == nullptr && PyUnicode_CompareWithASCIIString(name, "shape") == 0) shape = args[positional + i];
    if (dtype == nullptr && PyUnicode_CompareWithASCIIString(name, "dtype") == 0) dtype = args[positional + i];
  }
  if (positional + named != 2 || shape == nullptr || dtype == nullptr) {
    PyErr_SetString(PyExc_TypeError, "empty() takes two arguments: shape and dtype");
    return nullptr;
  }
  if (PyTuple_CheckExact(shape)) return new_array(shape, dtype);
  const auto tuple =
      py::reinterpret_steal<py::object>(PyIndex_Check(shape) ? PyTuple_Pack(1, shape) : PySequence_Tuple(shape));
  return tuple ? new_array(tuple.ptr(), dtype) : nullptr;
}

PyMethodDef memory_functions[] = {
    {"empty", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&empty)), METH_FASTCALL | METH_KEYWORDS,
     "empty(shape, dtype)\n--\n\nA C-contiguous array with undefined contents, 64-byte aligned, its memory from "
     "einkorn's cache."},
    {nullptr, nullptr, 0, nullptr}};

py::dict stats_dict() {
  const MemoryStats s = memory_stats();
  return py::dict("allocated"_a = s.allocated, "cached"_a = s.cached, "peak"_a = s.peak, "hits"_a = s.hits,
                  "misses"_a = s.misses, "limit"_a = s.limit, "cache_limit"_a = s.cache_limit);
}

void set_limit(std::optional<int64_t> bytes) {
  if (bytes && *bytes < 1)
    throw std::invalid_argument("memory limit is " + std::to_string(*bytes) + " bytes, expected at least 1 or None");
  set_memory_limit(bytes.value_or(0));
}

py::dict cpu_dict() {
  const CpuInfo& cpu = cpu_info();
  return py::dict("brand"_a = cpu.brand, "avx2"_a = cpu.avx2, "avx512"_a = cpu.avx512,
                  "avx512_bf16"_a = cpu.avx512_bf16, "amx"_a = cpu.amx, "neon"_a = cpu.neon, "l1d"_a = cpu.l1d,
                  "l2"_a = cpu.l2, "l3"_a = cpu.l3, "memory"_a = cpu.memory, "usable_cpus"_a = usable_cpus(),
                  "usable_cores"_a = usable_cores(), "usable_memory"_a = usable_memory());
}

py::dict limits_dict(const std::string& root) {
  const CgroupLimits limits = cgroup_limits(root);
  return py::dict("cpus"_a = limits.cpus, "memory"_a = limits.memory);
}

}  // namespace
}  // namespace einkorn::bind_runtime

namespace einkorn {

PyObject* fresh_array(PyObject* descriptor, int ndim, const Py_intptr_t* sizes, size_t bytes) {
  using namespace bind_runtime;
  auto type = pybind11::reinterpret_steal<pybind11::object>(descriptor);
  void* data;
  try {
    data = allocate(bytes);
  } catch (const std::bad_alloc& error) {
    PyErr_SetString(PyExc_MemoryError, error.what());
    return nullptr;
  }
  Block* const block = PyObject_New(Block, block_type);
  if (block == nullptr) {
    deallocate(data, bytes);
    return nullptr;
  }
  block->data = data;
  block->bytes = bytes;
  auto owner = pybind11::reinterpret_steal<pybind11::object>(reinterpret_cast<PyObject*>(block));
  constexpr int flags =
      NumpyApi::NPY_ARRAY_C_CONTIGUOUS_ | NumpyApi::NPY_ARRAY_ALIGNED_ | NumpyApi::NPY_ARRAY_WRITEABLE_;
  PyObject* const array = numpy->PyArray_NewFromDescr_(numpy->PyArray_Type_, type.release().ptr(), ndim, sizes, nullptr,
                                                       data, flags, nullptr);
  if (array != nullptr) numpy->PyArray_SetBaseObject_(array, owner.release().ptr());
  return array;
}

}  // namespace einkorn

namespace einkorn::bind_runtime {

EINKORN_BINDINGS(runtime, module) {
  auto m = py::reinterpret_borrow<py::module_>(module.ptr());
  find_known_dtypes();
  memory_stats();  // makes the cache now, while no other thread can be forking
  block_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&block_spec));
  if (block_type == nullptr || PyModule_AddFunctions(m.ptr(), memory_functions) < 0) throw py::error_already_set();

  m.def("set_num_threads", &set_num_threads, "threads"_a, "Threads that kernels may use, the calling one included.");
  m.def("get_num_threads", &num_threads, "Threads that kernels may use, the calling one included.");
  m.def("default_num_threads", &default_num_threads,
        "EINKORN_NUM_THREADS when it is set, otherwise the number of usable cores.");
  m.def("memory_stats", &stats_dict, "Bytes allocated, cached, peak, the limits, and cache hits and misses.");
  m.def("memory_set_limit", &set_limit, "bytes"_a.none(true),
        "Bound on allocated + cached bytes; None: all memory this process may use.");
  m.def("empty_cache", &empty_cache, "Return cached memory to the system.");
  m.def("cpu_info", &cpu_dict, "What the machine is: CPU, instruction sets, caches, memory; sizes in bytes.");
  m.def("_cgroup_limits", &limits_dict, "root"_a = "",
        "CPUs and bytes that the control groups below `root` grant this process; 0 where unlimited.");
}

}  // namespace einkorn::bind_runtime
