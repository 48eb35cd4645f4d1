// One pool, one job at a time, and one 32-bit word that says everything about the job: the gate.
//
//     gate:   | waiting | places (15 bits) | active (15 bits) |
//
//   caller    publish: places = helpers wanted        close: places = 0        join: until active = 0
//   worker              enter: places - 1, active + 1            leave: places = 0, active - 1
//
// A worker that finds places > 0 takes one by compare-and-swap, and the place it took is its slot. It grabs tasks from
// a shared counter until none is left, then leaves and shuts the gate behind it, for nobody who comes later would find
// work. So the caller waits for those who entered, never for a worker that still sleeps or lost its core to another
// process: when nobody comes the caller just runs all tasks itself. That is what keeps small jobs cheap on a busy
// machine.
//
// Waiting, on both sides, is first a spin on the gate, then a futex. A worker spins for kSpin after its last job, long
// enough to bridge the Python between two ops of a training step, and then burns nothing. Idle workers sleep on the
// gate itself; `sleepers` tells the caller whether it has to wake any. Publishing (store gate, load sleepers) against
// falling asleep (increment sleepers, compare gate in the futex) is sequentially consistent, so one of the two sees the
// other.
//
// A worker that the kernel wakes on the caller's core would take turns with it, for tens of milliseconds, while another
// core idles: it steps aside before it grabs. (On a machine whose kernel does that, jobs of 100 us of two threads beside two
// other busy processes: 196 us, stepping aside 99.)
//
// Measured on two cores of an EPYC 9005, two threads, medians:
//
//     a job in which both threads must take part, back to back    0.2 to 1.2 us, by how near the cores are
//     the same with the worker asleep                              27 us
//     two tasks of 2 us, back to back                             2.2 us   (one thread: 4.1 us)
//     two tasks of 50 us, after a pause of 300 us                  78 us   (one thread: 101 us)
//     two tasks of 20 us, other processes keep both cores busy     41 us   (one thread: 41 us)
//     16 threads on the two cores, 640 us of work                 370 us

#include "runtime/threads.h"

#include <pthread.h>
#include <signal.h>
#include <stdint.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <string>
#include <thread>

#include "runtime/cpu.h"
#include "runtime/parallel.h"

#ifdef __linux__
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace einkorn {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;

constexpr auto kSpin = microseconds(50);
constexpr auto kYield = microseconds(200);

// In nanoseconds of work on one core. Below kSerialBelow a second thread gains less than the handshake costs.
// Below kWakeFrom sleeping workers are left asleep, because waking one costs the caller several microseconds and it
// arrives when the job is over; unless the last such job ended less than kStream ago: a worker woken now will then
// still be spinning when the next one comes.
#ifdef EINKORN_CHECKED  // every job is shared, so that those of small arrays are looked at, too
constexpr double kSerialBelow = 1e-9, kPerThread = 1e-9, kWakeFrom = 0;
#else
constexpr double kSerialBelow = 6e3;
constexpr double kPerThread = 3e3;
constexpr double kWakeFrom = 60e3;
#endif
constexpr auto kStream = microseconds(40);

// Tasks shorter than this are grabbed several at a time, so that the shared counter does not become the bottleneck.
#ifdef EINKORN_CHECKED
constexpr double kGrab = 1e-9;
#else
constexpr double kGrab = 4e3;
#endif

using Word = std::atomic<uint32_t>;

#ifdef __linux__
void sleep_while(Word& word, uint32_t value) {
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAIT_PRIVATE, value, nullptr, nullptr, 0);
}
void wake(Word& word, int count) {
  syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAKE_PRIVATE, count, nullptr, nullptr, 0);
}
int this_cpu() {
  return sched_getcpu();
}

// Moves this thread to another core: forbidden its own for a moment, it cannot stay.
void step_aside(int cpu) {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  cpu_set_t others = allowed;
  CPU_CLR(cpu, &others);
  if (CPU_COUNT(&others) == 0 || sched_setaffinity(0, sizeof others, &others) != 0) return;
  sched_setaffinity(0, sizeof allowed, &allowed);
}
#else
void sleep_while(Word& word, uint32_t value) {
  word.wait(value);
}
void wake(Word& word, int) {
  word.notify_all();
}
int this_cpu() {
  return -1;
}
void step_aside(int) {}
#endif

inline void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ __volatile__("isb");  // `yield` does nothing on most cores
#endif
}

// The rounding mode and the treatment of denormals belong to a thread. Workers take over the caller's, otherwise
// results would depend on who ran a task.
inline uint64_t float_mode() {
#if defined(__x86_64__)
  return __builtin_ia32_stmxcsr() & ~0x3fu;  // without the sticky exception flags
#elif defined(__aarch64__)
  uint64_t mode;
  __asm__ __volatile__("mrs %0, fpcr" : "=r"(mode));
  return mode;
#else
  return 0;
#endif
}

inline void set_float_mode([[maybe_unused]] uint64_t mode) {
#if defined(__x86_64__)
  __builtin_ia32_ldmxcsr(static_cast<unsigned>(mode));
#elif defined(__aarch64__)
  __asm__ __volatile__("msr fpcr, %0" : : "r"(mode));
#endif
}

// Asking takes the interpreter's lock, so it is done when tasks of this much work, in estimated nanoseconds, are done and so
// much time has passed: a handful of instructions a task at most.
constexpr double kAskAfter = 20e6;
constexpr auto kAskEvery = std::chrono::milliseconds(100);

struct Asking {
  Asker asker;
  double unseen = 0;
  Clock::time_point asked{};

  // Whether to stop, after this much work more.
  bool after(double work) {
    if ((unseen += work) < kAskAfter) return false;
    unseen = 0;
    if (asker.ask == nullptr) return false;
    const auto now = Clock::now();
    if (now - asked < kAskEvery) return false;
    asked = now;
    return asker.ask(asker.context);
  }
};

thread_local Asking asking;

// True while this thread runs tasks: parallel_run within is serial.
thread_local bool inside = false;

constexpr uint32_t kActive = 1u;
constexpr uint32_t kPlace = 1u << 15;
constexpr uint32_t kActiveMask = kPlace - 1;
constexpr uint32_t kPlacesMask = kActiveMask << 15;
constexpr uint32_t kWaiting = 1u << 30;
static_assert(kMaxThreads < static_cast<int>(kPlace));

constexpr uint32_t active(uint32_t gate) {
  return gate & kActiveMask;
}
constexpr uint32_t places(uint32_t gate) {
  return (gate & kPlacesMask) / kPlace;
}

class Pool {
 public:
  // One caller at a time. The others run their jobs alone.
  bool acquire() {
    return !taken_.load(std::memory_order_relaxed) && !taken_.exchange(true, std::memory_order_acquire);
  }
  void release() { taken_.store(false, std::memory_order_release); }

  // Whether the caller was told to stop.
  bool run(int threads, int64_t tasks, double cost, TaskBody body, void* context);

 private:
  void grow(int workers);
  void serve();
  int enter();
  bool grab(int slot);
  void leave();
  void wake_workers(int helpers, double work);
  void join();

  // What a worker needs to begin lies on one cache line.
  alignas(64) Word gate_{0};
  TaskBody body_ = nullptr;
  void* context_ = nullptr;
  int64_t tasks_ = 0;
  int64_t chunk_ = 1;
  double cost_ = 0;
  uint64_t float_mode_ = 0;
  int caller_cpu_ = -1;

  alignas(64) std::atomic<int64_t> next_{0};  // the first task that nobody has grabbed

  alignas(64) std::atomic<int> sleepers_{0};
  Word joined_{0};
  std::atomic<bool> may_spin_{true};

  alignas(64) std::atomic<bool> taken_{false};
  int workers_ = 0;
  const int cpus_ = usable_cpus();
  bool leaves_asleep_ = false;       // this job is too small to wake anybody for
  Clock::time_point left_asleep_{};  // when the last such job ended
};

bool Pool::run(int threads, int64_t tasks, double cost, TaskBody body, void* context) {
  grow(threads - 1);
  const int helpers = std::min(threads - 1, workers_);
  const double grabbed_at_once = kGrab / cost;
  const int64_t fair_share = tasks / (4 * threads);
  body_ = body;
  context_ = context;
  tasks_ = tasks;
  cost_ = cost;
  chunk_ = std::max<int64_t>(1, grabbed_at_once < fair_share ? static_cast<int64_t>(grabbed_at_once) : fair_share);
  float_mode_ = float_mode();
  caller_cpu_ = this_cpu();
  next_.store(0, std::memory_order_relaxed);
  may_spin_.store(threads <= cpus_, std::memory_order_relaxed);

  gate_.store(helpers * kPlace, std::memory_order_seq_cst);
  wake_workers(helpers, cost * static_cast<double>(tasks));
  const bool stops = grab(0);
  join();
  if (leaves_asleep_) left_asleep_ = Clock::now();
  return stops;
}

// Workers never end: they sleep, detached, and touch nothing but the pool, which is never destroyed either. So there is
// nothing to shut down at interpreter exit.
void Pool::grow(int workers) {
  if (workers_ >= workers) return;
  // Signals are for the interpreter's threads.
  sigset_t every, before;
  sigfillset(&every);
  pthread_sigmask(SIG_SETMASK, &every, &before);
  try {
    for (; workers_ < workers; workers_++) std::thread([this] { serve(); }).detach();
  } catch (const std::exception&) {
    // No more threads to be had: those we have do the work.
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void Pool::serve() {
#ifdef __linux__
  pthread_setname_np(pthread_self(), "einkorn");
#endif
  inside = true;
  for (;;) {
    const int slot = enter();
    if (caller_cpu_ >= 0 && caller_cpu_ == this_cpu() && may_spin_.load(std::memory_order_relaxed))
      step_aside(caller_cpu_);
    if (float_mode() != float_mode_) set_float_mode(float_mode_);
    grab(slot);
    leave();
  }
}

int Pool::enter() {
  auto last = Clock::now();
  for (int spins = 1;; spins++) {
    uint32_t gate = gate_.load(std::memory_order_acquire);
    while (places(gate) > 0)
      if (gate_.compare_exchange_weak(gate, gate - kPlace + kActive, std::memory_order_acquire)) return places(gate);
    if (spins % 16 != 0) {
      relax();
    } else if (!may_spin_.load(std::memory_order_relaxed) || Clock::now() - last > kSpin) {
      sleepers_.fetch_add(1, std::memory_order_seq_cst);
      sleep_while(gate_, gate);
      sleepers_.fetch_sub(1, std::memory_order_seq_cst);
      last = Clock::now();
    }
  }
}

// Slot 0 is the caller's. When it is to stop, it takes all tasks that are left and leaves them undone.
bool Pool::grab(int slot) {
  for (;;) {
    int64_t task = next_.fetch_add(chunk_, std::memory_order_relaxed);
    if (task >= tasks_) return false;
    const int64_t end = std::min(task + chunk_, tasks_);
    for (; task < end; task++) body_(context_, task, slot);
    if (slot == 0 && asking.after(cost_ * static_cast<double>(chunk_))) {
      next_.store(tasks_, std::memory_order_relaxed);
      return true;
    }
  }
}

void Pool::leave() {
  uint32_t gate = gate_.load(std::memory_order_relaxed);
  uint32_t after;
  do {
    after = (gate & ~kPlacesMask) - kActive;
  } while (!gate_.compare_exchange_weak(gate, after, std::memory_order_release, std::memory_order_relaxed));
  if (after == kWaiting) {
    joined_.store(1, std::memory_order_release);
    wake(joined_, 1);
  }
}

void Pool::wake_workers(int helpers, double work) {
  leaves_asleep_ = false;
  const int sleepers = sleepers_.load(std::memory_order_seq_cst);
  const int wanted = std::min(sleepers, helpers - (workers_ - sleepers));
  if (wanted <= 0) return;
  if (work < kWakeFrom && Clock::now() - left_asleep_ > kStream) {
    leaves_asleep_ = true;
    return;
  }
  wake(gate_, wanted);
}

void Pool::join() {
  uint32_t gate = gate_.fetch_and(~kPlacesMask, std::memory_order_acq_rel) & ~kPlacesMask;
  if (active(gate) == 0) return;
  const bool may_spin = may_spin_.load(std::memory_order_relaxed);
  const auto start = Clock::now();
  for (int spins = 1;; spins++) {
    gate = gate_.load(std::memory_order_acquire);
    if (active(gate) == 0) return;
    if (spins % 16 != 0) {
      relax();
      continue;
    }
    const auto waited = Clock::now() - start;
    if (may_spin && waited < kSpin) continue;
    if (waited > kYield) break;
    std::this_thread::yield();
  }
  joined_.store(0, std::memory_order_relaxed);
  while (!gate_.compare_exchange_weak(gate, gate | kWaiting, std::memory_order_acq_rel, std::memory_order_acquire))
    if (active(gate) == 0) return;
  while (joined_.load(std::memory_order_acquire) == 0) sleep_while(joined_, 0);
  gate_.load(
      std::memory_order_acquire);  // that was the last worker's word; what the others wrote they left at the gate
}

std::atomic<Pool*> current_pool{nullptr};

// A child process has none of its parent's threads, and the pool's state is whatever it was at the fork: the child
// makes a pool of its own when it needs one and never looks at the old. Registered when the library is loaded, before
// any pool.
[[maybe_unused]] const int registered =
    pthread_atfork(nullptr, nullptr, [] { current_pool.store(nullptr, std::memory_order_relaxed); });

// Null when there is no memory for it.
Pool* pool() noexcept {
  Pool* existing = current_pool.load(std::memory_order_acquire);
  if (existing != nullptr) return existing;
  Pool* fresh = nullptr;
  try {
    fresh = new Pool;
  } catch (const std::exception&) {
    return nullptr;
  }
  if (current_pool.compare_exchange_strong(existing, fresh)) return fresh;
  delete fresh;  // another thread was quicker
  return existing;
}

// Whether the caller was told to stop.
bool run_alone(int64_t tasks, double cost, TaskBody body, void* context) {
  const bool was_inside = inside;
  const double work = cost * static_cast<double>(tasks);
  inside = true;
  if (was_inside || work < kAskAfter) {
    for (int64_t task = 0; task < tasks; task++) body(context, task, 0);
    inside = was_inside;
    return !was_inside && asking.after(work);
  }
  bool stops = false;
  for (int64_t task = 0; task < tasks && !stops; task++) {
    body(context, task, 0);
    stops = asking.after(cost);
  }
  inside = false;
  return stops;
}

std::atomic<int> threads_setting{0};  // 0 until it is asked for

[[noreturn]] void refuse(const std::string& name, const std::string& value) {
  throw std::invalid_argument(name + " is " + value + ", expected a whole number from 1 to " +
                              std::to_string(kMaxThreads));
}

}  // namespace

void parallel_run(int threads, int64_t tasks, double cost, TaskBody body, void* context) {
  const double work = cost * static_cast<double>(tasks);
  threads = std::min(threads, kMaxThreads);
  if (threads > 1 && tasks > 1 && work >= kSerialBelow && !inside) {
    const double useful = std::min(static_cast<double>(tasks), work / kPerThread);
    if (useful < threads) threads = static_cast<int>(useful);
    if (Pool* const p = pool(); p != nullptr && p->acquire()) {
      inside = true;
      const bool stops = p->run(threads, tasks, cost, body, context);
      inside = false;
      p->release();
      if (stops) throw Interrupted();
      return;
    }
  }
  if (run_alone(tasks, cost, body, context)) throw Interrupted();
}

namespace {

constexpr int kMaxStepThreads = 64;
// A step of less work for each thread, in nanoseconds, is done before the others have heard that it began.
constexpr double kStepPerThread = 1.5e3;

// Each participant has a range of the tasks and takes those of others when its own are taken. A range counts the tasks that
// were ever taken of it, so that nothing needs to be reset between steps; the steps that are done follow from the tasks that
// are. A participant who comes late, or never, is not waited for.
struct Steps {
  struct alignas(64) Range {
    std::atomic<int64_t> taken{0};
  };

  int64_t steps, tasks;
  int ranges;
  StepBody body;
  void* context;
  bool asks;    // the caller is in no task of another job
  double work;  // of one thread in one step, in nanoseconds
  std::atomic<bool> stops{false};
  alignas(64) std::atomic<int64_t> done{0};
  Range range[kMaxStepThreads];

  // The next of the range's `count` tasks in this step, or -1.
  static int64_t take(Range& range, int64_t step, int64_t count) {
    int64_t taken = range.taken.load(std::memory_order_relaxed);
    while (taken < (step + 1) * count)
      if (range.taken.compare_exchange_weak(taken, taken + 1, std::memory_order_relaxed)) return taken - step * count;
    return -1;
  }

  void participate(int own, int slot) {
    for (;;) {
      const int64_t step = done.load(std::memory_order_acquire) / tasks;
      if (step == steps) return;
      if (slot == 0 && asks && asking.after(work)) stops.store(true, std::memory_order_relaxed);
      if (stops.load(std::memory_order_relaxed)) return;
      int64_t finished = 0;
      for (int r = 0; r < ranges; ++r) {
        const int which = (own + r) % ranges;
        const int64_t first = tasks * which / ranges, count = tasks * (which + 1) / ranges - first;
        for (int64_t task; (task = take(range[which], step, count)) >= 0; ++finished)
          body(context, step, first + task, slot);
      }
      if (finished > 0) done.fetch_add(finished, std::memory_order_acq_rel);
      wait_for((step + 1) * tasks);
    }
  }

  void wait_for(int64_t count) const {
    const auto start = Clock::now();
    for (int spins = 1; done.load(std::memory_order_acquire) < count; spins++) {
      if (stops.load(std::memory_order_relaxed)) return;
      if (spins % 64 != 0 || Clock::now() - start < kSpin)
        relax();
      else
        std::this_thread::yield();
    }
  }
};

}  // namespace

void parallel_run_steps(int threads, int64_t steps, int64_t tasks, double cost, StepBody body, void* context) {
  if (steps <= 0 || tasks <= 0) return;
  const double work = cost * static_cast<double>(tasks);
  threads = std::min({threads, kMaxStepThreads, static_cast<int>(std::min<int64_t>(tasks, kMaxStepThreads))});
  if (work / kStepPerThread < threads) threads = static_cast<int>(work / kStepPerThread);
  if (threads <= 1) {
    for (int64_t step = 0; step < steps; ++step) {
      for (int64_t task = 0; task < tasks; ++task) body(context, step, task, 0);
      if (!inside && asking.after(work)) throw Interrupted();
    }
    return;
  }
  Steps all{steps, tasks, threads, body, context, !inside, work / threads};
  parallel_run(
      threads, threads, work * static_cast<double>(steps) / threads,
      [](void* shared, int64_t own, int slot) {
        static_cast<Steps*>(shared)->participate(static_cast<int>(own), slot);
      },
      &all);
  if (all.stops.load(std::memory_order_relaxed)) throw Interrupted();
}

int default_num_threads() {
  const char* const text = std::getenv("EINKORN_NUM_THREADS");
  if (text == nullptr || *text == '\0') return std::min(usable_cores(), kMaxThreads);
  int value = 0;
  const char* const end = text + std::char_traits<char>::length(text);
  const auto parsed = std::from_chars(text, end, value);
  if (parsed.ec != std::errc() || parsed.ptr != end || value < 1 || value > kMaxThreads)
    refuse("EINKORN_NUM_THREADS", std::string("'") + text + "'");
  return value;
}

int num_threads() {
  int threads = threads_setting.load(std::memory_order_relaxed);
  if (threads == 0) {
    threads = default_num_threads();
    threads_setting.store(threads, std::memory_order_relaxed);
  }
  return threads;
}

Asker exchange_asker(Asker asker) {
  const Asker before = asking.asker;
  asking.asker = asker;
  return before;
}

void set_num_threads(int threads) {
  if (threads < 1 || threads > kMaxThreads) refuse("number of threads", std::to_string(threads));
  threads_setting.store(threads, std::memory_order_relaxed);
}

}  // namespace einkorn
