// Terms of documents counted: words, or characters, and their n-grams. Into rows of (term, count), terms numbered in the order of
// their characters, which is the order of their UTF-8; or into the terms of a vocabulary; or into hashed places.

#pragma once

#include "text/text.h"
#include "text/words.h"

namespace einkorn::text {

enum class Analyzer : uint8_t { word, character, character_in_word };

struct Analysis {
  Analyzer analyzer = Analyzer::word;
  size_t least = 1, most = 1;   // the lengths of n-grams
  size_t shortest = 2;          // of a word, in characters
  bool lower = false;           // of ASCII; the rest comes in lower case already
  int64_t places = 0;           // hashed: how many; 0: terms are kept
  bool alternate_sign = false;  // hashed: a term counts 1 or -1, as its hash says
};

// Rows of a sparse matrix, and the terms that its columns stand for, one after the other.
struct Rows {
  std::string names;
  std::vector<size_t> name_ends;
  std::vector<int64_t> ends;  // behind each row
  std::vector<int32_t> terms;
  std::vector<int64_t> counts;
};

struct Shard;

class Documents {
 public:
  Documents(const Characters& classes, const Analysis& analysis) : classes_(classes), analysis_(analysis) {}

  void stop(std::string_view word) { stop_.add(word, 1); }
  void know(std::string_view term, int32_t number) {
    known_.add(term, number);
    fixed_ = true;
  }
  void fix() { fixed_ = true; }

  // The rows' names are the terms that occurred, in order; there are none where terms are known or hashed.
  void count(const std::vector<std::string_view>& texts, int threads, Rows& rows) const;

 private:
  void count_strings(const std::vector<std::string_view>& texts, std::vector<Shard>& shards, size_t bytes, int threads,
                     Rows& rows) const;

  const Characters& classes_;
  Analysis analysis_;
  StringTable stop_, known_;
  bool fixed_ = false;
};

// MurmurHash3's 32 bits (Austin Appleby), from seed 0.
uint32_t murmur(std::string_view bytes);

}  // namespace einkorn::text
