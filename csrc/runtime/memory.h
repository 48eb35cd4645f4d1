// Memory for array outputs and scratch: 64-byte aligned blocks that are kept and handed out again.
//
// Why a cache: the system allocator gives large blocks back to the kernel when they are freed, and the next one is made
// of fresh pages, 2,048 page faults for an 8 MB result. That costs more than most kernels that would write it.

#pragma once

#include <stddef.h>
#include <stdint.h>

#include <new>

namespace einkorn {

constexpr size_t kAlignment = 64;

struct MemoryStats {
  int64_t allocated;    // bytes in use now, size classes included
  int64_t cached;       // bytes held ready for reuse
  int64_t peak;         // largest `allocated` so far
  int64_t hits;         // allocations served from the cache
  int64_t misses;       // allocations served by the system
  int64_t limit;        // bound on allocated + cached
  int64_t cache_limit;  // bound on cached: half of `limit`
};

// The text names the request, the bytes in use and the limit.
class OutOfMemory : public std::bad_alloc {
 public:
  OutOfMemory(size_t bytes, const MemoryStats& stats, bool over_limit) noexcept;
  const char* what() const noexcept override { return text_; }

 private:
  char text_[256];
};

// A block of at least `bytes` bytes, 64-byte aligned, contents undefined. Throws OutOfMemory after dropping the cache.
void* allocate(size_t bytes);

// Gives back a block; `bytes` is what was asked for. Any thread may call it, at any time, interpreter exit included.
void deallocate(void* block, size_t bytes) noexcept;

MemoryStats memory_stats() noexcept;

// Bounds allocated + cached and drops cached blocks beyond it; 0 restores the default, usable_memory().
// Blocks in use stay, also when they exceed the new limit: only further requests fail.
void set_memory_limit(int64_t bytes) noexcept;

// Returns every cached block to the system.
void empty_cache() noexcept;

// A block that lives as long as the scope it is declared in.
class Scratch {
 public:
  explicit Scratch(size_t bytes) : bytes_(bytes), data_(bytes ? static_cast<char*>(allocate(bytes)) : nullptr) {}
  ~Scratch() {
    if (data_) deallocate(data_, bytes_);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  char* data() const { return data_; }  // null when 0 bytes were asked for

 private:
  size_t bytes_;
  char* data_;
};

}  // namespace einkorn
