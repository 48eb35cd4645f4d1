#include "cuda_host/memory.h"

#include <link.h>
#include <stdlib.h>
#include <string.h>

#include <map>
#include <mutex>
#include <new>
#include <vector>

#include "cuda_host/bulk.h"
#include "cuda_host/device.h"

namespace einkorn::cuda_host {

Accessor accessor;
bool in_kernel = false;

namespace {

constexpr uint32_t kPoison = 0x7fa5a5a5;  // a NaN in float32
constexpr size_t kGap = 4096;             // around each allocation, so that no small step leads into another one

// Threads above those that a block has: many of one warp, of one block, of several blocks.
constexpr uint32_t kManyOfWarp = 1u << 16, kManyOfBlock = 2u << 16, kManyBlocks = 3u << 16;

// Who accessed a granule last.
struct Stamp {
  uint32_t block, barrier, warp_barrier, thread;
};

// What is known of a granule: a few bytes that are written and read as one.
struct Cell {
  Stamp write, read;
  bool written, atomic;
};

struct Region {
  uintptr_t low, high;
  uint32_t granule;     // bytes
  bool from_elsewhere;  // not ours: written throughout
  bool is_shared;       // of the running block
  std::vector<Cell> cells;
};

std::mutex mutex;  // of the map; the cells belong to the thread that launches
std::map<uintptr_t, Region> regions;
Region* recent = nullptr;
Region statics, dynamic;  // shared memory: the writable data of this module, and what a launch asks for
uintptr_t constants_low, constants_high;

int find_segments(dl_phdr_info* info, size_t, void* inside) {
  const uintptr_t place = reinterpret_cast<uintptr_t>(inside);
  uintptr_t low = UINTPTR_MAX, high = 0, writable_low = UINTPTR_MAX, writable_high = 0;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const auto& segment = info->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD) continue;
    const uintptr_t begin = info->dlpi_addr + segment.p_vaddr, end = begin + segment.p_memsz;
    if (begin < low) low = begin;
    if (end > high) high = end;
    if (!(segment.p_flags & PF_W)) continue;
    if (begin < writable_low) writable_low = begin;
    if (end > writable_high) writable_high = end;
  }
  if (place < low || place >= high) return 0;
  constants_low = low;
  constants_high = high;
  statics.low = writable_low & ~uintptr_t{7};
  statics.high = writable_high;
  statics.granule = 1;
  statics.is_shared = true;
  statics.cells.resize(statics.high - statics.low);
  return 1;
}

Region* find(uintptr_t address) {
  if (recent != nullptr && address >= recent->low && address < recent->high) return recent;
  if (address >= statics.low && address < statics.high) return &statics;
  if (address >= dynamic.low && address < dynamic.high) return &dynamic;
  const auto after = regions.upper_bound(address);
  if (after == regions.begin()) return nullptr;
  Region& region = std::prev(after)->second;
  if (address >= region.high) return nullptr;
  return recent = &region;
}

bool is_concurrent(const Stamp& stamp) {
  if (stamp.block < accessor.first_block) return false;
  if (stamp.thread == kManyBlocks || stamp.block != accessor.block) return true;
  if (stamp.barrier != accessor.barrier || stamp.thread == accessor.thread) return false;
  if (stamp.thread == kManyOfBlock) return true;
  if (stamp.thread % kManyOfWarp / 32 != accessor.thread / 32) return true;
  return stamp.warp_barrier == accessor.warp_barrier;
}

Stamp stamp_of(uint32_t thread) {
  return {accessor.block, accessor.barrier, accessor.warp_barrier, thread};
}

[[noreturn]] void report_race(const Region& region, const char* did, const char* other, const Stamp& stamp) {
  const char* const what = region.is_shared ? "shared memory" : "an element";
  if (stamp.block != accessor.block || stamp.thread == kManyBlocks)
    fail("%s %s that another block %s in this launch", did, what, other);
  if (stamp.thread == kManyOfBlock) fail("%s %s that other threads %s since the last barrier", did, what, other);
  fail("%s %s that thread number %u of its block %s with no barrier between them", did, what,
       stamp.thread % kManyOfWarp, other);
}

// Whether nothing was written here: not by a kernel, and it looks as it did when it was made. Of elements smaller than a word all
// of the word has to, unless kernels write there: what the host wrote may look like a byte of the poison.
bool is_unwritten(const Region& region, const Cell& cell, uintptr_t address) {
  if (cell.written || region.from_elsewhere) return false;
  if (region.is_shared) return true;
  const char poison[4] = {'\xa5', '\xa5', '\xa5', '\x7f'};
  const auto is_poison = [&](uintptr_t at) { return *reinterpret_cast<const char*>(at) == poison[at % 4]; };
  bool all = true, by_kernels = false;
  for (uintptr_t at = address / 4 * 4; at < address / 4 * 4 + 4 && at < region.high; ++at) {
    all = all && is_poison(at);
    by_kernels = by_kernels || region.cells[(at - region.low) / region.granule].written;
  }
  return all || (by_kernels && is_poison(address));
}

void check_read(const Region& region, Cell& cell, uintptr_t address, bool atomic) {
  const bool stale = region.is_shared && cell.write.block != accessor.block;
  if (stale || is_unwritten(region, cell, address))
    fail("reads %s that nothing has written, at byte %zu", region.is_shared ? "shared memory" : "an element",
         static_cast<size_t>(address - region.low));
  if (is_concurrent(cell.write) && !(atomic && cell.atomic)) report_race(region, "reads", "wrote", cell.write);
  Stamp& read = cell.read;
  uint32_t reader = accessor.thread;
  const bool is_of_launch = read.block >= (region.is_shared ? accessor.block : accessor.first_block);
  if (is_of_launch && (read.thread != accessor.thread || read.block != accessor.block)) {
    if (read.block != accessor.block || read.thread == kManyBlocks) {
      reader = kManyBlocks;
    } else if (is_concurrent(read)) {
      const bool one_warp = read.thread < kManyOfBlock && read.thread % kManyOfWarp / 32 == accessor.thread / 32;
      reader = one_warp ? kManyOfWarp + accessor.thread : kManyOfBlock;
    }
  }
  read = stamp_of(reader);
}

void check_write(const Region& region, Cell& cell, bool atomic) {
  const bool is_stale = region.is_shared && cell.write.block != accessor.block;
  if (!is_stale && is_concurrent(cell.write) && !(atomic && cell.atomic))
    report_race(region, "writes", "wrote", cell.write);
  const bool is_of_block = !region.is_shared || cell.read.block == accessor.block;
  if (is_of_block && is_concurrent(cell.read) && !(atomic && cell.atomic))
    report_race(region, "writes", "read", cell.read);
  cell.write = stamp_of(accessor.thread);
  cell.written = true;
  cell.atomic = atomic;
}

[[noreturn]] void report_outside(uintptr_t address, size_t bytes, const char* did) {
  const Region* nearest = nullptr;
  int64_t distance = INT64_MAX;
  for (const auto& [low, region] : regions) {
    const int64_t d =
        address < low ? static_cast<int64_t>(low - address) : static_cast<int64_t>(address - region.high + 1);
    if (d < distance) {
      distance = d;
      nearest = &region;
    }
  }
  if (nearest == nullptr || distance > (1 << 20)) fail("%s %zu bytes out of bounds, far from any array", did, bytes);
  fail("%s %zu bytes out of bounds: at byte %lld of an array of %lld", did, bytes,
       static_cast<long long>(address - nearest->low), static_cast<long long>(nearest->high - nearest->low));
}

void access(uintptr_t address, size_t bytes, bool writes, bool reads, bool atomic) {
  if (!in_kernel) return;
  if (address >= accessor.stack_low && address + bytes <= accessor.stack_high) return;
  Region* const region = find(address);
  if (region == nullptr || address + bytes > region->high) {
    const bool is_constant = address >= constants_low && address < constants_high;
    const bool is_parameter = address >= accessor.host_stack_low && address - accessor.host_stack_low < (64 << 10);
    if (!writes && (is_constant || is_parameter)) return;
    report_outside(address, bytes, writes ? "writes" : "reads");
  }
  if (region == &dynamic && answers_for(address, bytes, writes)) return;
  const uintptr_t first = (address - region->low) / region->granule,
                  last = (address + bytes - 1 - region->low) / region->granule;
  // Of words that are read byte by byte the first one stands for all: writes mark every byte.
  const uintptr_t step = !writes && region->granule == 1 && address % 4 == 0 && bytes % 4 == 0 ? 4 : 1;
  for (uintptr_t i = first; i <= last; i += step) {
    const uintptr_t at = region->low + i * region->granule;
    if (reads) check_read(*region, region->cells[i], at, atomic);
    if (writes) check_write(*region, region->cells[i], atomic);
  }
}

Region& add_region(const void* low, size_t bytes, size_t item) {
  Region region = {};
  region.low = reinterpret_cast<uintptr_t>(low);
  region.high = region.low + bytes;
  region.granule = item >= 4 ? 4 : 1;
  region.cells.resize(bytes / region.granule + 1);
  const std::lock_guard<std::mutex> lock(mutex);
  recent = nullptr;
  return regions[region.low] = std::move(region);
}

void remove_region(const void* low) {
  const std::lock_guard<std::mutex> lock(mutex);
  recent = nullptr;
  regions.erase(reinterpret_cast<uintptr_t>(low));
}

}  // namespace

void* allocate_tracked(size_t bytes, size_t item) {
  char* const block = static_cast<char*>(aligned_alloc(256, (bytes + 2 * kGap + 255) / 256 * 256));
  if (block == nullptr) throw std::bad_alloc();
  char* const data = block + kGap;
  for (size_t i = 0; i + 4 <= bytes; i += 4) memcpy(data + i, &kPoison, 4);
  for (size_t i = bytes / 4 * 4; i < bytes; ++i) data[i] = reinterpret_cast<const char*>(&kPoison)[i % 4];
  add_region(data, bytes, item);
  return data;
}

void free_tracked(void* data) {
  if (data == nullptr) return;
  remove_region(data);
  free(static_cast<char*>(data) - kGap);
}

void track(const void* low, size_t bytes, size_t item) {
  add_region(low, bytes, item).from_elsewhere = true;
}

void untrack(const void* low) {
  remove_region(low);
}

bool is_tracked(const void* p) {
  return find(reinterpret_cast<uintptr_t>(p)) != nullptr;
}

int64_t first_unwritten(const void* p, size_t bytes) {
  const uintptr_t address = reinterpret_cast<uintptr_t>(p);
  Region* const region = find(address);
  if (region == nullptr || region->is_shared) return -1;
  for (uintptr_t at = address; at < address + bytes; at += region->granule)
    if (is_unwritten(*region, region->cells[(at - region->low) / region->granule], at))
      return static_cast<int64_t>(at - address);
  return -1;
}

void set_dynamic_shared(const void* low, size_t bytes) {
  if (constants_high == 0) dl_iterate_phdr(find_segments, &statics);
  dynamic.low = reinterpret_cast<uintptr_t>(low);
  dynamic.high = dynamic.low + bytes;
  dynamic.granule = 1;
  dynamic.is_shared = true;
  if (dynamic.cells.size() < bytes) dynamic.cells.resize(bytes);
}

void kernel_reads(const void* p, size_t bytes) {
  access(reinterpret_cast<uintptr_t>(p), bytes, false, true, false);
}

void atomic_access(const void* p, size_t bytes) {
  access(reinterpret_cast<uintptr_t>(p), bytes, true, true, true);
}

}  // namespace einkorn::cuda_host

// --- what the compiler calls for each access ---

using einkorn::cuda_host::access;

extern "C" {
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}  // exceptions of launches
void __tsan_vptr_read(void**) {}

#define EINKORN_ACCESS(name, bytes)                                    \
  void __tsan_read##name(void* p) {                                    \
    access(reinterpret_cast<uintptr_t>(p), bytes, false, true, false); \
  }                                                                    \
  void __tsan_write##name(void* p) {                                   \
    access(reinterpret_cast<uintptr_t>(p), bytes, true, false, false); \
  }                                                                    \
  void __tsan_unaligned_read##name(void* p) {                          \
    access(reinterpret_cast<uintptr_t>(p), bytes, false, true, false); \
  }                                                                    \
  void __tsan_unaligned_write##name(void* p) {                         \
    access(reinterpret_cast<uintptr_t>(p), bytes, true, false, false); \
  }                                                                    \
  void __tsan_volatile_read##name(void* p) {                           \
    access(reinterpret_cast<uintptr_t>(p), bytes, false, true, true);  \
  }                                                                    \
  void __tsan_volatile_write##name(void* p) {                          \
    access(reinterpret_cast<uintptr_t>(p), bytes, true, false, true);  \
  }
EINKORN_ACCESS(1, 1)
EINKORN_ACCESS(2, 2)
EINKORN_ACCESS(4, 4)
EINKORN_ACCESS(8, 8)
EINKORN_ACCESS(16, 16)
#undef EINKORN_ACCESS

void __tsan_read_range(void* p, size_t bytes) {
  access(reinterpret_cast<uintptr_t>(p), bytes, false, true, false);
}
void __tsan_write_range(void* p, size_t bytes) {
  access(reinterpret_cast<uintptr_t>(p), bytes, true, false, false);
}
}
