// Parts of speech by an averaged perceptron (Collins 2002): the tag of a word from left to right, by its letters, the words around it and
// the two tags before it.

#pragma once

#include "text/text.h"

namespace einkorn::text {

// Sentences: their words one after the other, and where each sentence ends.
struct Sentences {
  std::vector<std::string_view> words;
  std::vector<size_t> ends;
};

class Tagger {
 public:
  explicit Tagger(size_t tags) : tags_(tags), width_((tags + 7) / 8 * 8) {}

  // The tag of a word that has no other.
  void fix(std::string_view word, int32_t tag) { fixed_.add(word, tag); }

  // One pass over the sentences, in this order. How many words were given another tag than theirs.
  size_t learn(const Sentences& sentences, const std::vector<int32_t>& tags, const std::vector<int64_t>& order);
  // Put the averages of all weights so far in their place; nothing is learned after it.
  void average();

  std::vector<int32_t> tag(const Sentences& sentences, int threads) const;

  // Features and their weights [features, tags].
  const std::vector<uint64_t>& features() const { return features_; }
  std::vector<float> weights() const;
  void put(const std::vector<uint64_t>& features, const std::vector<float>& weights);

 private:
  static constexpr size_t kFeatures = 20;
  static constexpr uint32_t kAbsent = 0xFFFFFFFF;

  struct Word {
    uint64_t whole, suffix3, suffix2, suffix1, prefix1, prefix3, shape;
  };
  static Word word_of(std::string_view word, bool first);
  void look(const std::vector<Word>& words, size_t at, int32_t before, int32_t before2,
            uint64_t (&keys)[kFeatures]) const;
  int32_t best(const uint64_t (&keys)[kFeatures], std::vector<float>& scores) const;
  uint32_t find(uint64_t key) const;
  uint32_t row_of(uint64_t key);
  void change(uint64_t key, int32_t tag, float by);
  void grow();

  size_t tags_, width_;
  StringTable fixed_;
  std::vector<uint32_t> slots_;
  std::vector<uint64_t> features_;
  std::vector<float> weights_;  // [features, width]
  std::vector<double> totals_;  // sums of the weights over all steps, up to `stamps_`
  std::vector<uint32_t> stamps_;
  uint32_t step_ = 0;
};

}  // namespace einkorn::text
