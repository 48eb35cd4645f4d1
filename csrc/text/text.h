// Tokenising: what the files of this folder share. Texts are UTF-8 in one buffer; nothing here knows Python, and nothing trusts
// its input: bytes that are no UTF-8 are read as single characters without a class.

#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace einkorn::text {

// Why a vocabulary or an argument is refused; Python names the file.
struct Refused : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A handler of a signal raised something, which the interpreter keeps: the work is given up.
struct Interrupted {};

// Whether that is so; the module that is called from Python sets it.
extern bool (*was_interrupted)();

// Long loops ask this at each step: throws Interrupted, a tenth of a second after the signal at most where steps are short. The thread
// that was called asks the interpreter, those of in_parallel ask that thread.
void ask_for_signals();

inline void ask_at(size_t step) {
  if (step % 4096 == 4095) ask_for_signals();
}

// What a pattern asks of a character.
enum Class : uint8_t { kLetter = 1, kNumber = 2, kSpace = 4, kPunctuation = 8, kWord = 16 };

struct Character {
  uint32_t point;
  uint32_t size;  // in bytes, at least 1
};

// The character at `at`, which lies inside the text.
inline Character character_at(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) -> uint32_t { return static_cast<uint8_t>(text[i]); };
  const uint32_t first = byte(at);
  if (first < 0x80) return {first, 1};
  const uint32_t size = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : first >= 0xC2 ? 2 : 1;
  if (size == 1 || text.size() - at < size) return {0xFFFD, 1};
  uint32_t point = first & (0x7F >> size);
  for (uint32_t i = 1; i < size; ++i) {
    if ((byte(at + i) & 0xC0) != 0x80) return {0xFFFD, 1};
    point = point << 6 | (byte(at + i) & 0x3F);
  }
  return point > 0x10FFFF ? Character{0xFFFD, 1} : Character{point, size};
}

inline bool starts_character(char byte) {
  return (static_cast<uint8_t>(byte) & 0xC0) != 0x80;
}

// The classes of all characters: blocks of 256, equal ones once.
class Characters {
 public:
  explicit Characters(std::string_view classes);  // a byte for each code point

  uint8_t of(uint32_t point) const { return blocks_[index_[point >> 8] * 256u + (point & 255)]; }

 private:
  std::vector<uint16_t> index_;
  std::vector<uint8_t> blocks_;
};

// Strings and their numbers, with open addressing; the strings lie in one buffer.
class StringTable {
 public:
  static constexpr int32_t kAbsent = -1;

  void reserve(size_t strings);
  // The number of the string, after adding it with `value` where it is new.
  int32_t add(std::string_view string, int32_t value);
  int32_t find(std::string_view string) const;
  // A reference to the value, new strings beginning with 0: for counting.
  int64_t& count(std::string_view string);
  size_t size() const { return entries_.size(); }
  size_t longest() const { return longest_; }
  std::string_view string(size_t entry) const { return {bytes_.data() + entries_[entry].start, entries_[entry].size}; }
  int64_t value(size_t entry) const { return entries_[entry].value; }

 private:
  struct Entry {
    uint64_t hash;
    size_t start;
    size_t size;
    int64_t value;
  };
  size_t slot_of(std::string_view string, uint64_t hash) const;
  int64_t& insert(std::string_view string, int64_t value);

  std::vector<uint32_t> slots_;  // an entry's number and 1; 0 is free
  std::vector<Entry> entries_;
  std::string bytes_;
  size_t longest_ = 0;
};

inline uint64_t mixed(uint64_t a, uint64_t b) {
  const unsigned __int128 product = static_cast<unsigned __int128>(a ^ 0x9E3779B97F4A7C15u) * (b ^ 0xD6E8FEB86659FD93u);
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

inline uint64_t hash_of(std::string_view string) {
  uint64_t hash = string.size();
  size_t i = 0;
  uint64_t word;
  for (; i + 8 <= string.size(); i += 8) {
    std::memcpy(&word, string.data() + i, 8);
    hash = mixed(hash, word);
  }
  word = 0;
  if (i < string.size()) std::memcpy(&word, string.data() + i, string.size() - i);
  return mixed(hash, word);
}

// How a text is cut into the pieces that models see one by one.
enum class Split : uint8_t { whole, gpt2, cl100k, llama3, clip, bert, words, spaces, metaspace };

Split split_named(std::string_view name);

struct Piece {
  size_t start, end;
};

// Moves `at` behind the next piece and tells where that is; false at the end of the text.
bool next_piece(Split split, const Characters& characters, std::string_view text, size_t& at, Piece& piece);

// Runs work(task) for every task; on as many threads as are worth it for this many bytes, at most `threads`. The threads live as long as the
// call: none is left to a fork. The first exception of a task is thrown again here; the others then stop where they ask for signals.
void in_parallel(size_t tasks, size_t bytes, int threads, const std::function<void(size_t)>& work);

}  // namespace einkorn::text
