#include "cuda_host/bulk.h"

#include <string.h>

#include <bit>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "cuda_host/device.h"
#include "cuda_host/memory.h"

namespace einkorn::cuda_host {

namespace {

// Where a block's shared memory begins: aligned as little as hardware promises.
constexpr uint32_t kWindow = 1024 + 16;
constexpr unsigned kChunk = 16;  // bytes that keep together
constexpr unsigned kAll = 0xffffffffu;

// A barrier with phases: one ends when all arrivals and all bytes that it waits for are there.
struct Phases {
  unsigned arrivals, missing;
  int64_t bytes = 0;
  uint32_t done = 0;  // phases that have ended
  uint32_t made_by, made_at;
  std::vector<uint32_t> seen;  // by each thread: phases that it knows to have ended
  uint32_t latest = 0, latest_at = 0,
           handed = 0;  // by any thread, and those since when a barrier of the block was passed
};

struct Copy {
  uint32_t number;
  uint32_t to;  // from the beginning of shared memory
  TensorMap map;
  int32_t at[4];
  const void* barrier;
};

// What fills a chunk of shared memory.
struct Filling {
  const void* barrier;
  uint32_t phase;
  bool landed;
};

unsigned threads_of_block;
char* base;
std::map<const void*, Phases> barriers;
std::deque<Copy> under_way;
std::vector<Filling> fillings;    // by the number of the copy, less one
std::vector<uint32_t> filled_by;  // of each chunk: number of the copy, 0: none
struct Matrices {
  uint64_t a, b;
  int groups;
  bool operator==(const Matrices&) const = default;
};
std::vector<std::vector<Matrices>> made;  // of each four warps, in order

Phases& phases_at(const void* barrier, const char* what) {
  const auto found = barriers.find(barrier);
  if (found == barriers.end()) fail("%s a barrier that was not made", what);
  Phases& phases = found->second;
  if (phases.made_by != accessor.thread && phases.made_at == accessor.barrier)
    fail("%s a barrier that thread number %u makes, with no barrier of the block between them", what, phases.made_by);
  return phases;
}

void end_phase_if_due(Phases& phases) {
  if (phases.missing != 0 || phases.bytes != 0) return;
  ++phases.done;
  phases.missing = phases.arrivals;
}

struct Awaited {
  const void* barrier;
  unsigned parity;
};

bool has_ended(const void* context) {
  const auto* const awaited = static_cast<const Awaited*>(context);
  return barriers[awaited->barrier].done % 2 != awaited->parity;
}

uint32_t turned_by(Swizzle swizzle, uint32_t address) {
  switch (swizzle) {
    case Swizzle::bytes_128:
      return address ^ (address >> 3 & 0x70);
    case Swizzle::bytes_64:
      return address ^ (address >> 3 & 0x30);
    case Swizzle::bytes_32:
      return address ^ (address >> 3 & 0x10);
    default:
      return address;
  }
}

// The chunk must be there for this thread.
void check_landed(uint32_t chunk, const char* did) {
  const uint32_t number = filled_by[chunk];
  const Filling& filling = fillings[number - 1];
  if (!filling.landed) fail("%s shared memory that a copy under way is filling, at byte %u", did, chunk * kChunk);
  Phases& phases = barriers[filling.barrier];
  if (phases.latest_at != accessor.barrier) phases.handed = phases.latest;
  if (phases.seen[accessor.thread] <= filling.phase && phases.handed <= filling.phase)
    fail("%s shared memory at byte %u without having waited for the copy that fills it", did, chunk * kChunk);
}

// Where the numbers of a matrix are, by its descriptor.
class Layout {
 public:
  explicit Layout(const SharedMatrix& matrix) : turned_(matrix.turned) {
    const uint64_t word = matrix.descriptor;
    const auto field = [&](int from) { return static_cast<uint32_t>(word >> from & 0x3fff) << 4; };
    start_ = field(0), leading_ = field(16), stride_ = field(32);
    swizzle_ = static_cast<Swizzle>(word >> 62);
    if ((word >> 49 & 7) != 0) fail("multiplies a matrix whose descriptor has a base offset, which is not known here");
    // Bytes of a row of the pattern, 8 of which follow one another.
    width_ = swizzle_ == Swizzle::none       ? 16
             : swizzle_ == Swizzle::bytes_32 ? 32
             : swizzle_ == Swizzle::bytes_64 ? 64
                                             : 128;
  }

  float number(unsigned row, unsigned k) const {
    const bool plain = swizzle_ == Swizzle::none;
    uint32_t address = start_;
    if (!turned_) {
      address += row % 8 * width_ + row / 8 * stride_ + (plain ? k / 8 * leading_ + k % 8 * 2 : k * 2);
    } else {
      const uint32_t across = row / (width_ / 2), down = k / 8;
      address += row % (width_ / 2) * 2 + k % 8 * width_;
      address += plain ? across * stride_ + down * leading_ : across * leading_ + down * stride_;
    }
    address = turned_by(swizzle_, address);
    const uint32_t offset = address - kWindow, chunk = offset / kChunk;
    if (address < kWindow || chunk >= filled_by.size())
      fail("multiplies a matrix that reaches to address %u, outside of the block's shared memory", address);
    if (filled_by[chunk] != 0)
      check_landed(chunk, "multiplies");
    else
      kernel_reads(base + offset, 2);
    uint16_t bits;
    memcpy(&bits, base + offset, 2);
    return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
  }

 private:
  uint32_t start_, leading_, stride_, width_;
  Swizzle swizzle_;
  bool turned_;
};

float half_of(uint32_t pair, unsigned k) {
  return std::bit_cast<float>(k % 2 == 0 ? pair << 16 : pair & 0xffff0000u);
}

}  // namespace

uint32_t shared_address(const void* p) {
  const char* const place = static_cast<const char*>(p);
  if (place < base || place >= base + filled_by.size() * kChunk)
    fail("takes the address of what is no dynamic shared memory");
  return kWindow + static_cast<uint32_t>(place - base);
}

void phase_init(const void* barrier, unsigned arrivals) {
  (void)shared_address(barrier);
  Phases phases;
  phases.arrivals = phases.missing = arrivals;
  phases.made_by = accessor.thread;
  phases.made_at = accessor.barrier;
  phases.seen.resize(threads_of_block);
  barriers[barrier] = phases;
}

void phase_arrive(const void* barrier, unsigned bytes) {
  Phases& phases = phases_at(barrier, "arrives at");
  if (phases.missing == 0) fail("arrives at a barrier once more than its phase has arrivals");
  phases.bytes += bytes;
  --phases.missing;
  end_phase_if_due(phases);
}

void phase_wait(const void* barrier, unsigned parity) {
  Phases& phases = phases_at(barrier, "waits at");
  const Awaited awaited = {barrier, parity};
  if (!has_ended(&awaited)) {
    const std::string what = "waits for phases of parity " + std::to_string(parity) + " of the barrier at byte " +
                             std::to_string(shared_address(barrier) - kWindow) + " of shared memory";
    suspend_until(has_ended, &awaited, what.c_str());
  }
  phases.seen[accessor.thread] = phases.done;
  if (phases.latest_at != accessor.barrier) phases.handed = phases.latest;
  phases.latest = phases.done;
  phases.latest_at = accessor.barrier;
}

void copy_box(void* to, const TensorMap& map, const int32_t (&at)[4], const void* barrier) {
  phases_at(barrier, "copies for");
  const uint32_t address = shared_address(to), offset = address - kWindow, bytes = map.columns * map.rows * 2;
  if (address % 128 != 0) fail("copies to shared memory at address %u, which is not aligned to 128 bytes", address);
  if (offset + bytes > filled_by.size() * kChunk) fail("copies %u bytes beyond the block's shared memory", bytes);
  for (unsigned r = 0; r < map.rows; ++r) {  // what is read must be there to be read
    const int64_t row = at[1] + static_cast<int64_t>(r);
    if (row < 0 || row >= map.sizes[1] || at[0] >= map.sizes[0]) continue;
    const int64_t left = map.sizes[0] - at[0], count = left < map.columns ? left : map.columns;
    const int64_t first = at[0] + row * map.steps[1] + at[2] * map.steps[2] + at[3] * map.steps[3];
    kernel_reads(static_cast<const uint16_t*>(map.data) + first, static_cast<size_t>(count) * 2);
  }
  fillings.push_back({barrier, 0, false});
  const auto number = static_cast<uint32_t>(fillings.size());
  for (uint32_t chunk = offset / kChunk; chunk < (offset + bytes) / kChunk; ++chunk) {
    if (filled_by[chunk] != 0 && !fillings[filled_by[chunk] - 1].landed)
      fail("copies to shared memory that another copy under way is filling, at byte %u", chunk * kChunk);
    filled_by[chunk] = number;
  }
  Copy copy = {number, offset, map, {}, barrier};
  memcpy(copy.at, at, sizeof copy.at);
  under_way.push_back(copy);
}

bool copies_under_way() {
  return !under_way.empty();
}

bool land_copy() {
  if (under_way.empty()) return false;
  const Copy copy = under_way.front();
  under_way.pop_front();
  const TensorMap& map = copy.map;
  for (unsigned r = 0; r < map.rows; ++r)
    for (unsigned c = 0; c < map.columns; ++c) {
      const int64_t place[4] = {copy.at[0] + static_cast<int64_t>(c), copy.at[1] + static_cast<int64_t>(r), copy.at[2],
                                copy.at[3]};
      int64_t from = 0;
      bool inside = true;
      for (int d = 0; d < 4; ++d) {
        inside = inside && place[d] >= 0 && place[d] < map.sizes[d];
        from += place[d] * map.steps[d];
      }
      const uint32_t flat = kWindow + copy.to + (r * map.columns + c) * 2;
      const uint16_t bits = inside ? static_cast<const uint16_t*>(map.data)[from] : uint16_t{0};
      memcpy(base + (turned_by(map.swizzle, flat) - kWindow), &bits, 2);
    }
  Phases& phases = barriers[copy.barrier];
  Filling& filling = fillings[copy.number - 1];
  filling.phase = phases.done;
  filling.landed = true;
  phases.bytes -= static_cast<int64_t>(map.columns) * map.rows * 2;
  end_phase_if_due(phases);
  return true;
}

bool answers_for(uintptr_t address, size_t bytes, bool writes) {
  if (fillings.empty()) return false;
  const auto offset = static_cast<uint32_t>(address - reinterpret_cast<uintptr_t>(base));
  bool all = true;
  for (uint32_t chunk = offset / kChunk; chunk <= (offset + bytes - 1) / kChunk; ++chunk) {
    if (filled_by[chunk] == 0) {
      all = false;
      continue;
    }
    check_landed(chunk, writes ? "writes" : "reads");
    if (writes) {
      filled_by[chunk] = 0;
      all = false;
    }
  }
  return all;
}

void begin_bulk(unsigned threads) {
  threads_of_block = threads;
  base = static_cast<char*>(dynamic_shared());
  filled_by.assign(dynamic_shared_bytes() / kChunk, 0);
  barriers.clear();
  under_way.clear();
  fillings.clear();
  made.assign((threads + 127) / 128, {});
}

void check_begun(bool begun) {
  if (!begun) fail("multiplies by groups of warps without having begun a group of products");
}

void multiply_by_group(float* d, int groups, const uint32_t* registers, SharedMatrix a, SharedMatrix b, bool add,
                       unsigned number) {
  const unsigned thread = accessor.thread, lane = thread % 32, row = lane / 4, pair = lane % 4;
  if (ballot(kAll, true) != kAll) fail("multiplies with a part of its warp");
  std::vector<Matrices>& of_group = made[thread / 128];
  const Matrices matrices = {registers == nullptr ? a.descriptor : 0, b.descriptor, groups};
  if (number == of_group.size())
    of_group.push_back(matrices);
  else if (number > of_group.size() || of_group[number] != matrices)
    fail("multiplies other matrices than the threads of its four warps");
  float left[2][16];
  if (registers != nullptr) {
    for (unsigned k = 0; k < 16; ++k)
      for (unsigned part = 0; part < 2; ++part) {  // the lane that has (row, k): pairs of k within 8, and 8 further
        uint32_t word = registers[part + k / 8 * 2];
        shuffle(WarpOp::shuffle, kAll, &word, sizeof word, static_cast<int>(row * 4 + k % 8 / 2), 32);
        left[part][k] = half_of(word, k);
      }
  } else {
    const Layout of_a(a);
    for (unsigned k = 0; k < 16; ++k)
      for (unsigned part = 0; part < 2; ++part) left[part][k] = of_a.number(thread % 128 / 32 * 16 + row + part * 8, k);
  }
  const Layout of_b(b);
  for (unsigned n = 0; n < static_cast<unsigned>(groups); ++n)
    for (unsigned e = 0; e < 2; ++e) {
      float upper = add ? d[4 * n + e] : 0, lower = add ? d[4 * n + 2 + e] : 0;
      for (unsigned k = 0; k < 16; ++k) {
        const float right = of_b.number(n * 8 + pair * 2 + e, k);
        upper += left[0][k] * right;
        lower += left[1][k] * right;
      }
      d[4 * n + e] = upper;
      d[4 * n + 2 + e] = lower;
    }
}

}  // namespace einkorn::cuda_host
