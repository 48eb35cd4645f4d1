// Functions of a module: their arguments, from Python to C++.

#include <pybind11/pybind11.h>

#include <cstddef>
#include <new>
#include <string>

#include "bind/module.h"

namespace einkorn {

namespace {

const char* python_type(Kind kind) {
  switch (kind) {
    case Kind::array:
      return "numpy.ndarray | None";
    case Kind::number:
      return "float";
    case Kind::flag:
      return "bool";
    case Kind::list:
      return "typing.Any";
    default:
      return "int";
  }
}

// What came, in words: an array that kernels do not take has a dtype to be told.
std::string described(PyObject* object) {
  std::string text = object == Py_None ? "None" : std::string("a ") + Py_TYPE(object)->tp_name;
  PyObject* const dtype = PyObject_GetAttrString(object, "dtype");
  PyObject* const name = dtype == nullptr ? nullptr : PyObject_Str(dtype);
  const char* const letters = name == nullptr ? nullptr : PyUnicode_AsUTF8(name);
  if (letters != nullptr) text += std::string(" of ") + letters;
  PyErr_Clear();
  Py_XDECREF(name);
  Py_XDECREF(dtype);
  return text;
}

const char* expected(Kind kind) {
  switch (kind) {
    case Kind::array:
      return "an aligned array of numbers in native byte order with at most 8 dimensions";
    case Kind::number:
      return "a number";
    case Kind::flag:
      return "True or False";
    case Kind::natural:
      return "an integer from 0 to 2**64 - 1";
    case Kind::small:
      return "an integer of 32 bits";
    case Kind::integer:
      return "an integer of 64 bits";
    default:
      return "a list of arrays";
  }
}

bool read_integer(PyObject* object, Kind kind, Value& value) {
  PyObject* const index = PyNumber_Index(object);
  if (index == nullptr) return false;
  if (kind == Kind::natural)
    value.natural = PyLong_AsUnsignedLongLong(index);
  else
    value.integer = PyLong_AsLongLong(index);
  Py_DECREF(index);
  return PyErr_Occurred() == nullptr && (kind != Kind::small || value.integer == static_cast<int>(value.integer));
}

bool read_flag(PyObject* object, Value& value) {
  value.flag = object == Py_True;
  if (value.flag || object == Py_False) return true;
  if (Py_TYPE(object)->tp_as_number == nullptr || Py_TYPE(object)->tp_as_number->nb_bool == nullptr) return false;
  const int truth = PyObject_IsTrue(object);
  value.flag = truth == 1;
  return truth >= 0;
}

bool is_read(PyObject* object, Kind kind, Value& value) {
  switch (kind) {
    case Kind::array:
      return object == Py_None || view_array(object, value.array);
    case Kind::number:
      value.number = PyFloat_AsDouble(object);
      return value.number != -1 || PyErr_Occurred() == nullptr;
    case Kind::flag:
      return read_flag(object, value);
    case Kind::list:
      value.object = object;
      return true;
    default:
      return read_integer(object, kind, value);
  }
}

[[noreturn]] void refuse(const Function& function, const std::string& what) {
  throw py::type_error(std::string(function.name) + "() " + what);
}

void read(const Function& function, const Parameter& parameter, Kind kind, PyObject* object, Value& value) {
  value.name = parameter.name;
  if ((object != Py_None || parameter.may_be_none) && is_read(object, kind, value)) return;
  PyErr_Clear();
  refuse(function,
         std::string("argument '") + parameter.name + "' is " + described(object) + ", expected " + expected(kind));
}

// The objects in the order of the parameters.
void arrange(const Function& function, PyObject* const* args, Py_ssize_t positional, PyObject* keywords,
             PyObject** objects) {
  const size_t wanted = function.parameters.size(), first_named = static_cast<size_t>(positional);
  const size_t named = keywords == nullptr ? 0 : static_cast<size_t>(PyTuple_GET_SIZE(keywords));
  if (first_named > wanted)
    refuse(function, "takes " + std::to_string(wanted) + " arguments, not " + std::to_string(first_named));
  for (size_t i = 0; i < wanted; ++i) objects[i] = i < first_named ? args[i] : nullptr;
  for (size_t k = 0; k < named; ++k) {
    PyObject* const name = PyTuple_GET_ITEM(keywords, static_cast<Py_ssize_t>(k));
    size_t i = 0;
    while (i < wanted && PyUnicode_CompareWithASCIIString(name, function.parameters[i].name) != 0) ++i;
    if (i == wanted) refuse(function, std::string("has no argument '") + PyUnicode_AsUTF8(name) + "'");
    if (objects[i] != nullptr) refuse(function, std::string("got '") + function.parameters[i].name + "' twice");
    objects[i] = args[first_named + k];
  }
  for (size_t i = 0; i < wanted; ++i)
    if (objects[i] == nullptr)
      refuse(function, std::string("lacks the argument '") + function.parameters[i].name + "'");
}

// Every call of a kernel from Python.
PyObject* call(PyObject* self, PyObject* const* args, Py_ssize_t positional, PyObject* keywords) {
  const Function& function = *static_cast<const Function*>(PyCapsule_GetPointer(self, nullptr));
  try {
    PyObject* objects[kMostParameters];
    alignas(Value) std::byte room[kMostParameters * sizeof(Value)];  // as many as are wanted are made
    Value* const values = reinterpret_cast<Value*>(room);
    arrange(function, args, positional, keywords, objects);
    for (size_t i = 0; i < function.parameters.size(); ++i)
      read(function, function.parameters[i], function.kinds[i], objects[i], *new (&values[i]) Value);
    return function.apply(function.callable, values);
  } catch (const py::value_error& error) {
    PyErr_SetString(PyExc_ValueError, error.what());
  } catch (const py::type_error& error) {
    PyErr_SetString(PyExc_TypeError, error.what());
  } catch (const py::raised&) {
  } catch (...) {
    pybind11::detail::try_translate_exceptions();
  }
  return nullptr;
}

}  // namespace

bool Array::contiguous() const {
  int64_t step = 1;
  for (int d = ndim - 1; d >= 0; --d) {
    if (shape[d] != 1 && strides[d] != step) return size() == 0;
    step *= shape[d];
  }
  return true;
}

void* Array::elements(DType wanted, const char* name, bool without_gaps, bool to_write) const {
  if (!*this) return data;
  const std::string argument = std::string("argument '") + name + "' ";
  if (dtype != wanted) throw py::type_error(argument + "has another dtype than this call's kernel expects");
  if (without_gaps && !contiguous()) throw py::value_error(argument + "must be C-contiguous");
  if (to_write && !writeable) throw py::value_error(argument + "is read-only");
  return data;
}

List::List(PyObject* sequence, const char* name)
    : items_(sequence == Py_None ? nullptr : PySequence_Tuple(sequence)), name_(name) {
  if (items_ == nullptr && sequence != Py_None) throw py::raised();
}

List::~List() {
  Py_XDECREF(items_);
}

Array List::operator[](int64_t i) const {
  Array array;
  if (!view_array(PyTuple_GET_ITEM(items_, i), array))
    throw py::type_error(std::string("'") + name_ + "' must hold aligned NumPy arrays of a type that kernels take");
  return array;
}

Array List::at(int64_t i, int64_t size) const {
  const Array array = (*this)[i];
  if (array.size() != size)
    throw py::value_error(std::string("an array of '") + name_ + "' has another size than its parameter");
  return array;
}

void List::require_size(int64_t size) const {
  if (this->size() != size) throw py::value_error(std::string("'") + name_ + "' and 'params' must have one length");
}

void Module::add(const Function& function) const {
  std::string doc = std::string(function.name) + "(";
  for (size_t i = 0; i < function.parameters.size(); ++i)
    doc += (i == 0 ? "" : ", ") + std::string(function.parameters[i].name) + ": " + python_type(function.kinds[i]);
  doc += function.returns_integer ? ") -> int" : ") -> None";
  // Python keeps pointers to all of these, for as long as the process lives.
  const Function* const kept = new Function(function);
  const std::string* const kept_doc = new std::string(doc);
  PyMethodDef* const method =
      new PyMethodDef{kept->name, reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(&call)),
                      METH_FASTCALL | METH_KEYWORDS, kept_doc->c_str()};
  const auto owned = [](PyObject* object) { return pybind11::reinterpret_steal<pybind11::object>(object); };
  const pybind11::object self = owned(PyCapsule_New(const_cast<Function*>(kept), nullptr, nullptr));
  const pybind11::object name = owned(PyModule_GetNameObject(module_));
  const pybind11::object made = owned(PyCFunction_NewEx(method, self.ptr(), name.ptr()));
  if (!made || PyModule_AddObjectRef(module_, kept->name, made.ptr()) < 0) throw pybind11::error_already_set();
}

}  // namespace einkorn
