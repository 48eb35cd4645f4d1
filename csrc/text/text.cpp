#include "text/text.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <map>
#include <mutex>
#include <thread>

namespace einkorn::text {

constexpr size_t kPoints = 0x110000;

Characters::Characters(std::string_view classes) {
  if (classes.size() != kPoints) throw Refused("the classes of characters must be 0x110000 bytes");
  std::map<std::string_view, uint16_t> known;
  for (size_t at = 0; at < kPoints; at += 256) {
    const std::string_view block = classes.substr(at, 256);
    const auto [place, is_new] = known.try_emplace(block, static_cast<uint16_t>(known.size()));
    if (is_new) blocks_.insert(blocks_.end(), block.begin(), block.end());
    index_.push_back(place->second);
  }
}

void StringTable::reserve(size_t strings) {
  size_t wanted = 64;
  while (wanted < strings * 2) wanted *= 2;
  if (wanted <= slots_.size()) return;
  slots_.assign(wanted, 0);
  for (size_t i = 0; i < entries_.size(); ++i) {
    size_t slot = entries_[i].hash & (wanted - 1);
    while (slots_[slot] != 0) slot = (slot + 1) & (wanted - 1);
    slots_[slot] = static_cast<uint32_t>(i + 1);
  }
}

size_t StringTable::slot_of(std::string_view wanted, uint64_t hash) const {
  size_t slot = hash & (slots_.size() - 1);
  while (slots_[slot] != 0) {
    const Entry& entry = entries_[slots_[slot] - 1];
    if (entry.hash == hash && string(slots_[slot] - 1) == wanted) break;
    slot = (slot + 1) & (slots_.size() - 1);
  }
  return slot;
}

int64_t& StringTable::insert(std::string_view string, int64_t value) {
  if (entries_.size() * 2 >= slots_.size()) reserve(entries_.size() * 2 + 64);
  const uint64_t hash = hash_of(string);
  const size_t slot = slot_of(string, hash);
  if (slots_[slot] == 0) {
    if (entries_.size() >= 0x7FFFFFFF) throw Refused("more than 2147483647 different strings");
    entries_.push_back({hash, bytes_.size(), string.size(), value});
    bytes_.append(string);
    slots_[slot] = static_cast<uint32_t>(entries_.size());
    if (string.size() > longest_) longest_ = string.size();
  }
  return entries_[slots_[slot] - 1].value;
}

int32_t StringTable::add(std::string_view string, int32_t value) {
  return static_cast<int32_t>(insert(string, value));
}

int64_t& StringTable::count(std::string_view string) {
  return insert(string, 0);
}

int32_t StringTable::find(std::string_view string) const {
  if (slots_.empty() || string.size() > longest_) return kAbsent;
  const uint32_t entry = slots_[slot_of(string, hash_of(string))];
  return entry == 0 ? kAbsent : static_cast<int32_t>(entries_[entry - 1].value);
}

bool (*was_interrupted)() = nullptr;

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kPatience{100};

thread_local const std::atomic<bool>* given_up = nullptr;  // of a thread that in_parallel started
thread_local Clock::time_point last_asked{};

}  // namespace

void ask_for_signals() {
  if (given_up != nullptr) {
    if (given_up->load(std::memory_order_relaxed)) throw Interrupted{};
    return;
  }
  const Clock::time_point now = Clock::now();
  if (was_interrupted == nullptr || now - last_asked < kPatience) return;
  last_asked = now;
  if (was_interrupted()) throw Interrupted{};
}

void in_parallel(size_t tasks, size_t bytes, int threads, const std::function<void(size_t)>& work) {
  constexpr size_t kWorthAThread = 1 << 15;  // bytes: starting a thread takes as long as tokenising some thousand
  size_t workers = bytes / kWorthAThread + 1;
  if (workers > static_cast<size_t>(threads < 1 ? 1 : threads))
    workers = static_cast<size_t>(threads < 1 ? 1 : threads);
  if (workers > tasks) workers = tasks;
  std::atomic<size_t> next{0};
  std::atomic<bool> stop{false};
  std::mutex lock;
  std::condition_variable changed;
  size_t running = 0;
  std::exception_ptr failure;
  const auto guarded = [&](const auto& doing) {
    try {
      doing();
    } catch (...) {
      const std::lock_guard<std::mutex> guard(lock);
      if (!failure) failure = std::current_exception();
      stop.store(true, std::memory_order_relaxed);
    }
  };
  const auto run = [&] {
    for (size_t task; (task = next.fetch_add(1)) < tasks;) {
      ask_for_signals();
      work(task);
    }
  };
  std::vector<std::thread> others;
  try {
    for (size_t i = 1; i < workers; ++i) {
      const std::lock_guard<std::mutex> guard(lock);
      others.emplace_back([&] {
        given_up = &stop;
        guarded(run);
        const std::lock_guard<std::mutex> ended(lock);
        --running;
        changed.notify_one();
      });
      ++running;
    }
  } catch (const std::system_error&) {
    // No more threads to be had: those that started do the work.
  }
  guarded(run);
  for (;;) {
    std::unique_lock<std::mutex> guard(lock);
    if (changed.wait_for(guard, kPatience, [&] { return running == 0; })) break;
    if (failure) continue;
    guard.unlock();
    guarded([] { ask_for_signals(); });
  }
  for (std::thread& thread : others) thread.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace einkorn::text
