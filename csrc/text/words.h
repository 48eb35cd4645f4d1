// Words by the rules of the Penn Treebank, as NLTK's NLTKWordTokenizer has them. python/einkorn/text/_plain_words.py has the
// rules as regular expressions; tests compare the two.

#pragma once

#include "text/text.h"

namespace einkorn::text {

// What \s, \w and \d ask of a character in Unicode's regular expressions, and \s and \w in Python's, which differ on the
// information separators and on marks.
enum WordClass : uint8_t { kBlank = 1, kAlnum = 2, kDecimal = 4, kPythonBlank = 8, kPythonAlnum = 16 };

class Words {
 public:
  explicit Words(const Characters& classes) : classes_(classes) {}

  // The words of a text, each with a space before and behind it: valid until the next call.
  std::string_view spaced(std::string_view text, bool convert_parentheses);

 private:
  template <class Find, class Rule>
  void apply(const Find& find, const Rule& rule);
  void put(std::string_view part) { next_.append(part); }

  uint8_t class_at(size_t at) const {
    if (at >= now_.size()) return 0;
    const uint8_t byte = static_cast<uint8_t>(now_[at]);
    return classes_.of(byte < 0x80 ? byte : character_at(now_, at).point);
  }
  uint8_t class_before(size_t at) const {
    if (at == 0) return 0;
    while (--at > 0 && !starts_character(now_[at])) {
    }
    return class_at(at);
  }
  size_t size_at(size_t at) const { return character_at(now_, at).size; }
  char at(size_t place) const { return place < now_.size() ? now_[place] : '\0'; }
  bool is(size_t place, std::string_view wanted) const {
    return std::string_view(now_).substr(place, wanted.size()) == wanted;
  }
  size_t behind_folded(size_t place, std::string_view wanted) const;

  void starting_quotes();
  void final_period(bool with_spaces);
  void punctuation();
  void brackets(bool convert);
  void ending_quotes();
  void one_space();
  void clitics();
  void contractions();

  const Characters& classes_;
  std::string now_, next_;
  bool has_[256] = {};  // which bytes the text has: a rule whose bytes are not there is skipped
};

}  // namespace einkorn::text
