// Each thread has a stretch of the documents and a table of its own: no lock, and the same result for any number of threads, since
// in the end terms get their numbers by their order. An n-gram is a stretch of a buffer that holds the words of a document with
// a space between, so nothing is put together that is not kept.

#include "text/documents.h"

#include <algorithm>

namespace einkorn::text {

namespace {

// What Analysis asks, done to one document after the other; take(term) gets each term.
class Analyst {
 public:
  Analyst(const Characters& classes, const Analysis& analysis, const StringTable& stop)
      : classes_(classes), analysis_(analysis), stop_(stop) {}

  template <class Take>
  void run(std::string_view text, const Take& take) {
    if (analysis_.lower) {
      lowered_.assign(text);
      for (char& c : lowered_) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
      text = lowered_;
    }
    if (analysis_.analyzer == Analyzer::word) {
      words(text, take);
    } else {
      one_space(text);
      if (analysis_.analyzer == Analyzer::character)
        grams(0, starts_.size() - 1, analysis_.least, analysis_.most, false, take);
      else
        words_padded(take);
    }
  }

 private:
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
      if (single) {
        take(word);
      } else {
        starts_.push_back(kept_.size());
        kept_.append(word);
        kept_ += ' ';
      }
    }
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
  std::vector<uint32_t> order;  // entries of `terms` by their strings
  std::vector<uint32_t> number;
};

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

void Documents::count(const std::vector<std::string_view>& texts, int threads, std::vector<std::string>& terms,
                      Rows& rows) const {
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

  in_parallel(parts, bytes, threads, [&](size_t part) {
    Shard& shard = shards[part];
    Analyst analyst(classes_, analysis_, stop_);
    std::vector<int32_t> seen;       // how often a term of this shard occurs in this document
    std::vector<uint32_t> touched;   // those that do
    std::vector<Entry> signed_ones;  // hashed: each occurrence
    if (fixed_) {
      int64_t largest = -1;
      for (size_t i = 0; i < known_.size(); ++i) largest = std::max(largest, known_.value(i));
      seen.assign(static_cast<size_t>(largest + 1), 0);
    }
    const auto add = [&](uint32_t term) {
      if (seen[term]++ == 0) touched.push_back(term);
    };
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
        touched.clear();
        analyst.run(texts[i], [&](std::string_view term) {
          if (fixed_) {
            const int32_t number = known_.find(term);
            if (number != StringTable::kAbsent) add(static_cast<uint32_t>(number));
            return;
          }
          int64_t& number = shard.terms.count(term);  // and 1: 0 is new
          if (number == 0) {
            number = static_cast<int64_t>(shard.terms.size());
            seen.push_back(0);
          }
          add(static_cast<uint32_t>(number - 1));
        });
        for (const uint32_t term : touched) {
          shard.entries.push_back({term, seen[term]});
          seen[term] = 0;
        }
      }
      shard.ends.push_back(shard.entries.size());
    }
    if (keeps) {
      shard.order.resize(shard.terms.size());
      for (size_t i = 0; i < shard.order.size(); ++i) shard.order[i] = static_cast<uint32_t>(i);
      std::sort(shard.order.begin(), shard.order.end(),
                [&](uint32_t a, uint32_t b) { return shard.terms.string(a) < shard.terms.string(b); });
      shard.number.resize(shard.terms.size());
    }
  });

  if (keeps) {  // merge the shards' terms in order
    std::vector<size_t> at(parts, 0);
    while (true) {
      std::string_view least;
      bool any = false;
      for (size_t part = 0; part < parts; ++part)
        if (at[part] < shards[part].order.size()) {
          const std::string_view term = shards[part].terms.string(shards[part].order[at[part]]);
          if (!any || term < least) least = term;
          any = true;
        }
      if (!any) break;
      if (terms.size() >= 0x7FFFFFFF) throw Refused("more than 2147483647 different terms");
      for (size_t part = 0; part < parts; ++part) {
        Shard& shard = shards[part];
        if (at[part] < shard.order.size() && shard.terms.string(shard.order[at[part]]) == least)
          shard.number[shard.order[at[part]++]] = static_cast<uint32_t>(terms.size());
      }
      terms.emplace_back(least);
    }
  }

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

}  // namespace einkorn::text
