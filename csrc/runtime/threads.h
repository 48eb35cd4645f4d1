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

}  // namespace einkorn
