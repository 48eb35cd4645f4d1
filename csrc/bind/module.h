// How a file of bindings becomes part of a module: EINKORN_BINDINGS(softmax, m) { m.def(...); } adds itself to the list
// that the module walks when it is imported. Which files a module has, CMake says.
//
//   m.def("fill", [](const Array& out, double value) { ... }, "out"_a, "value"_a);
//
// is a Python function fill(out, value). Arguments may be arrays, lists of arrays, numbers (double, int, int64_t, uint64_t) and
// bool; the result is none or an int64_t. "x"_a is an argument that is not None, "x"_a.none(true) one that may be.
//
// pybind11 has the same in a line, and compiles for each signature the code that takes its arguments apart, after 3 s of reading its
// headers: half of the compile time of everything. Here one function does that for all (function.cpp), by a list of what is
// expected; files of bindings include Python.h alone. pybind11 makes the module and the few functions whose results are dictionaries.

#pragma once

#include <Python.h>

#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

#include "bind/view.h"

namespace einkorn {

// Python's exceptions.
namespace py {
struct value_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct type_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct raised {};  // what Python's error indicator says
}  // namespace py

// An argument's name.
struct Parameter {
  const char* name;
  bool may_be_none = false;

  constexpr Parameter none(bool may_be) const { return {name, may_be}; }
};

constexpr Parameter operator""_a(const char* name, size_t) {
  return {name};
}

// The arrays of a list, owned for the time of the call: another thread may change the list meanwhile.
class List {
 public:
  List(PyObject* sequence, const char* name);
  ~List();
  List(const List&) = delete;
  List& operator=(const List&) = delete;

  explicit operator bool() const { return items_ != nullptr; }
  int64_t size() const { return items_ == nullptr ? 0 : PyTuple_GET_SIZE(items_); }
  Array operator[](int64_t i) const;
  Array at(int64_t i, int64_t size) const;  // must have `size` elements
  void require_size(int64_t size) const;
  const char* name() const { return name_; }

 private:
  PyObject* items_;  // a tuple, or null
  const char* name_;
};

// An argument's value, and how one of the C++ type T is read from it.
enum class Kind : uint8_t { array, list, number, integer, natural, small, flag };

struct Value {
  Array array;
  const char* name;
  union {
    double number;
    int64_t integer;  // a small one too
    uint64_t natural;
    bool flag;
    PyObject* object;  // borrowed
  };
};

template <class T>
struct Argument;
#define EINKORN_ARGUMENT(T, what, value)            \
  template <>                                       \
  struct Argument<T> {                              \
    static constexpr Kind kind = Kind::what;        \
    static T from(const Value& v) { return value; } \
  };
EINKORN_ARGUMENT(const Array&, array, v.array)
EINKORN_ARGUMENT(double, number, v.number)
EINKORN_ARGUMENT(int, small, static_cast<int>(v.integer))
EINKORN_ARGUMENT(int64_t, integer, v.integer)
EINKORN_ARGUMENT(uint64_t, natural, v.natural)
EINKORN_ARGUMENT(bool, flag, v.flag)
#undef EINKORN_ARGUMENT

template <>
struct Argument<const List&> {
  static constexpr Kind kind = Kind::list;
  static List from(const Value& v) { return List(v.object, v.name); }
};

constexpr size_t kMostParameters = 48;

// What a Python function is made of: a callable of C++, and what calls it with values.
struct Function {
  const char* name;
  const void* callable;
  PyObject* (*apply)(const void* callable, const Value* values);
  bool returns_integer;
  std::vector<Parameter> parameters;
  std::vector<Kind> kinds;
};

class Module {
 public:
  explicit Module(PyObject* module) : module_(module) {}

  PyObject* ptr() const { return module_; }

  // A function, or a lambda, and its parameters.
  template <class Callable, class... Parameters>
  void def(const char* name, const Callable& callable, Parameters... parameters) const {
    if constexpr (std::is_class_v<Callable>)
      define(name, callable, &Callable::operator(), parameters...);
    else
      define_pointer(name, callable, parameters...);
  }

 private:
  void add(const Function& function) const;

  template <class Result, class... Arguments, class... Parameters>
  void define_pointer(const char* name, Result (*pointer)(Arguments...), Parameters... parameters) const {
    def(name, [pointer](Arguments... arguments) { return pointer(arguments...); }, parameters...);
  }

  template <class Callable, class Result, class... Arguments, class... Parameters>
  void define(const char* name, const Callable& callable, Result (Callable::*)(Arguments...) const,
              Parameters... parameters) const {
    static_assert(sizeof...(Arguments) == sizeof...(Parameters), "each argument has a name");
    static_assert(sizeof...(Arguments) <= kMostParameters);
    add({name,
         new Callable(callable),
         &apply<Callable, Result, Arguments...>,
         !std::is_void_v<Result>,
         {parameters...},
         {Argument<Arguments>::kind...}});
  }

  template <class Callable, class Result, class... Arguments>
  static PyObject* apply(const void* callable, const Value* values) {
    return apply_to<Callable, Result, Arguments...>(callable, values, std::index_sequence_for<Arguments...>{});
  }

  template <class Callable, class Result, class... Arguments, size_t... I>
  static PyObject* apply_to(const void* callable, const Value* values, std::index_sequence<I...>) {
    const Callable& function = *static_cast<const Callable*>(callable);
    if constexpr (std::is_void_v<Result>) {
      function(Argument<Arguments>::from(values[I])...);
      return Py_NewRef(Py_None);
    } else {
      return PyLong_FromLongLong(function(Argument<Arguments>::from(values[I])...));
    }
  }

  PyObject* module_;
};

using Bindings = void (*)(const Module& m);

// Filled before main: a function's static, so that it exists for whichever file comes first.
inline std::vector<Bindings>& all_bindings() {
  static std::vector<Bindings> bindings;
  return bindings;
}

inline bool add_bindings(Bindings bindings) {
  all_bindings().push_back(bindings);
  return true;
}

}  // namespace einkorn

#define EINKORN_BINDINGS(family, m)                                                             \
  static void bind_##family(const einkorn::Module& m);                                          \
  [[maybe_unused]] static const bool family##_is_bound = einkorn::add_bindings(&bind_##family); \
  static void bind_##family(const einkorn::Module& m)
