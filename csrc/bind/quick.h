// The short cut of elementwise operations: what a call of one plain kernel costs beside the kernel itself.
//
//   quick("add", a, b) -> the result in a new array, or None
//
// An operation goes through three hops (docs/architecture.md): Python looks at its arguments and asks for an array, a binding
// looks at the arrays, a kernel computes. On 16 x 16 elements the kernel takes 30 ns of 2 us. quick() does all of it for the
// usual case, in one function: arrays of NumPy's own class, float32 or float64, C-contiguous, aligned and not empty, and plain
// numbers beside them. Whatever else comes gives None, and the operation goes the long way: it alone says what is wrong.
// Nothing that computes is here: the same launch() runs the same kernel on the same layout, so results have the same bits.
//
//   one operation on 16 x 16, us                    relu(a)   add(a, b)   add(a, 2.0)   add(a, row)   recorded: relu, add
//     three hops                                        1.3         2.2           2.9           3.6               2.0, 2.5
//     quick, by name through a dictionary              0.53        0.59          0.58          0.76               1.4, 1.7
// Of these quick() takes 0.17 to 0.2, half of it NumPy's making of the array.
//
// quick("concatenate" or "stack", arrays, axis) joins a few arrays in the same manner, by launches of copy.
//
// Kernels of other operands have a function that looks at them (QuickTake): softmax, products of matrices, linear layers, layer norm,
// sums of all elements or along an axis, rows of a table, cross-entropy. (16 x 16 by quick: 0.84, 0.91, 1.03 and, for the sum, 0.84 us; by
// three hops a linear layer 4.2, a sum 1.9.)
//
// A file of bindings adds its kernels with one line each; engines without a short cut have a quick() that gives None.

#pragma once

#include <vector>

#include "bind/array.h"

namespace einkorn {

// A call whose operands were looked at.
struct QuickCall {
  DType dtype;
  void* out;
  const void* in[2];
  int64_t size;      // of out
  Layout<3> layout;  // of out and two inputs
  double number[2];

  template <class T>
  T* to() const {
    return static_cast<T*>(out);
  }
  template <class T>
  const T* from(int i) const {
    return static_cast<const T*>(in[i]);
  }
  Layout<2> line() const {
    Layout<2> layout;
    layout.ndim = 1;
    layout.shape[0] = size;
    layout.strides[0][0] = layout.strides[1][0] = 1;
    return layout;
  }
};

// Looks at a call's operands itself: the result, None to decline, or null with an exception set.
using QuickTake = PyObject* (*)(PyObject* const* operands, Py_ssize_t count);

// An array that needs no second look; false for any other object.
bool view_plain(PyObject* object, Array& array);

// The same of an array of int64: indices, labels.
bool view_plain_index(PyObject* object, Array& array);

// A new array of the shape and type of `like`; null with an exception set.
PyObject* fresh_plain(const Array& like);

// That, until it is handed out.
class Fresh {
 public:
  explicit Fresh(const Array& like) : object_(fresh_plain(like)) {}
  Fresh(const Fresh&) = delete;
  Fresh& operator=(const Fresh&) = delete;
  ~Fresh() { Py_XDECREF(object_); }

  bool view(Array& array) const {
    array.writeable = true;
    return object_ != nullptr && view_plain(object_, array);
  }
  PyObject* hand_out() {
    PyObject* const object = object_;
    object_ = nullptr;
    return object;
  }

 private:
  PyObject* object_;
};

struct QuickKernel {
  const char* name;
  QuickTake take;  // null: by what follows
  int inputs, numbers;
  bool broadcasts;  // inputs may be numbers, or arrays of other shapes
  const void* callable;
  void (*run)(const void* callable, const QuickCall& call);
};

// Filled when the bindings are, looked up by name.
inline std::vector<QuickKernel>& quick_kernels() {
  static std::vector<QuickKernel> kernels;
  return kernels;
}

// Up to here a kernel ends before another thread would have the interpreter's lock.
constexpr int64_t kKeepsGil = 1024;

// Beyond so many elements a call's own cost is nothing beside the kernel's.
constexpr int64_t kMostQuick = 1 << 16;

template <class Table, class Args>
void run_quick(const QuickCall& call, void (*Table::*kernel)(const Args&), const Args& args) {
  if (call.size <= kKeepsGil)
    launch(kernel, args);
  else
    run(kernel, args);
}

inline void add_quick(const char* name, QuickTake take) {
  quick_kernels().push_back({name, take, 0, 0, false, nullptr, nullptr});
}

// `callable.operator()<T>(call)` runs the kernel on elements of type T.
template <class Callable>
void add_quick(const char* name, int inputs, int numbers, bool broadcasts, const Callable& callable) {
  const auto run = [](const void* kept, const QuickCall& call) {
    const Callable& c = *static_cast<const Callable*>(kept);
    if (call.dtype == DType::float32)
      c.template operator()<float>(call);
    else
      c.template operator()<double>(call);
  };
  quick_kernels().push_back({name, nullptr, inputs, numbers, broadcasts, new Callable(callable), run});
}

}  // namespace einkorn
