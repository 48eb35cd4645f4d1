// Models turn a piece of text into tokens. Constant after construction, so that threads share them.

#pragma once

#include <memory>

#include "text/trie.h"

namespace einkorn::text {

struct Token {
  int32_t id;
  uint32_t size;  // bytes of the piece that it stands for
};

class Model {
 public:
  virtual ~Model() = default;
  virtual void encode(std::string_view piece, std::vector<Token>& out) const = 0;
};

// The strings and ids of a vocabulary, and what all models do where a string is not in it.
struct Vocabulary {
  StringTable ids;
  int32_t most = -1;  // the largest id

  void add(std::string_view token, int64_t id);
};

// Byte-pair encoding (Sennrich et al. 2016): of all neighbours in the piece, the pair with the lowest rank becomes one token, the
// leftmost first, until no pair of neighbours has a rank.
//
// Short pieces keep the rank of each neighbour in an array and look for the smallest; long ones keep pairs in a heap and symbols in a
// linked list, so that n symbols take n log n steps whatever they are.
class Merges final : public Model {
 public:
  struct Options {
    bool bytes = true;          // units are bytes; else characters
    bool whole_first = false;   // a piece that is a token needs no merging
    bool fuse_unknown = false;  // neighbours without a token are one unknown token
    int32_t unknown = -1;       // -1: what has no token is left out
    std::string suffix;         // of the last unit of a piece
  };

  Merges(std::shared_ptr<const Vocabulary> vocabulary, Options options);

  void add(int64_t left, int64_t right, int64_t rank, int64_t merged);
  // A pair for every way in which a token is two tokens, with the token's rank.
  void add_all_ways(const std::vector<std::string_view>& tokens, const std::vector<int32_t>& ids,
                    const std::vector<int32_t>& ranks);
  // What stands for the bytes of a character without a token; 256 ids, -1 where there is none.
  void set_fallback(const std::vector<int32_t>& ids) { fallback_ = ids; }

  void encode(std::string_view piece, std::vector<Token>& out) const override;

 private:
  struct Symbol {
    int32_t id;  // kGone after it became part of the one before it
    uint32_t size;
    uint32_t before, behind;
  };
  struct Pair {
    uint64_t key = kNoPair;
    int32_t rank = 0;
    int32_t merged = 0;
  };
  static constexpr uint64_t kNoPair = ~uint64_t{0};
  static constexpr int32_t kGone = -2, kUnknown = -3;

  const Pair* find(int32_t left, int32_t right) const;
  void grow();
  void units(std::string_view piece, std::vector<Symbol>& symbols) const;
  void merge_few(std::vector<Symbol>& symbols) const;
  void merge_many(std::vector<Symbol>& symbols) const;

  std::shared_ptr<const Vocabulary> vocabulary_;
  Options options_;
  std::vector<int32_t> inner_, last_;  // the ids of bytes
  std::vector<int32_t> fallback_;
  std::vector<Pair> pairs_;
  size_t used_ = 0;
};

// WordPiece (Schuster and Nakajima 2012; BERT): the longest token that the rest of the word begins with, again and again; where there is
// none, the whole word is unknown.
class WordPiece final : public Model {
 public:
  WordPiece(std::shared_ptr<const Vocabulary> vocabulary, int32_t unknown, std::string prefix, size_t most_characters)
      : vocabulary_(std::move(vocabulary)), unknown_(unknown), prefix_(std::move(prefix)), most_(most_characters) {}

  void encode(std::string_view piece, std::vector<Token>& out) const override;

 private:
  std::shared_ptr<const Vocabulary> vocabulary_;
  int32_t unknown_;
  std::string prefix_;
  size_t most_;
};

// Unigram (Kudo 2018): the segmentation whose tokens have the largest sum of scores (Viterbi).
class Unigram final : public Model {
 public:
  // `unknown` has the lowest of all scores less 10. -1: text with unknown characters is refused.
  Unigram(const std::vector<std::string_view>& tokens, const std::vector<double>& scores, int32_t unknown,
          bool fuse_unknown);

  void set_fallback(const std::vector<int32_t>& ids) { fallback_ = ids; }
  void encode(std::string_view piece, std::vector<Token>& out) const override;
  // A segmentation drawn with probability proportional to exp(alpha * its score): forward filtering, backward sampling.
  // `uniform` gives numbers of [0, 1).
  void sample(std::string_view piece, double alpha, const std::function<double()>& uniform,
              std::vector<Token>& out) const;

 private:
  template <class Visit>
  void each_token_at(std::string_view piece, size_t at, const Visit& visit) const;
  void emit(std::string_view piece, const std::vector<Token>& backwards, std::vector<Token>& out) const;

  Trie tokens_;
  std::vector<double> scores_;
  std::vector<int32_t> fallback_;
  int32_t unknown_;
  bool fuse_;
  double unknown_score_;
};

}  // namespace einkorn::text
