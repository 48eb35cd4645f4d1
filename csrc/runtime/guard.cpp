#include "runtime/guard.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

namespace einkorn {

namespace {

constexpr unsigned char kPattern = 0xa5, kPoison = 0xff;

std::atomic<const char*> running{"a kernel"};

[[noreturn]] void fail(const char* what, const char* part, size_t bytes, size_t at) {
  std::fprintf(stderr, "einkorn: %s: %s (a part of %zu bytes at %p, byte %zu)\n", running.load(), what, bytes,
               static_cast<const void*>(part), at);
  std::abort();
}

}  // namespace

void guard_launch(const char* kernel) {
  running.store(kernel, std::memory_order_relaxed);
}

void guard_part(Carving doing, char* part, size_t bytes, size_t room) {
#ifdef __SANITIZE_ADDRESS__
  if (doing == Carving::mark) {
    std::memset(part, kPoison, bytes);
    __asan_poison_memory_region(part + bytes, room - bytes);
  } else if (doing == Carving::verify) {
    __asan_unpoison_memory_region(part, room);
  } else if ((bytes > 0 && __asan_region_is_poisoned(part, bytes) != nullptr) ||
             __asan_address_is_poisoned(part + room - 1) == 0) {
    fail("takes scratch that is laid out otherwise", part, bytes, 0);
  }
#else
  if (doing == Carving::mark) {
    std::memset(part, kPoison, bytes);
    std::memset(part + bytes, kPattern, room - bytes);
    return;
  }
  for (size_t at = bytes; at < room; ++at)
    if (static_cast<unsigned char>(part[at]) != kPattern)
      fail(doing == Carving::verify ? "wrote past the end of its scratch"
                                    : "takes scratch that is laid out otherwise, or was written past its end",
           part, bytes, at);
#endif
}

}  // namespace einkorn
