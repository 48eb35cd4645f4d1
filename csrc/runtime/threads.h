// The thread pool behind parallel_run (parallel.h), and how many threads kernels may use.

#pragma once

namespace einkorn {

constexpr int kMaxThreads = 1024;

// EINKORN_NUM_THREADS when it is set, otherwise one thread for each usable core.
// Throws std::invalid_argument when the variable is not a whole number from 1 to kMaxThreads.
int default_num_threads();

// Threads a kernel may use, the calling one included. Starts as default_num_threads() and throws as that does.
int num_threads();

// Throws std::invalid_argument unless 1 <= threads <= kMaxThreads.
void set_num_threads(int threads);

// Whether to stop: asked now and then, between tasks, by the thread that launched a kernel.
struct Asker {
  bool (*ask)(void* context) = nullptr;
  void* context = nullptr;
};

// Sets whom the calling thread asks and returns whom it asked before.
Asker exchange_asker(Asker asker);

// What parallel_run throws, once all threads have left the job, when the asker said to stop. It unwinds the kernel, which
// holds nothing: memory is the caller's.
struct Interrupted {};

}  // namespace einkorn
