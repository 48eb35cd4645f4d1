// Learning byte pairs from counted words.

#pragma once

#include "text/text.h"

namespace einkorn::text {

struct Training {
  size_t vocabulary = 0;  // how many tokens there shall be
  int64_t least = 0;      // a pair that occurs less often is not merged
  bool bytes = true;      // units are bytes; else characters
  std::string suffix;     // of the last unit of a word
};

struct Merge {
  int32_t left, right, merged;
};

// The units of counted words and how often they occur.
void count_units(const StringTable& words, const Training& training, StringTable& units);

// Merges the most frequent pair of neighbours again and again (Gage 1994; Sennrich et al. 2016), of equally frequent ones that with the
// smaller id on the left, then on the right. `tokens` has the strings of all ids and gets the new ones.
//
// Counts of pairs are kept, and each pair knows the words it occurs in, so that a merge costs what it changes. The heap may name
// a pair with a count it no longer has; this shows when the pair comes up, and it is put back with the right one.
std::vector<Merge> train(const StringTable& words, const Training& training, std::vector<std::string>& tokens);

}  // namespace einkorn::text
