// From texts to ids: tokens that are never cut, then characters mapped, then pieces, then a model; batches on several threads.

#pragma once

#include <array>
#include <mutex>

#include "text/model.h"

namespace einkorn::text {

// What becomes of single characters: lower case, without accents, replaced, left out.
class CharacterMap {
 public:
  void add(uint32_t point, std::string_view becomes);

  // Where the character has an entry, what it becomes.
  bool find(uint32_t point, std::string_view& becomes) const {
    const uint32_t block = index_[point >> 8];
    const uint32_t entry = block == 0 ? 0 : blocks_[block * 256 + (point & 255)];
    if (entry == 0) return false;
    becomes = {strings_.data() + starts_[entry - 1], starts_[entry] - starts_[entry - 1]};
    return true;
  }

 private:
  std::vector<uint32_t> index_ = std::vector<uint32_t>(0x1100, 0);
  std::vector<uint32_t> blocks_ = std::vector<uint32_t>(256, 0);
  std::vector<uint32_t> starts_{0};
  std::string strings_;
};

// A token that is looked for before anything else is done with the text.
struct Added {
  std::string content;
  int32_t id;
  bool strip_left, strip_right, whole_word;
  bool mapped;  // is looked for in the mapped text
};

enum class Prepend : uint8_t { never, first, each };

class Pipeline {
 public:
  struct Setup {
    std::shared_ptr<const Characters> characters;
    std::shared_ptr<const Model> model;
    std::shared_ptr<const CharacterMap> map;  // may be null
    Split split = Split::whole;
    std::vector<Added> added;
    std::string prefix;  // what the text, or each stretch between added tokens, begins with
    Prepend prepend = Prepend::never;
    bool unless_there = false;  // no prefix where the stretch begins with it already
  };
  struct Result {
    std::vector<int32_t> ids;
    std::vector<int64_t> counts;  // tokens of each text
    std::vector<int64_t> spans;   // of each token in characters of the text: begin and end
    std::vector<int32_t> words;   // and the number of the piece that it is of, added tokens being one each
  };

  explicit Pipeline(Setup setup);
  ~Pipeline();

  void encode(const std::vector<std::string_view>& texts, int threads, bool spans, Result& result) const;
  // Adds how often each piece occurs.
  void count(const std::vector<std::string_view>& texts, int threads, StringTable& counts) const;
  // The places of pieces in one text, in bytes of the mapped text, and that text.
  void pieces(std::string_view text, std::string& mapped, std::vector<int64_t>& places) const;

 private:
  class Cache;
  struct Scratch;
  struct Finder {
    std::array<std::vector<uint32_t>, 256> by_first;  // numbers of tokens, the longest first
    bool any = false;
  };
  struct Match {
    size_t start, end;
    const Added* token;
  };

  bool find_added(const Finder& finder, std::string_view text, size_t from, Match& match) const;
  void map_text(std::string_view text, size_t origin, bool first, Scratch& scratch) const;
  template <class OnPiece, class OnAdded>
  void walk(std::string_view text, Scratch& scratch, const OnPiece& on_piece, const OnAdded& on_added) const;
  void encode_one(std::string_view text, Cache& cache, Scratch& scratch, bool spans, Result& result) const;
  std::unique_ptr<Cache> take_cache() const;
  void give_back(std::unique_ptr<Cache> cache) const;

  Setup setup_;
  Finder plain_, mapped_;
  mutable std::mutex lock_;
  mutable std::vector<std::unique_ptr<Cache>> caches_;
};

}  // namespace einkorn::text
