// Each thread has a stretch of the documents and a table of its own: no lock, and the same result for any number of threads, since
// in the end terms get their numbers by their order. An n-gram is a stretch of a buffer that holds the words of a document with
// a space between, so nothing is put together that is not kept.

#include "text/documents.h"

#include <algorithm>

namespace einkorn::text {

struct Entry {
  uint32_t term;
  int32_t count;
};

// One thread's documents.
struct Shard {
  size_t first, last;
  StringTable terms;
  std::vector<Entry> entries;
  std::vector<size_t> ends;
  std::vector<uint32_t> number;  // of each term among those of all shards
};

namespace {

// What Analysis asks, done to one document after the other; take(term) gets each term.
class Analyst {
 public:
  Analyst(const Characters& classes, const Analysis& analysis, const StringTable& stop)
      : classes_(classes), analysis_(analysis), stop_(stop) {}

  template <class Take>
  void run(std::string_view text, const Take& take) {
    if (analysis_.analyzer == Analyzer::word) {
      words(text, take);
    } else {
      one_space(lowered(text));
      if (analysis_.analyzer == Analyzer::character)
        grams(0, starts_.size() - 1, analysis_.least, analysis_.most, false, take);
      else
        words_padded(take);
    }
  }

  // Words alone, of which the caller makes n-grams.
  template <class Take>
  void each_word(std::string_view document, const Take& take) {
    const std::string_view text = lowered(document);
    for (size_t at = 0, size; at < text.size();) {
      if (!(class_at(text, at, size) & kPythonAlnum)) {
        at += size;
        continue;
      }
      const size_t begin = at;
      size_t characters = 0;
      do {
        at += size;
        ++characters;
      } while (at < text.size() && (class_at(text, at, size) & kPythonAlnum));
      if (characters < analysis_.shortest) continue;
      const std::string_view word = text.substr(begin, at - begin);
      if (stop_.size() != 0 && stop_.find(word) != StringTable::kAbsent) continue;
      take(word);
    }
  }

 private:
  std::string_view lowered(std::string_view text) {
    if (!analysis_.lower) return text;
    lowered_.assign(text);
    for (char& c : lowered_) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    return lowered_;
  }

  uint8_t class_at(std::string_view text, size_t at, size_t& size) const {
    const uint8_t byte = static_cast<uint8_t>(text[at]);
    if (byte < 0x80) {
      size = 1;
      return classes_.of(byte);
    }
    const Character c = character_at(text, at);
    size = c.size;
    return classes_.of(c.point);
  }

  template <class Take>
  void words(std::string_view text, const Take& take) {
    const bool single = analysis_.most == 1;
    kept_.clear();
    starts_.clear();
    each_word(text, [&](std::string_view word) {
      if (single) return take(word);
      starts_.push_back(kept_.size());
      kept_.append(word);
      kept_ += ' ';
    });
    if (single || starts_.empty()) return;
    starts_.push_back(kept_.size());
    const std::string_view kept = kept_;
    const size_t count = starts_.size() - 1;
    for (size_t n = analysis_.least; n <= analysis_.most && n <= count; ++n)
      for (size_t i = 0; i + n <= count; ++i) take(kept.substr(starts_[i], starts_[i + n] - starts_[i] - 1));
  }

  // The text with stretches of white space as one space, and where its characters begin.
  void one_space(std::string_view text) {
    kept_.clear();
    starts_.clear();
    for (size_t at = 0, size; at < text.size();) {
      starts_.push_back(kept_.size());
      const bool blank = class_at(text, at, size) & kPythonBlank;
      size_t end = at + size;
      if (blank)
        for (size_t more; end < text.size() && (class_at(text, end, more) & kPythonBlank);) end += more;
      if (blank && end > at + size)
        kept_ += ' ';
      else
        kept_.append(text.substr(at, size));
      at = end;
    }
    starts_.push_back(kept_.size());
  }

  // N-grams of the characters from `first` on, `count` of them. Short words count once, as they are.
  template <class Take>
  void grams(size_t first, size_t count, size_t least, size_t most, bool short_once, const Take& take) const {
    const std::string_view kept = kept_;
    for (size_t n = least; n <= most; ++n) {
      if (n > count && !short_once) return;
      if (n >= count) {
        take(kept.substr(starts_[first], starts_[first + count] - starts_[first]));
        return;
      }
      for (size_t i = first; i + n <= first + count; ++i) take(kept.substr(starts_[i], starts_[i + n] - starts_[i]));
    }
  }

  template <class Take>
  void words_padded(const Take& take) {
    std::string text;
    text.swap(kept_);
    std::string padded;
    for (size_t at = 0, size; at < text.size();) {
      if (class_at(text, at, size) & kPythonBlank) {
        at += size;
        continue;
      }
      starts_.assign(1, 0);
      padded.assign(1, ' ');
      while (at < text.size() && !(class_at(text, at, size) & kPythonBlank)) {
        starts_.push_back(padded.size());
        padded.append(text, at, size);
        at += size;
      }
      starts_.push_back(padded.size());
      padded += ' ';
      starts_.push_back(padded.size());
      kept_.swap(padded);
      grams(0, starts_.size() - 1, analysis_.least, analysis_.most, true, take);
      kept_.swap(padded);
    }
  }

  const Characters& classes_;
  const Analysis& analysis_;
  const StringTable& stop_;
  std::string lowered_, kept_;
  std::vector<size_t> starts_;
};

// How often the terms of a document occur.
struct Counter {
  std::vector<int32_t> seen;      // how often each term of the shard does
  std::vector<uint32_t> touched;  // those that do

  void add(uint32_t term) {
    if (seen[term]++ == 0) touched.push_back(term);
  }
  void take(Shard& shard) {
    for (const uint32_t term : touched) {
      shard.entries.push_back({term, seen[term]});
      seen[term] = 0;
    }
    touched.clear();
  }
};

// Numbers the strings of all shards by their order; each(string) gets each once.
template <class Each>
void number_in_order(std::vector<Shard>& shards, size_t bytes, int threads, const Each& each) {
  std::vector<std::vector<uint32_t>> order(shards.size());
  in_parallel(shards.size(), bytes, threads, [&](size_t part) {
    const StringTable& terms = shards[part].terms;
    struct Begun {
      uint64_t begin;  // the first bytes, so that most comparisons are of numbers
      uint32_t term;
    };
    std::vector<Begun> begun;
    for (size_t i = 0; i < terms.size(); ++i) {
      const std::string_view term = terms.string(i);
      uint64_t begin = 0;
      for (size_t byte = 0; byte < 8; ++byte)
        begin = begin << 8 | (byte < term.size() ? static_cast<uint8_t>(term[byte]) : 0);
      begun.push_back({begin, static_cast<uint32_t>(i)});
    }
    std::sort(begun.begin(), begun.end(), [&](const Begun& a, const Begun& b) {
      return a.begin != b.begin ? a.begin < b.begin : terms.string(a.term) < terms.string(b.term);
    });
    for (const Begun& each : begun) order[part].push_back(each.term);
    shards[part].number.resize(terms.size());
  });
  std::vector<size_t> at(shards.size(), 0);
  for (uint32_t number = 0;; ++number) {
    std::string_view least;
    bool any = false;
    for (size_t part = 0; part < shards.size(); ++part)
      if (at[part] < order[part].size()) {
        const std::string_view term = shards[part].terms.string(order[part][at[part]]);
        if (!any || term < least) least = term;
        any = true;
      }
    if (!any) return;
    if (number >= 0x7FFFFFFF) throw Refused("more than 2147483647 different terms");
    for (size_t part = 0; part < shards.size(); ++part)
      if (at[part] < order[part].size() && shards[part].terms.string(order[part][at[part]]) == least)
        shards[part].number[order[part][at[part]++]] = number;
    each(least);
  }
}

// Numbers of 64 or 128 bits that were seen, with open addressing.
template <class Key>
class Grams {
 public:
  uint32_t number_of(Key key) {
    if (keys_.size() * 2 >= slots_.size()) grow();
    uint32_t& slot = slots_[slot_of(key)];
    if (slot == 0) {
      if (keys_.size() >= 0x7FFFFFFF) throw Refused("more than 2147483647 different terms");
      keys_.push_back(key);
      slot = static_cast<uint32_t>(keys_.size());
    }
    return slot - 1;
  }
  const std::vector<Key>& keys() const { return keys_; }

 private:
  size_t slot_of(Key key) const {
    const uint64_t high = sizeof(Key) > 8 ? static_cast<uint64_t>(key >> (sizeof(Key) * 4)) : 1;
    size_t slot = mixed(static_cast<uint64_t>(key), high) & (slots_.size() - 1);
    while (slots_[slot] != 0 && keys_[slots_[slot] - 1] != key) slot = (slot + 1) & (slots_.size() - 1);
    return slot;
  }
  void grow() {
    slots_.assign(slots_.empty() ? 1 << 10 : slots_.size() * 2, 0);
    for (size_t i = 0; i < keys_.size(); ++i) slots_[slot_of(keys_[i])] = static_cast<uint32_t>(i + 1);
  }

  std::vector<uint32_t> slots_;
  std::vector<Key> keys_;
};

// N-grams of words, as numbers that are made of those of their words: the first one's bits are the highest, and where there is no word
// they are 0. A space comes before all that words are made of, so the order of the numbers is that of the strings when words are
// numbered in order.
template <class Key>
void count_grams(const std::vector<std::string_view>& texts, std::vector<Shard>& shards, const Characters& classes,
                 const Analysis& analysis, const StringTable& stop, size_t bytes, int threads, Rows& rows) {
  const size_t bits = sizeof(Key) * 8 / analysis.most;
  const auto placed = [&](uint32_t word, size_t place) {
    return static_cast<Key>(word + 1) << (bits * (analysis.most - 1 - place));
  };
  std::vector<Grams<Key>> grams(shards.size());
  in_parallel(shards.size(), bytes, threads, [&](size_t part) {
    Shard& shard = shards[part];
    Analyst analyst(classes, analysis, stop);
    Counter counter;
    std::vector<uint32_t> words;
    for (size_t i = shard.first; i < shard.last; ++i) {
      words.clear();
      analyst.each_word(texts[i], [&](std::string_view word) {
        int64_t& number = shard.terms.count(word);  // and 1: 0 is new
        if (number == 0) number = static_cast<int64_t>(shard.terms.size());
        words.push_back(static_cast<uint32_t>(number - 1));
      });
      for (size_t w = 0; w < words.size(); ++w) {
        Key key = 0;
        for (size_t n = 0; n < analysis.most && w + n < words.size(); ++n) {
          key |= placed(words[w + n], n);
          if (n + 1 < analysis.least) continue;
          const uint32_t term = grams[part].number_of(key);
          if (term == counter.seen.size()) counter.seen.push_back(0);
          counter.add(term);
        }
      }
      counter.take(shard);
      shard.ends.push_back(shard.entries.size());
    }
  });

  std::vector<std::string> names;
  number_in_order(shards, bytes, threads, [&](std::string_view word) { names.emplace_back(word); });
  using Ordered = std::pair<Key, uint32_t>;
  std::vector<std::vector<Ordered>> order(shards.size());
  in_parallel(shards.size(), bytes, threads, [&](size_t part) {
    const Key one = (static_cast<Key>(1) << bits) - 1;
    for (const Key key : grams[part].keys()) {
      Key global = 0;
      for (size_t place = 0; place < analysis.most; ++place)
        if (const Key word = key >> (bits * (analysis.most - 1 - place)) & one; word != 0)
          global |= placed(shards[part].number[static_cast<size_t>(word - 1)], place);
      order[part].push_back({global, static_cast<uint32_t>(order[part].size())});
    }
    std::sort(order[part].begin(), order[part].end());
    shards[part].number.assign(order[part].size(), 0);
  });
  std::vector<size_t> at(shards.size(), 0);
  for (uint32_t number = 0;; ++number) {
    Key least = 0;
    for (size_t part = 0; part < shards.size(); ++part)
      if (at[part] < order[part].size() && (least == 0 || order[part][at[part]].first < least))
        least = order[part][at[part]].first;
    if (least == 0) return;
    if (number >= 0x7FFFFFFF) throw Refused("more than 2147483647 different terms");
    for (size_t part = 0; part < shards.size(); ++part)
      if (at[part] < order[part].size() && order[part][at[part]].first == least)
        shards[part].number[order[part][at[part]++].second] = number;
    const Key one = (static_cast<Key>(1) << bits) - 1;
    for (size_t place = 0; place < analysis.most; ++place)
      if (const Key word = least >> (bits * (analysis.most - 1 - place)) & one; word != 0) {
        if (place > 0) rows.names += ' ';
        rows.names += names[static_cast<size_t>(word - 1)];
      }
    rows.name_ends.push_back(rows.names.size());
  }
}

uint32_t rotated(uint32_t x, int by) {
  return x << by | x >> (32 - by);
}

}  // namespace

uint32_t murmur(std::string_view bytes) {
  constexpr uint32_t c1 = 0xCC9E2D51, c2 = 0x1B873593;
  uint32_t hash = 0, word = 0;
  size_t i = 0;
  for (; i + 4 <= bytes.size(); i += 4) {
    std::memcpy(&word, bytes.data() + i, 4);
    hash = rotated(hash ^ rotated(word * c1, 15) * c2, 13) * 5 + 0xE6546B64;
  }
  word = 0;
  if (i < bytes.size()) {
    std::memcpy(&word, bytes.data() + i, bytes.size() - i);
    hash ^= rotated(word * c1, 15) * c2;
  }
  hash ^= static_cast<uint32_t>(bytes.size());
  hash = (hash ^ hash >> 16) * 0x85EBCA6B;
  hash = (hash ^ hash >> 13) * 0xC2B2AE35;
  return hash ^ hash >> 16;
}

void Documents::count(const std::vector<std::string_view>& texts, int threads, Rows& rows) const {
  size_t bytes = 0;
  for (const std::string_view text : texts) bytes += text.size();
  const bool hashed = analysis_.places > 0, keeps = !hashed && !fixed_;
  std::vector<Shard> shards;
  const size_t parts = bytes < (1 << 16) || threads < 2 ? 1 : static_cast<size_t>(threads);
  for (size_t part = 0, text = 0, seen = 0; part < parts; ++part) {
    Shard shard{};
    shard.first = text;
    while (text < texts.size() && (part + 1 == parts || seen < bytes / parts * (part + 1)))
      seen += texts[text++].size();
    shard.last = text;
    shards.push_back(std::move(shard));
  }
  if (keeps && analysis_.analyzer == Analyzer::word && analysis_.most == 2)
    count_grams<uint64_t>(texts, shards, classes_, analysis_, stop_, bytes, threads, rows);
  else if (keeps && analysis_.analyzer == Analyzer::word && (analysis_.most == 3 || analysis_.most == 4))
    count_grams<unsigned __int128>(texts, shards, classes_, analysis_, stop_, bytes, threads, rows);
  else
    count_strings(texts, shards, bytes, threads, rows);

  size_t total = 0;
  std::vector<size_t> begins;
  rows.ends.reserve(texts.size());
  for (Shard& shard : shards) {
    begins.push_back(total);
    for (const size_t end : shard.ends) rows.ends.push_back(static_cast<int64_t>(total + end));
    total += shard.entries.size();
  }
  rows.terms.resize(total);
  rows.counts.resize(total);
  in_parallel(parts, total * 16, threads, [&](size_t part) {
    Shard& shard = shards[part];
    if (keeps)
      for (Entry& entry : shard.entries) entry.term = shard.number[entry.term];
    size_t begin = 0;
    for (const size_t end : shard.ends) {
      const auto row = shard.entries.begin();
      if (!hashed)
        std::sort(row + static_cast<std::ptrdiff_t>(begin), row + static_cast<std::ptrdiff_t>(end),
                  [](const Entry& a, const Entry& b) { return a.term < b.term; });
      begin = end;
    }
    for (size_t i = 0; i < shard.entries.size(); ++i) {
      rows.terms[begins[part] + i] = static_cast<int32_t>(shard.entries[i].term);
      rows.counts[begins[part] + i] = shard.entries[i].count;
    }
  });
}

void Documents::count_strings(const std::vector<std::string_view>& texts, std::vector<Shard>& shards, size_t bytes,
                              int threads, Rows& rows) const {
  const bool hashed = analysis_.places > 0;
  in_parallel(shards.size(), bytes, threads, [&](size_t part) {
    Shard& shard = shards[part];
    Analyst analyst(classes_, analysis_, stop_);
    Counter counter;
    std::vector<Entry> signed_ones;  // hashed: each occurrence
    if (fixed_) {
      int64_t largest = -1;
      for (size_t i = 0; i < known_.size(); ++i) largest = std::max(largest, known_.value(i));
      counter.seen.assign(static_cast<size_t>(largest + 1), 0);
    }
    for (size_t i = shard.first; i < shard.last; ++i) {
      if (hashed) {
        signed_ones.clear();
        analyst.run(texts[i], [&](std::string_view term) {
          const int32_t hash = static_cast<int32_t>(murmur(term));
          const int64_t size = hash < 0 ? -static_cast<int64_t>(hash) : hash;
          signed_ones.push_back(
              {static_cast<uint32_t>(size % analysis_.places), analysis_.alternate_sign && hash < 0 ? -1 : 1});
        });
        std::sort(signed_ones.begin(), signed_ones.end(),
                  [](const Entry& a, const Entry& b) { return a.term < b.term; });
        for (size_t k = 0; k < signed_ones.size(); ++k) {
          if (k > 0 && signed_ones[k].term == signed_ones[k - 1].term)
            shard.entries.back().count += signed_ones[k].count;
          else
            shard.entries.push_back(signed_ones[k]);
        }
      } else {
        analyst.run(texts[i], [&](std::string_view term) {
          if (fixed_) {
            const int32_t number = known_.find(term);
            if (number != StringTable::kAbsent) counter.add(static_cast<uint32_t>(number));
            return;
          }
          int64_t& number = shard.terms.count(term);  // and 1: 0 is new
          if (number == 0) {
            number = static_cast<int64_t>(shard.terms.size());
            counter.seen.push_back(0);
          }
          counter.add(static_cast<uint32_t>(number - 1));
        });
        counter.take(shard);
      }
      shard.ends.push_back(shard.entries.size());
    }
  });
  if (!hashed && !fixed_)
    number_in_order(shards, bytes, threads, [&](std::string_view term) {
      rows.names += term;
      rows.name_ends.push_back(rows.names.size());
    });
}

}  // namespace einkorn::text
