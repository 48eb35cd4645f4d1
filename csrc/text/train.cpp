#include "text/train.h"

#include <algorithm>
#include <queue>

namespace einkorn::text {

namespace {

template <class Visit>
void each_unit(std::string_view word, const Training& training, std::string& unit, const Visit& visit) {
  for (size_t at = 0, step = 0; at < word.size(); ++step) {
    ask_at(step);
    const size_t size = training.bytes ? 1 : character_at(word, at).size;
    unit.assign(word.substr(at, size));
    at += size;
    if (at == word.size()) unit += training.suffix;
    visit(unit);
  }
}

struct Candidate {
  int64_t count;
  uint64_t pair;

  bool operator<(const Candidate& other) const {
    return count != other.count ? count < other.count : pair > other.pair;
  }
};

// The counts of pairs and the words that have them.
class Pairs {
 public:
  struct Pair {
    uint64_t key;
    int64_t count = 0;
    std::vector<uint32_t> words;
    bool touched = false;  // since the last merge
  };

  static uint64_t key_of(int32_t left, int32_t right) {
    return static_cast<uint64_t>(left) << 32 | static_cast<uint32_t>(right);
  }

  Pair& at(uint64_t key) {
    if (pairs_.size() * 2 >= slots_.size()) grow();
    size_t slot = mixed(key, 1) & (slots_.size() - 1);
    for (; slots_[slot] != 0; slot = (slot + 1) & (slots_.size() - 1))
      if (pairs_[slots_[slot] - 1].key == key) return pairs_[slots_[slot] - 1];
    pairs_.push_back({key, 0, {}, false});
    slots_[slot] = static_cast<uint32_t>(pairs_.size());
    return pairs_.back();
  }

  const std::vector<Pair>& all() const { return pairs_; }

 private:
  void grow() {
    slots_.assign(slots_.empty() ? 1 << 12 : slots_.size() * 2, 0);
    for (size_t i = 0; i < pairs_.size(); ++i) {
      size_t slot = mixed(pairs_[i].key, 1) & (slots_.size() - 1);
      while (slots_[slot] != 0) slot = (slot + 1) & (slots_.size() - 1);
      slots_[slot] = static_cast<uint32_t>(i + 1);
    }
  }

  std::vector<uint32_t> slots_;
  std::vector<Pair> pairs_;
};

}  // namespace

void count_units(const StringTable& words, const Training& training, StringTable& units) {
  std::string unit;
  for (size_t i = 0; i < words.size(); ++i)
    each_unit(words.string(i), training, unit, [&](const std::string& u) { units.count(u) += words.value(i); });
}

std::vector<Merge> train(const StringTable& words, const Training& training, std::vector<std::string>& tokens) {
  StringTable ids;
  for (size_t i = 0; i < tokens.size(); ++i) ids.add(tokens[i], static_cast<int32_t>(i));

  std::vector<int32_t> symbols;
  std::vector<size_t> begins;
  std::vector<uint32_t> sizes;
  std::string unit;
  Pairs pairs;
  for (size_t w = 0; w < words.size(); ++w) {
    ask_at(w);
    const size_t begin = symbols.size();
    begins.push_back(begin);
    each_unit(words.string(w), training, unit, [&](const std::string& u) {
      if (const int32_t id = ids.find(u); id >= 0) symbols.push_back(id);  // one outside the alphabet is left out
    });
    if (symbols.size() - begin >= 0x7FFFFFFF) throw Refused("a word of 2 GiB or more");
    sizes.push_back(static_cast<uint32_t>(symbols.size() - begin));
    for (size_t i = begin; i + 1 < symbols.size(); ++i) {
      ask_at(i);
      Pairs::Pair& pair = pairs.at(Pairs::key_of(symbols[i], symbols[i + 1]));
      pair.count += words.value(w);
      if (pair.words.empty() || pair.words.back() != w) pair.words.push_back(static_cast<uint32_t>(w));
    }
  }

  std::vector<Candidate> begin;
  for (const Pairs::Pair& pair : pairs.all()) begin.push_back({pair.count, pair.key});
  std::priority_queue<Candidate> heap(std::less<Candidate>{}, std::move(begin));

  std::vector<Merge> merges;
  std::vector<uint64_t> touched;
  std::vector<uint32_t> where;
  while (ids.size() < training.vocabulary && !heap.empty()) {
    ask_for_signals();
    const Candidate top = heap.top();
    heap.pop();
    Pairs::Pair& best = pairs.at(top.pair);
    if (best.count != top.count) {
      if (best.count > 0) heap.push({best.count, top.pair});
      continue;
    }
    if (top.count < 1 || top.count < training.least) break;
    const int32_t left = static_cast<int32_t>(top.pair >> 32), right = static_cast<int32_t>(top.pair);
    const std::string together = tokens[left] + tokens[right];
    if (tokens.size() >= 0x7FFFFFFF) throw Refused("more than 2147483647 tokens");
    const int32_t merged = ids.add(together, static_cast<int32_t>(tokens.size()));
    if (static_cast<size_t>(merged) == tokens.size()) tokens.push_back(together);
    merges.push_back({left, right, merged});

    where.swap(best.words);
    std::vector<uint32_t>().swap(best.words);
    size_t step = 0;
    for (const uint32_t w : where) {
      const int64_t count = words.value(w);
      int32_t* s = symbols.data() + begins[w];
      const auto less = [&](int32_t a, int32_t b) { pairs.at(Pairs::key_of(a, b)).count -= count; };
      const auto more = [&](int32_t a, int32_t b) {
        Pairs::Pair& pair = pairs.at(Pairs::key_of(a, b));
        pair.count += count;
        if (pair.words.empty() || pair.words.back() != w) pair.words.push_back(w);
        if (!pair.touched) {
          pair.touched = true;
          touched.push_back(pair.key);
        }
      };
      uint32_t n = 0;
      for (uint32_t i = 0; i < sizes[w]; ++step) {
        ask_at(step);
        if (i + 1 == sizes[w] || s[i] != left || s[i + 1] != right) {
          s[n++] = s[i++];
          continue;
        }
        if (n > 0) {
          less(s[n - 1], left);
          more(s[n - 1], merged);
        }
        i += 2;
        if (i < sizes[w]) {
          less(right, s[i]);
          more(merged, s[i]);
        }
        s[n++] = merged;
      }
      sizes[w] = n;
    }
    where.clear();
    pairs.at(top.pair).count = 0;
    for (const uint64_t key : touched) {
      Pairs::Pair& pair = pairs.at(key);
      pair.touched = false;
      if (pair.count > 0) heap.push({pair.count, key});
    }
    touched.clear();
  }
  return merges;
}

}  // namespace einkorn::text
