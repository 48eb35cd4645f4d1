// Running a kernel without the global interpreter lock.

#pragma once

#include <Python.h>
#include <unistd.h>

namespace einkorn {

// Like pybind11's gil_scoped_release, but it survives the interpreter's exit. A daemon thread that asks for the lock
// then is ended by Python (before 3.14) with pthread_exit, which unwinds the stack as an exception does and ends the
// whole process with std::terminate when it meets a destructor. Such a thread has nothing left to do: here it waits for
// the process to end.
class WithoutGil {
 public:
  WithoutGil() : state_(PyEval_SaveThread()) {}
  ~WithoutGil() {
    try {
      PyEval_RestoreThread(state_);
    } catch (...) {
      for (;;) pause();
    }
  }
  WithoutGil(const WithoutGil&) = delete;
  WithoutGil& operator=(const WithoutGil&) = delete;

 private:
  PyThreadState* state_;
};

}  // namespace einkorn
