// New arrays for what kernels compute, from the cache of runtime/memory.h.

#pragma once

#include <Python.h>

#include <cstddef>

namespace einkorn {

// A C-contiguous array with undefined contents; `descriptor` is a reference that it takes over, `bytes` what its elements need.
// Null, with Python's error set, where there is no memory.
PyObject* fresh_array(PyObject* descriptor, int ndim, const Py_intptr_t* sizes, size_t bytes);

}  // namespace einkorn
