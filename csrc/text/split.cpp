// Pre-tokenising patterns as scanners. Each is one left-to-right pass that decides, at every place, what the alternatives of
// the published regular expression decide in their order; docs/text.md has the expressions, _plain.py runs them as such, and tests
// compare the two.

#include "text/text.h"

namespace einkorn::text {

namespace {

// A text and the classes of its characters; places beyond the end have no class.
struct Reader {
  const Characters& characters;
  std::string_view text;

  bool ends(size_t at) const { return at >= text.size(); }
  Character at(size_t place) const { return character_at(text, place); }
  uint8_t class_at(size_t place) const { return ends(place) ? 0 : characters.of(at(place).point); }
  size_t after(size_t place) const { return place + at(place).size; }

  // Behind the characters from `place` on that have one of these classes; that have none of them.
  size_t run_of(size_t place, uint8_t classes) const {
    while (!ends(place)) {
      const Character c = at(place);
      if ((characters.of(c.point) & classes) == 0) break;
      place += c.size;
    }
    return place;
  }
  size_t run_without(size_t place, uint8_t classes) const {
    while (!ends(place)) {
      const Character c = at(place);
      if ((characters.of(c.point) & classes) != 0) break;
      place += c.size;
    }
    return place;
  }
};

constexpr uint8_t kKnown = kLetter | kNumber | kSpace;

// Behind 's 't 're 've 'm 'll 'd, or `at`. Ignoring case takes in the long s, which folds to s.
size_t contraction(const Reader& r, size_t at, bool any_case) {
  if (r.ends(at) || r.text[at] != '\'') return at;
  const auto letter = [&](size_t place) -> char {
    if (r.ends(place)) return 0;
    const char c = r.text[place];
    return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  };
  const char one = letter(at + 1), two = one == 0 ? 0 : letter(at + 2);
  if (one == 's' || one == 't' || one == 'm' || one == 'd') return at + 2;
  if (two == 'e' && (one == 'r' || one == 'v')) return at + 3;
  if (two == 'l' && one == 'l') return at + 3;
  if (any_case && r.text.substr(at + 1, 2) == "\xC5\xBF") return at + 3;
  return at;
}

// White space before something leaves its last character to it: \s+(?!\S)|\s+
size_t white(const Reader& r, size_t at, size_t end) {
  if (r.ends(end)) return end;
  size_t last = end - 1;
  while (last > at && !starts_character(r.text[last])) --last;
  return last == at ? end : last;
}

size_t gpt2(const Reader& r, size_t at) {
  if (const size_t end = contraction(r, at, false); end != at) return end;
  const size_t begin = at + (r.text[at] == ' ');
  const uint8_t kind = r.class_at(begin);
  if (kind & kLetter) return r.run_of(begin, kLetter);
  if (kind & kNumber) return r.run_of(begin, kNumber);
  if (!(kind & kSpace) && !r.ends(begin)) return r.run_without(begin, kKnown);
  return white(r, at, r.run_of(at, kSpace));
}

size_t cl100k(const Reader& r, size_t at, bool whole_end) {
  if (const size_t end = contraction(r, at, true); end != at) return end;
  const uint8_t kind = r.class_at(at);
  if (kind & kLetter) return r.run_of(at, kLetter);
  if (kind & kNumber) {
    size_t end = r.after(at);
    for (int i = 1; i < 3 && (r.class_at(end) & kNumber); ++i) end = r.after(end);
    return end;
  }
  const auto breaks = [&](size_t place) { return r.text[place] == '\r' || r.text[place] == '\n'; };
  if (const size_t next = r.after(at); !breaks(at) && (r.class_at(next) & kLetter)) return r.run_of(next, kLetter);
  const size_t begin = at + (r.text[at] == ' ');
  if (!r.ends(begin) && !(r.class_at(begin) & kKnown)) {
    size_t end = r.run_without(begin, kKnown);
    while (!r.ends(end) && breaks(end)) ++end;
    return end;
  }
  const size_t end = r.run_of(at, kSpace);
  if (whole_end && r.ends(end)) return end;
  for (size_t place = end; place > at; --place)
    if (breaks(place - 1)) return place;
  return white(r, at, end);
}

size_t clip(const Reader& r, size_t at) {
  if (const size_t end = contraction(r, at, false); end != at) return end;
  const uint8_t kind = r.class_at(at);
  if (kind & kLetter) return r.run_of(at, kLetter);
  if (kind & kNumber) return r.after(at);
  return r.run_without(at, kKnown);
}

size_t bert(const Reader& r, size_t at) {
  if (r.class_at(at) & kPunctuation) return r.after(at);
  return r.run_without(at, kSpace | kPunctuation);
}

size_t words(const Reader& r, size_t at) {
  return r.class_at(at) & kWord ? r.run_of(at, kWord) : r.run_without(at, kWord | kSpace);
}

size_t metaspace(const Reader& r, size_t at) {
  constexpr std::string_view mark = "\xE2\x96\x81";
  const size_t end = r.text.find(mark, at + 1);
  return end == std::string_view::npos ? r.text.size() : end;
}

}  // namespace

Split split_named(std::string_view name) {
  constexpr const char* names[] = {"whole", "gpt2", "cl100k", "llama3", "clip", "bert", "words", "spaces", "metaspace"};
  for (size_t i = 0; i < std::size(names); ++i)
    if (name == names[i]) return static_cast<Split>(i);
  throw Refused("no way to split is named '" + std::string(name) + "'");
}

bool next_piece(Split split, const Characters& characters, std::string_view text, size_t& at, Piece& piece) {
  const Reader r{characters, text};
  if (split == Split::clip || split == Split::bert || split == Split::words || split == Split::spaces)
    at = r.run_of(at, kSpace);
  if (r.ends(at)) return false;
  piece.start = at;
  switch (split) {
    case Split::whole:
      at = text.size();
      break;
    case Split::gpt2:
      at = gpt2(r, at);
      break;
    case Split::cl100k:
      at = cl100k(r, at, true);
      break;
    case Split::llama3:
      at = cl100k(r, at, false);
      break;
    case Split::clip:
      at = clip(r, at);
      break;
    case Split::bert:
      at = bert(r, at);
      break;
    case Split::words:
      at = words(r, at);
      break;
    case Split::spaces:
      at = r.run_without(at, kSpace);
      break;
    case Split::metaspace:
      at = metaspace(r, at);
      break;
  }
  piece.end = at;
  return true;
}

}  // namespace einkorn::text
