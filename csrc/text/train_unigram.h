// Learning the pieces of a Unigram model from counted words (Kudo 2018).

#pragma once

#include "text/trie.h"

namespace einkorn::text {

// Pieces with scores, the logarithms of their probabilities. They begin with the characters of the words, by code points, which stay
// whatever happens, so that every word has a segmentation.
//
// Words are taken in stretches of at most 64 KiB, so that memory does not grow with the longest of them. Work is cut by the words' size
// and summed in order: results do not depend on the number of threads.
class UnigramLearner {
 public:
  // Begins with the `most` substrings of 2 to `longest` characters that occur at least twice and have the largest product of length and
  // number. Of substrings that only occur together the longest is taken: the inner nodes of the suffix tree, from sorted suffixes.
  UnigramLearner(const StringTable& words, size_t longest, size_t most);

  // How often each piece is expected in the words, over all their segmentations (forward-backward); returns the logarithm of the
  // words' likelihood.
  double expect(int threads);
  // Scores from what is expected, digamma(n) - digamma(sum): that of the variational Bayes, which makes rare pieces rarer. Pieces that
  // are expected less than `least` times are dropped.
  void maximize(double least);
  // Leaves the `kept` pieces without which the likelihood of the best segmentations would fall most; characters are among them.
  void prune(size_t kept, int threads);

  size_t size() const { return pieces_.size(); }
  size_t characters() const { return characters_; }
  std::string_view piece(size_t i) const { return view(pieces_[i]); }
  double score(size_t i) const { return scores_[i]; }
  double expected(size_t i) const { return expected_[i]; }

 private:
  struct Part {
    uint32_t start, size;  // in text_
  };
  struct Stretch {
    Part part;
    int64_t count;
  };

  std::string_view view(Part part) const { return {text_.data() + part.start, part.size}; }
  void take(const StringTable& words);
  void seed(size_t longest, size_t most);
  Trie trie() const;
  template <class Visit>
  static void each_piece_at(const Trie& trie, std::string_view text, size_t at, const Visit& visit);
  // The pieces of the best segmentation, from the last to the first; `without` is left out.
  void best(const Trie& trie, std::string_view text, int32_t without, std::vector<int32_t>& out) const;
  void keep(const std::vector<char>& kept);

  std::string text_;
  std::vector<Stretch> stretches_;
  std::vector<size_t> tasks_;  // where each begins among the stretches, and the end
  std::vector<Part> pieces_;
  std::vector<double> scores_, expected_;
  size_t characters_ = 0;
};

}  // namespace einkorn::text
