// A free list per size class, under one lock.
//
// Size classes: four steps between powers of two, so at most a fifth of a block is unused (64, 128, 192, 256, then 320,
// 384, 448, 512, 640, 768, ...). A request takes the last freed block of its class, the one most likely still in the
// CPU's cache. A free block holds its list's link in its own first bytes; blocks in use carry no header, because
// whoever frees one knows its size.
//
// Two bounds keep the cache honest: allocated + cached stays below `limit`, cached below half of that. Where room is
// needed, the class that was left alone for longest gives up its blocks first, so that a program that moves on to other
// shapes does not drag the old ones along.
//
// Blocks of 2 MiB and more are mapped directly, aligned to 2 MiB and marked for huge pages: one page fault instead of
// 512. Those from 64 KiB to there are cut from regions of huge pages one after the other: activations of a small network
// are of that size, and walking through pages of 4 KiB takes a core that waits for the last cache 3% longer (a training
// step of GPT 4x128, whose 30 MB are 8,000 such pages). Given back to the system, such a block keeps its place and its
// first page: it is vacant, and the next one of its class that the system is asked for.

#include "runtime/memory.h"

#include <pthread.h>
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <mutex>

#include "runtime/cpu.h"

namespace einkorn {
namespace {

constexpr size_t kHugePage = size_t{2} << 20, kPage = size_t{4} << 10;
constexpr size_t kCutFrom = size_t{64} << 10, kRegion = 8 * kHugePage;
constexpr size_t kLargestRequest = size_t{1} << 47;  // beyond the address space of any machine we run on

struct FreeBlock {
  FreeBlock* next;
  size_t bytes;
};
static_assert(sizeof(FreeBlock) <= kAlignment);

// In units of 64 bytes, minus one: 0 to 3 are classes of their own; above, the three leading bits choose the class.
constexpr int size_class(size_t bytes) {
  const size_t m = bytes == 0 ? 0 : (bytes - 1) / kAlignment;
  if (m < 4) return static_cast<int>(m);
  const int k = std::bit_width(m) - 3;
  return 4 * k + static_cast<int>(m >> k);
}

constexpr size_t class_bytes(int c) {
  if (c < 8) return (c + 1) * kAlignment;
  const int k = c / 4 - 1;
  return ((static_cast<size_t>(c) - 4 * k + 1) << k) * kAlignment;
}

constexpr int kClasses = size_class(kLargestRequest) + 1;

static_assert(size_class(64) == 0 && size_class(65) == 1 && size_class(256) == 3 && size_class(257) == 4);
static_assert(class_bytes(size_class(513)) == 640 && class_bytes(size_class(640)) == 640);
static_assert(class_bytes(size_class(kHugePage)) == kHugePage && class_bytes(kClasses - 1) == kLargestRequest);

// Aligned to a huge page and made of such where the system has them.
void* map_huge(size_t bytes) {
  const size_t mapped = bytes + kHugePage;
  void* const map = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (map == MAP_FAILED) return nullptr;
  char* const begin = static_cast<char*>(map);
  const size_t head = -reinterpret_cast<uintptr_t>(begin) % kHugePage;
  if (head > 0) munmap(begin, head);
  if (head < kHugePage) munmap(begin + head + bytes, kHugePage - head);
#ifdef MADV_HUGEPAGE
  madvise(begin + head, bytes, MADV_HUGEPAGE);
#endif
  return begin + head;
}

constexpr bool is_cut(size_t bytes) {
#ifdef MADV_HUGEPAGE
  return bytes >= kCutFrom && bytes < kHugePage;
#else
  return false;
#endif
}

void* system_allocate(size_t bytes) {
  return bytes < kHugePage ? std::aligned_alloc(kAlignment, bytes) : map_huge(bytes);
}

void system_release(void* block, size_t bytes) {
  if (bytes < kHugePage)
    std::free(block);
  else
    munmap(block, bytes);
}

// The pages of a cut block but its first, which says where it is.
void empty_pages(FreeBlock* block) {
  const auto at = reinterpret_cast<uintptr_t>(block), end = (at + block->bytes) / kPage * kPage;
  const uintptr_t begin = (at + sizeof(FreeBlock) + kPage - 1) / kPage * kPage;
  madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

class Cache {
 public:
  Cache();

  void* allocate(size_t bytes);
  void deallocate(void* block, size_t bytes) noexcept;
  void set_limit(int64_t bytes) noexcept;
  void clear() noexcept;
  MemoryStats stats() noexcept;

  std::mutex mutex;

 private:
  struct Class {
    FreeBlock* free = nullptr;
    FreeBlock* vacant = nullptr;  // without their pages
    int64_t used_at = 0;          // value of `clock_` when a block was last taken or given back
  };

  // Unlinks cached blocks until allocated + cached <= total and cached <= cached_most, or none is left. The caller
  // releases them after it has unlocked, because munmap of a large block takes long.
  FreeBlock* shrink(int64_t total, int64_t cached_most);
  void give_back(FreeBlock* chain) noexcept;
  // With the lock held: a block that is cut from a region, or null.
  void* cut(int size_class, size_t bytes);

  Class classes_[kClasses];
  char* region_ = nullptr;  // what is left of the last one
  size_t region_left_ = 0;
  MemoryStats stats_{};
  int64_t clock_ = 0;
};

// Never destroyed: arrays may outlive every static object.
Cache& cache() {
  static Cache& instance = *new Cache;
  return instance;
}

// A child process must not find the lock held by a thread that it does not have.
Cache::Cache() {
  stats_.limit = usable_memory();
  stats_.cache_limit = stats_.limit / 2;
  pthread_atfork([] { cache().mutex.lock(); }, [] { cache().mutex.unlock(); }, [] { cache().mutex.unlock(); });
}

FreeBlock* Cache::shrink(int64_t total, int64_t cached_most) {
  FreeBlock* chain = nullptr;
  const auto too_much = [&] {
    return stats_.cached > 0 && (stats_.cached > cached_most || stats_.allocated + stats_.cached > total);
  };
  while (too_much()) {
    Class* oldest = nullptr;
    for (Class& c : classes_)
      if (c.free != nullptr && (oldest == nullptr || c.used_at < oldest->used_at)) oldest = &c;
    while (oldest->free != nullptr && too_much()) {
      FreeBlock* const block = oldest->free;
      oldest->free = block->next;
      stats_.cached -= static_cast<int64_t>(block->bytes);
      block->next = chain;
      chain = block;
    }
  }
  return chain;
}

void Cache::give_back(FreeBlock* chain) noexcept {
  while (chain != nullptr) {
    FreeBlock* const block = chain;
    chain = block->next;
    if (!is_cut(block->bytes)) {
      system_release(block, block->bytes);
      continue;
    }
    empty_pages(block);
    const std::lock_guard<std::mutex> lock(mutex);
    Class& own = classes_[size_class(block->bytes)];
    block->next = own.vacant;
    own.vacant = block;
  }
}

void* Cache::cut(int size_class, size_t bytes) {
  Class& own = classes_[size_class];
  if (FreeBlock* const block = own.vacant) {
    own.vacant = block->next;
    return block;
  }
  if (region_left_ < bytes) {
    auto* const region = static_cast<char*>(map_huge(kRegion));
    if (region == nullptr) return nullptr;
    region_ = region;
    region_left_ = kRegion;
  }
  void* const block = region_;
  region_ += bytes;
  region_left_ -= bytes;
  return block;
}

void* Cache::allocate(size_t bytes) {
  if (bytes > kLargestRequest) throw OutOfMemory(bytes, stats(), true);
  const int c = size_class(bytes);
  const size_t size = class_bytes(c);
  const auto signed_size = static_cast<int64_t>(size);

  std::unique_lock<std::mutex> lock(mutex);
  Class& own = classes_[c];
  own.used_at = ++clock_;
  if (FreeBlock* const block = own.free) {
    own.free = block->next;
    stats_.hits++;
    stats_.cached -= signed_size;
    stats_.allocated += signed_size;
    stats_.peak = std::max(stats_.peak, stats_.allocated);
    return block;
  }

  FreeBlock* const evicted = shrink(stats_.limit - signed_size, stats_.limit);
  const bool over_limit = stats_.allocated + signed_size > stats_.limit;
  if (!over_limit) stats_.allocated += signed_size;  // reserved, so that two threads cannot both take the last bytes
  lock.unlock();
  give_back(evicted);
  if (over_limit) throw OutOfMemory(bytes, stats(), true);

  const auto from_system = [&]() -> void* {
    if (!is_cut(size)) return system_allocate(size);
    const std::lock_guard<std::mutex> cutting(mutex);
    return cut(c, size);
  };
  void* block = from_system();
  if (block == nullptr) {
    clear();
    block = from_system();
  }
  lock.lock();
  if (block == nullptr) {
    stats_.allocated -= signed_size;
    lock.unlock();
    throw OutOfMemory(bytes, stats(), false);
  }
  stats_.misses++;
  stats_.peak = std::max(stats_.peak, stats_.allocated);
  return block;
}

void Cache::deallocate(void* data, size_t bytes) noexcept {
  const int c = size_class(bytes);
  auto* const block = static_cast<FreeBlock*>(data);
  block->bytes = class_bytes(c);
  FreeBlock* evicted = nullptr;
  {
    const std::lock_guard<std::mutex> lock(mutex);
    Class& own = classes_[c];
    own.used_at = ++clock_;
    block->next = own.free;
    own.free = block;
    stats_.allocated -= static_cast<int64_t>(block->bytes);
    stats_.cached += static_cast<int64_t>(block->bytes);
    if (stats_.cached > stats_.cache_limit || stats_.allocated + stats_.cached > stats_.limit)
      evicted = shrink(stats_.limit, stats_.cache_limit);
  }
  give_back(evicted);
}

void Cache::set_limit(int64_t bytes) noexcept {
  FreeBlock* evicted;
  {
    const std::lock_guard<std::mutex> lock(mutex);
    stats_.limit = bytes > 0 ? bytes : usable_memory();
    stats_.cache_limit = stats_.limit / 2;
    evicted = shrink(stats_.limit, stats_.cache_limit);
  }
  give_back(evicted);
}

void Cache::clear() noexcept {
  FreeBlock* evicted;
  {
    const std::lock_guard<std::mutex> lock(mutex);
    evicted = shrink(0, 0);
  }
  give_back(evicted);
}

MemoryStats Cache::stats() noexcept {
  const std::lock_guard<std::mutex> lock(mutex);
  return stats_;
}

struct Readable {
  char text[32];
  explicit Readable(double bytes) {
    const char* const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    int unit = 0;
    for (; bytes >= 1024 && unit < 4; unit++) bytes /= 1024;
    std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.2f %s", bytes, units[unit]);
  }
};

}  // namespace

OutOfMemory::OutOfMemory(size_t bytes, const MemoryStats& stats, bool over_limit) noexcept {
  const Readable request(static_cast<double>(bytes)), in_use(static_cast<double>(stats.allocated)),
      limit(static_cast<double>(stats.limit));
  if (over_limit)
    std::snprintf(text_, sizeof text_,
                  "cannot allocate %s (%zu bytes): %s are in use and the limit is %s "
                  "(einkorn.memory.set_limit changes it)",
                  request.text, bytes, in_use.text, limit.text);
  else
    std::snprintf(text_, sizeof text_, "cannot allocate %s (%zu bytes): the system has no more memory; %s are in use",
                  request.text, bytes, in_use.text);
}

#ifdef __SANITIZE_ADDRESS__
// Each block its own, and no larger than asked for, so that AddressSanitizer sees its ends and who uses it too late.
void* allocate(size_t bytes) {
  void* block = nullptr;
  if (bytes > kLargestRequest || posix_memalign(&block, kAlignment, bytes) != 0)
    throw OutOfMemory(bytes, memory_stats(), false);
  return block;
}
void deallocate(void* block, size_t) noexcept {
  std::free(block);
}
#else
void* allocate(size_t bytes) {
  return cache().allocate(bytes);
}
void deallocate(void* block, size_t bytes) noexcept {
  cache().deallocate(block, bytes);
}
#endif
MemoryStats memory_stats() noexcept {
  return cache().stats();
}
void set_memory_limit(int64_t bytes) noexcept {
  cache().set_limit(bytes);
}
void empty_cache() noexcept {
  cache().clear();
}

}  // namespace einkorn
