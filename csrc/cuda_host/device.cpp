#include "cuda_host/device.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "cuda_host/bulk.h"
#include "cuda_host/memory.h"

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace einkorn::cuda_host {

namespace {

constexpr unsigned kWarp = 32, kMostThreads = 1024;
constexpr size_t kStackBytes = 256 << 10, kSharedBytes = 228 << 10;

// --- fibers ---

#if defined(__x86_64__)

struct Context {
  void* stack_pointer;
};

// Keeps what a function call must keep, changes stacks, and returns on the other one.
extern "C" void einkorn_switch_stacks(void** save, void* load);
asm(R"(
.text
.type einkorn_switch_stacks, @function
einkorn_switch_stacks:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size einkorn_switch_stacks, .-einkorn_switch_stacks
)");

void switch_to(Context& from, Context& to) {
  einkorn_switch_stacks(&from.stack_pointer, to.stack_pointer);
}

void prepare(Context& context, char* stack, void (*entry)()) {
  void** top = reinterpret_cast<void**>(stack + kStackBytes) - 3;  // aligned as after a call
  *--top = reinterpret_cast<void*>(entry);
  for (int i = 0; i < 6; ++i) *--top = nullptr;
  context.stack_pointer = top;
}

#else

struct Context {
  ucontext_t state;
};

void switch_to(Context& from, Context& to) {
  swapcontext(&from.state, &to.state);
}

void prepare(Context& context, char* stack, void (*entry)()) {
  getcontext(&context.state);
  context.state.uc_stack = {stack, 0, kStackBytes};
  context.state.uc_link = nullptr;
  makecontext(&context.state, entry, 0);
}

#endif

enum class State { runnable, at_barrier, at_warp_op, at_condition, ended };

struct Thread {
  Context context;
  State state;
  uint3 index;
  WarpOp op;
  unsigned mask;
  int operand, width;
  size_t bytes;
  unsigned char value[16], answer[16];
  bool (*holds)(const void*);  // at_condition
  const void* condition;
  const char* what;
};

struct Device {
  std::mutex mutex;
  Context scheduler;
  std::unique_ptr<Thread[]> threads{new Thread[kMostThreads]};
  char* stacks = nullptr;
  std::vector<char> shared = std::vector<char>(kSharedBytes);
  size_t shared_bytes = 0;
  uint32_t blocks_ever = 0;
  uint32_t warp_barriers[kMostThreads / kWarp];

  const char* kernel;
  uint3 grid, block, block_at;
  unsigned count;  // threads of a block
  void (*body)(void*);
  void* context;
  unsigned now;  // the thread that runs
  std::string fault;
};

Device device;

Thread& current() {
  return device.threads[device.now];
}

void suspend(State state) {
  current().state = state;
  switch_to(current().context, device.scheduler);
}

void thread_main() {
  device.body(device.context);
  in_kernel = false;
  suspend(State::ended);
}

void resume(unsigned t) {
  device.now = t;
  accessor.thread = t;
  accessor.warp_barrier = device.warp_barriers[t / kWarp];
  accessor.stack_low = reinterpret_cast<uintptr_t>(device.stacks + t * kStackBytes);
  accessor.stack_high = accessor.stack_low + kStackBytes;
  in_kernel = true;
  switch_to(device.scheduler, device.threads[t].context);
  in_kernel = false;
}

std::string name_of(uint3 i) {
  char text[48];
  snprintf(text, sizeof text, "(%u,%u,%u)", i.x, i.y, i.z);
  return text;
}

std::string place_of(unsigned t) {
  return std::string("kernel ") + device.kernel + ", block " + name_of(device.block_at) + ", thread " +
         name_of(device.threads[t].index);
}

const char* describe(const Thread& thread) {
  switch (thread.state) {
    case State::at_barrier:
      return "waits at __syncthreads";
    case State::at_warp_op:
      return thread.op == WarpOp::barrier ? "waits at __syncwarp"
                                          : (thread.op == WarpOp::ballot ? "waits at a vote" : "waits at a shuffle");
    case State::at_condition:
      return thread.what;
    case State::ended:
      return "has ended";
    default:
      return "runs";
  }
}

// The lane whose value lane `lane` receives.
unsigned source_lane(const Thread& thread, unsigned lane) {
  const unsigned width = static_cast<unsigned>(thread.width), base = lane & ~(width - 1);
  const unsigned operand = static_cast<unsigned>(thread.operand);
  switch (thread.op) {
    case WarpOp::shuffle:
      return base + (operand & (width - 1));
    case WarpOp::shuffle_up:
      return lane < base + operand ? lane : lane - operand;
    case WarpOp::shuffle_down:
      return lane + operand >= base + width ? lane : lane + operand;
    default:
      return (lane ^ operand) >= base + width ? lane : lane ^ operand;
  }
}

// Carries out the operation that the lanes of `mask` have reached. False and a fault where they do not agree.
bool complete(unsigned first, unsigned mask) {
  Thread* const lanes = &device.threads[first];
  const unsigned leader = static_cast<unsigned>(__builtin_ctz(mask));
  const Thread& model = lanes[leader];
  unsigned votes = 0;
  for (unsigned l = 0; l < kWarp; ++l) {
    if (!(mask >> l & 1)) continue;
    Thread& lane = lanes[l];
    if (lane.op != model.op || lane.bytes != model.bytes) {
      device.fault = place_of(first + l) + " " + describe(lane) + " and lane " + std::to_string(leader) +
                     " of its warp " + describe(model) + ": the lanes of a mask must reach one operation";
      return false;
    }
    votes |= static_cast<unsigned>(lane.value[0] != 0) << l;
    if (lane.op == WarpOp::barrier || lane.op == WarpOp::ballot) continue;
    const unsigned source = source_lane(lane, l);
    if (source >= kWarp || !(mask >> source & 1)) {
      device.fault = place_of(first + l) + " shuffles from lane " + std::to_string(source) + ", which takes no part";
      return false;
    }
    memcpy(lane.answer, lanes[source].value, lane.bytes);
  }
  for (unsigned l = 0; l < kWarp; ++l) {
    if (!(mask >> l & 1)) continue;
    if (lanes[l].op == WarpOp::ballot) memcpy(lanes[l].answer, &votes, sizeof votes);
    lanes[l].state = State::runnable;
  }
  if (model.op == WarpOp::barrier) ++device.warp_barriers[first / kWarp];
  return true;
}

// Lets go the warps' operations that all lanes of their masks have reached. Whether any was.
bool complete_warps() {
  bool any = false;
  for (unsigned first = 0; first < device.count; first += kWarp) {
    const unsigned lanes = device.count - first < kWarp ? device.count - first : kWarp;
    for (unsigned l = 0; l < lanes; ++l) {
      const Thread& thread = device.threads[first + l];
      if (thread.state != State::at_warp_op) continue;
      bool all = true;
      for (unsigned other = 0; all && other < kWarp; ++other)
        if (thread.mask >> other & 1)
          all = other < lanes && device.threads[first + other].state == State::at_warp_op &&
                device.threads[first + other].mask == thread.mask;
      if (!all) continue;
      if (!complete(first, thread.mask)) return false;
      any = true;
    }
  }
  return any;
}

// Lets go the threads whose conditions hold. Whether any was.
bool complete_conditions() {
  bool any = false;
  for (unsigned t = 0; t < device.count; ++t) {
    Thread& thread = device.threads[t];
    if (thread.state != State::at_condition || !thread.holds(thread.condition)) continue;
    thread.state = State::runnable;
    any = true;
  }
  return any;
}

void run_block() {
  for (unsigned t = 0; t < device.count; ++t) {
    Thread& thread = device.threads[t];
    const uint3 size = device.block;
    thread.index = {t % size.x, t / size.x % size.y, t / size.x / size.y};
    thread.state = State::runnable;
    prepare(thread.context, device.stacks + t * kStackBytes, thread_main);
  }
  memset(device.warp_barriers, 0, sizeof device.warp_barriers);
  accessor.block = ++device.blocks_ever;
  accessor.barrier = 0;
  begin_bulk(device.count);
  for (;;) {
    for (unsigned t = 0; t < device.count; ++t) {
      if (device.threads[t].state == State::runnable) resume(t);
      if (!device.fault.empty()) return;
    }
    if (complete_conditions()) continue;  // before others of their block go on: they may be too early
    if (complete_warps()) continue;
    if (!device.fault.empty()) return;
    unsigned waiting = 0, ended = 0, at_warp_op = device.count, other = device.count;
    unsigned at_condition = device.count;
    for (unsigned t = 0; t < device.count; ++t) {
      const State state = device.threads[t].state;
      waiting += state == State::at_barrier;
      ended += state == State::ended;
      if (state == State::at_warp_op && at_warp_op == device.count) at_warp_op = t;
      if (state == State::at_condition && at_condition == device.count) at_condition = t;
      if (state != State::at_barrier && other == device.count) other = t;
    }
    if (ended == device.count) {
      if (copies_under_way())
        device.fault = place_of(0) + " and its block end while a copy to its shared memory is under way";
      return;
    }
    if (waiting == device.count) {
      for (unsigned t = 0; t < device.count; ++t) device.threads[t].state = State::runnable;
      ++accessor.barrier;
      continue;
    }
    if (land_copy()) continue;        // what goes on beside the threads takes its next step
    if (at_warp_op < device.count) {  // name a lane of its mask that does not come
      const Thread& thread = device.threads[at_warp_op];
      const unsigned first = at_warp_op / kWarp * kWarp;
      std::string missing = "a lane that the block does not have";
      for (unsigned l = 0; l < kWarp && first + l < device.count; ++l) {
        const Thread& lane = device.threads[first + l];
        if ((thread.mask >> l & 1) && (lane.state != State::at_warp_op || lane.mask != thread.mask))
          missing = "thread " + name_of(lane.index) + " of its mask, which " + describe(lane);
      }
      device.fault = place_of(at_warp_op) + " " + describe(thread) + " for " + missing;
    } else if (at_condition < device.count) {
      device.fault = place_of(at_condition) + " " + describe(device.threads[at_condition]) + ", which nothing ends";
    } else {
      unsigned waits = 0;
      while (device.threads[waits].state != State::at_barrier) ++waits;
      device.fault = place_of(waits) + " waits at __syncthreads, a barrier that thread " +
                     name_of(device.threads[other].index) + " does not reach: it " + describe(device.threads[other]);
    }
    return;
  }
}

}  // namespace

uint3 thread_index() {
  return current().index;
}
uint3 block_index() {
  return device.block_at;
}
uint3 block_size() {
  return device.block;
}
uint3 grid_size() {
  return device.grid;
}

void fail(const char* format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  in_kernel = false;
  device.fault = place_of(device.now) + " " + text;
  suspend(State::ended);  // never resumed: the launch is over
  __builtin_unreachable();
}

void block_barrier() {
  suspend(State::at_barrier);
}

namespace {

void wait_for_warp(WarpOp op, unsigned mask) {
  Thread& thread = current();
  if (!(mask >> (device.now % kWarp) & 1)) fail("names a mask, 0x%08x, that leaves itself out", mask);
  thread.op = op;
  thread.mask = mask;
  suspend(State::at_warp_op);
}

}  // namespace

void warp_barrier(unsigned mask) {
  current().bytes = 0;
  wait_for_warp(WarpOp::barrier, mask);
}

void shuffle(WarpOp op, unsigned mask, void* value, size_t bytes, int operand, int width) {
  Thread& thread = current();
  if (bytes > sizeof thread.value) fail("shuffles %zu bytes", bytes);
  if (width < 1 || width > 32 || (width & (width - 1)) != 0) fail("shuffles with width %d", width);
  memcpy(thread.value, value, bytes);
  thread.bytes = bytes;
  thread.operand = operand;
  thread.width = width;
  wait_for_warp(op, mask);
  memcpy(value, thread.answer, bytes);
}

unsigned ballot(unsigned mask, bool predicate) {
  Thread& thread = current();
  thread.value[0] = predicate;
  thread.bytes = 1;
  wait_for_warp(WarpOp::ballot, mask);
  unsigned votes;
  memcpy(&votes, thread.answer, sizeof votes);
  return votes;
}

void* dynamic_shared() {
  return device.shared.data();
}

size_t dynamic_shared_bytes() {
  return device.shared_bytes;
}

void suspend_until(bool (*holds)(const void*), const void* context, const char* what) {
  Thread& thread = current();
  thread.holds = holds;
  thread.condition = context;
  thread.what = what;
  suspend(State::at_condition);
}

void run_grid(const char* kernel, uint3 grid, uint3 block, size_t shared_bytes, void (*thread)(void*), void* context) {
  const std::lock_guard<std::mutex> lock(device.mutex);
  const uint64_t count = static_cast<uint64_t>(block.x) * block.y * block.z;
  if (count == 0 || count > kMostThreads || grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.y > 65535 ||
      grid.z > 65535 || shared_bytes > kSharedBytes)
    throw Fault(std::string("kernel ") + kernel + ": a grid " + name_of(grid) + " of blocks " + name_of(block) +
                " with " + std::to_string(shared_bytes) + " bytes of shared memory cannot be launched");
  if (device.stacks == nullptr) {
    void* stacks = mmap(nullptr, kMostThreads * kStackBytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stacks == MAP_FAILED) throw std::bad_alloc();
    device.stacks = static_cast<char*>(stacks);
  }
  device.kernel = kernel;
  device.grid = grid;
  device.block = block;
  device.count = static_cast<unsigned>(count);
  device.body = thread;
  device.context = context;
  device.shared_bytes = shared_bytes;
  device.fault.clear();
  accessor.first_block = device.blocks_ever + 1;
  accessor.host_stack_low = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  set_dynamic_shared(device.shared.data(), shared_bytes);
  for (unsigned z = 0; z < grid.z; ++z)
    for (unsigned y = 0; y < grid.y; ++y)
      for (unsigned x = 0; x < grid.x; ++x) {
        device.block_at = {x, y, z};
        run_block();
        if (!device.fault.empty()) throw Fault(device.fault);
      }
}

}  // namespace einkorn::cuda_host
