// A rule after the other over the whole text, because each sees the spaces that those before it put: that is what makes the result
// what it is. A pass jumps from one byte that its rule begins with to the next and copies what lies between; rules whose bytes
// the text does not have cost nothing, and those are most of them in a sentence.

#include "text/words.h"

namespace einkorn::text {

namespace {

// Where the next byte of a set is, from `at` on; the size of the text where there is none.
struct AnyOf {
  bool set[256] = {};
  constexpr AnyOf(std::string_view bytes) {
    for (const char c : bytes) set[static_cast<uint8_t>(c)] = true;
  }
  size_t operator()(std::string_view text, size_t at) const {
    while (at < text.size() && !set[static_cast<uint8_t>(text[at])]) ++at;
    return at;
  }
};

struct One {
  char byte;
  size_t operator()(std::string_view text, size_t at) const {
    const size_t found = text.find(byte, at);
    return found == std::string_view::npos ? text.size() : found;
  }
};

constexpr One kApostrophe{'\''};

// nn, mm or tt, in any case: what the contractions without an apostrophe have in their middle. Whole blocks are looked at first.
struct TwoAlike {
  static bool is(const char* c) {
    const int first = c[0] | 32;
    return (first == (c[1] | 32)) & ((first == 'n') | (first == 'm') | (first == 't'));
  }
  size_t operator()(std::string_view text, size_t at) const {
    constexpr size_t kBlock = 64;
    while (at + kBlock < text.size()) {
      bool any = false;
      for (size_t i = 0; i < kBlock; ++i) any |= is(text.data() + at + i);
      if (any) break;
      at += kBlock;
    }
    while (at + 1 < text.size() && !is(text.data() + at)) ++at;
    return at + 1 < text.size() ? at : text.size();
  }
};

constexpr bool in(std::string_view set, char c) {
  return set.find(c) != std::string_view::npos;
}

// \xE2\x80 and these: quotes that open, quotes that close, dashes.
constexpr std::string_view kOpening = "\x98\x9C\x9E", kClosing = "\x99\x9D", kDashes = "\x92\x93\x94\x95";

}  // namespace

// Calls rule(place, before) at every place that is found. It returns where to go on: `place` where it does not apply; else it has called
// before(begin), which copies the text up to there, and put what stands for the text from there to the place it returns.
template <class Find, class Rule>
void Words::apply(const Find& find, const Rule& rule) {
  next_.clear();
  size_t copied = 0, place = 0;
  while ((place = find(now_, place)) < now_.size()) {
    const size_t end = rule(place, [&](size_t begin) { put(std::string_view(now_).substr(copied, begin - copied)); });
    if (end == place)
      ++place;
    else
      copied = place = end;
  }
  if (copied == 0) return;
  put(std::string_view(now_).substr(copied));
  now_.swap(next_);
}

// Behind `wanted` (lower case) at `place`, upper or lower case; `place` where it is not there. s is the long s too, and i the i
// without a dot and the I with one: what Python's re.IGNORECASE takes them for.
size_t Words::behind_folded(size_t place, std::string_view wanted) const {
  size_t here = place;
  for (const char c : wanted) {
    const char found = at(here);
    if (found == c || (c >= 'a' && c <= 'z' && found == c - 32))
      ++here;
    else if (c == 's' && is(here, "\xC5\xBF"))
      here += 2;
    else if (c == 'i' && (is(here, "\xC4\xB1") || is(here, "\xC4\xB0")))
      here += 2;
    else
      return place;
  }
  return here;
}

void Words::starting_quotes() {
  static constexpr AnyOf kQuotes("`\xC2\xE2");
  const auto around = [this](size_t place, size_t end) {
    put(" ");
    put(std::string_view(now_).substr(place, end - place));
    put(" ");
    return end;
  };
  if (has_['`'] || has_[0xC2] || has_[0xE2])
    apply(kQuotes, [&](size_t place, const auto& before) {
      size_t end = place;
      if (now_[place] == '`')
        while (at(end) == '`') ++end;
      else if (is(place, "\xC2\xAB"))
        end += 2;
      else if (is(place, "\xE2\x80") && in(kOpening, at(place + 2)))
        end += 3;
      if (end == place) return place;
      before(place);
      return around(place, end);
    });
  const bool doubled = has_['"'];
  if (doubled && at(0) == '"') {
    now_ = "``" + now_.substr(1);
    has_['`'] = true;
  }
  static constexpr One kBacktick{'`'};
  if (has_['`'])
    apply(kBacktick, [&](size_t place, const auto& before) {
      if (at(place + 1) != '`') return place;
      before(place);
      return around(place, place + 2);
    });
  static constexpr AnyOf kMarks("'\"");
  if (doubled || has_['\''])
    apply(kMarks, [&](size_t place, const auto& before) {
      const size_t size = now_[place] == '"' ? 1 : at(place + 1) == '\'' ? 2 : 0;
      if (size == 0 || place == 0 || !in(" ([{<", now_[place - 1])) return place;
      before(place);
      put(" `` ");
      return place + size;
    });
  if (has_['\''])
    apply(kApostrophe, [&](size_t place, const auto& before) {
      if (!(class_at(place + 1) & kAlnum) || (class_before(place) & kAlnum)) return place;
      for (const std::string_view clitic : {"re", "ve", "ll", "m", "t", "s", "d", "n"}) {
        const size_t end = behind_folded(place + 1, clitic);
        if (end != place + 1 && !(class_at(end) & kAlnum)) return place;
      }
      before(place + 1);
      put(" ");
      return place + 1;
    });
}

// A period that only closing marks and white space follow stands for itself.
void Words::final_period(bool with_spaces) {
  size_t end = now_.size();
  while (end > 0 && (class_before(end) & kBlank)) {
    --end;
    while (end > 0 && !starts_character(now_[end])) --end;
  }
  const auto closing = [&](size_t behind) -> size_t {  // the bytes of a closing mark that ends here
    if (behind == 0) return 0;
    if (in("])}>\"'", now_[behind - 1])) return 1;
    if (!with_spaces) return 0;
    if (now_[behind - 1] == ' ') return 1;
    if (behind >= 2 && is(behind - 2, "\xC2\xBB")) return 2;
    return behind >= 3 && is(behind - 3, "\xE2\x80") && in(kClosing, now_[behind - 1]) ? 3 : 0;
  };
  size_t marks = end;
  while (const size_t size = closing(marks)) marks -= size;
  if (marks < 2 || now_[marks - 1] != '.' || now_[marks - 2] == '.') return;
  if (with_spaces)  // spaces right behind the marks are theirs
    while (at(end) == ' ') ++end;
  next_.assign(now_, 0, marks - 1);
  put(" .");
  if (with_spaces) put(" ");
  put(std::string_view(now_).substr(marks, end - marks));
  put(" ");
  now_.swap(next_);
}

void Words::punctuation() {
  const auto alone = [this](size_t place, const auto& before) {
    before(place);
    const size_t end = place + size_at(place);
    put(" ");
    put(std::string_view(now_).substr(place, end - place));
    put(" ");
    return end;
  };
  if (has_['.']) final_period(true);
  static constexpr AnyOf kPauses(":,");
  if (has_[':'] || has_[',']) {
    apply(kPauses, [&](size_t place, const auto& before) {
      if (place + 1 >= now_.size() || (class_at(place + 1) & kDecimal)) return place;
      before(place);
      put(" ");
      put(std::string_view(now_).substr(place, 1));
      put(" ");
      const size_t end = place + 1 + size_at(place + 1);
      put(std::string_view(now_).substr(place + 1, end - place - 1));
      return end;
    });
    const size_t newline = !now_.empty() && now_.back() == '\n';
    if (now_.size() > newline && in(":,", now_[now_.size() - 1 - newline])) {
      const size_t place = now_.size() - 1 - newline;
      now_.insert(place + 1, 1, ' ');
      now_.insert(place, 1, ' ');
    }
  }
  static constexpr One kPeriod{'.'};
  if (has_['.'])
    apply(kPeriod, [&](size_t place, const auto& before) {
      size_t end = place;
      while (at(end) == '.') ++end;
      if (end - place < 2) return place;
      before(place);
      put(" ");
      put(std::string_view(now_).substr(place, end - place));
      put(" ");
      return end;
    });
  static constexpr AnyOf kSigns(";@#$%&");
  if (has_[';'] || has_['@'] || has_['#'] || has_['$'] || has_['%'] || has_['&']) apply(kSigns, alone);
  static constexpr One kDash{'\xE2'};
  if (has_[0xE2])
    apply(kDash, [&](size_t place, const auto& before) {
      return is(place, "\xE2\x80") && in(kDashes, at(place + 2)) ? alone(place, before) : place;
    });
  if (has_['.']) final_period(false);
  static constexpr AnyOf kEnds("?!");
  if (has_['?'] || has_['!']) apply(kEnds, alone);
  if (has_['\'']) {
    size_t consumed = 0;  // the character before may belong to a match already
    apply(kApostrophe, [&](size_t place, const auto& before) {
      if (place == consumed || now_[place - 1] == '\'' || at(place + 1) != ' ') return place;
      before(place);
      put(" ' ");
      return consumed = place + 2;
    });
  }
  static constexpr One kStar{'*'};
  if (has_['*']) apply(kStar, alone);
}

void Words::brackets(bool convert) {
  static constexpr AnyOf kBrackets("[](){}<>");
  static constexpr std::string_view kNames[] = {" -LRB- ", " -RRB- ", " -LSB- ", " -RSB- ", " -LCB- ", " -RCB- "};
  bool any = false;
  for (const char c : std::string_view("[](){}<>")) any = any || has_[static_cast<uint8_t>(c)];
  if (any)
    apply(kBrackets, [&](size_t place, const auto& before) {
      before(place);
      const size_t which = std::string_view("()[]{}").find(now_[place]);
      if (convert && which != std::string_view::npos) {
        put(kNames[which]);
      } else {
        put(" ");
        put(std::string_view(now_).substr(place, 1));
        put(" ");
      }
      return place + 1;
    });
  static constexpr One kDash{'-'};
  if (has_['-'])
    apply(kDash, [&](size_t place, const auto& before) {
      if (at(place + 1) != '-') return place;
      before(place);
      put(" -- ");
      return place + 2;
    });
}

void Words::ending_quotes() {
  static constexpr AnyOf kQuotes("\xC2\xE2");
  if (has_[0xC2] || has_[0xE2])
    apply(kQuotes, [&](size_t place, const auto& before) {
      const size_t size = is(place, "\xC2\xBB") ? 2 : is(place, "\xE2\x80") && in(kClosing, at(place + 2)) ? 3 : 0;
      if (size == 0) return place;
      before(place);
      put(" ");
      put(std::string_view(now_).substr(place, size));
      put(" ");
      return place + size;
    });
  static constexpr AnyOf kMarks("'\"");  // '' and " in one pass: neither makes the other
  if (has_['\''] || has_['"'])
    apply(kMarks, [&](size_t place, const auto& before) {
      const size_t size = now_[place] == '"' ? 1 : at(place + 1) == '\'' ? 2 : 0;
      if (size == 0) return place;
      before(place);
      put(" '' ");
      return place + size;
    });
}

void Words::one_space() {
  next_.clear();
  const size_t size = now_.size();
  size_t copied = 0, place = 0;
  while (place < size) {
    const uint8_t byte = static_cast<uint8_t>(now_[place]);
    if (byte > 0x20 && byte < 0x80) {
      ++place;
      continue;
    }
    if (byte == ' ' && place + 1 < size && static_cast<uint8_t>(now_[place + 1] - 0x21) < 0x5F) {
      ++place;
      continue;
    }
    if (!(class_at(place) & kBlank)) {
      place += size_at(place);
      continue;
    }
    put(std::string_view(now_).substr(copied, place - copied));
    put(" ");
    while (place < size && (class_at(place) & kBlank)) place += size_at(place);
    copied = place;
  }
  put(std::string_view(now_).substr(copied));
  now_.swap(next_);
}

void Words::clitics() {
  if (!has_['\'']) return;
  const auto word_before = [&](size_t place) { return place > 0 && now_[place - 1] != '\'' && now_[place - 1] != ' '; };
  // What one match took, its space included, the next cannot begin with.
  apply(kApostrophe, [&](size_t place, const auto& before) {
    if (!word_before(place)) return place;
    const size_t end = at(place + 1) == ' '                                  ? place + 2
                       : in("sSmMdD", at(place + 1)) && at(place + 2) == ' ' ? place + 3
                                                                             : place;
    if (end == place) return place;
    before(place);
    put(" ");
    put(std::string_view(now_).substr(place, end - place));
    return end;
  });
  apply(kApostrophe, [&](size_t place, const auto& before) {
    size_t start = place, end = place;
    for (const std::string_view clitic : {"'ll ", "'LL ", "'re ", "'RE ", "'ve ", "'VE "})
      if (is(place, clitic)) end = place + 4;
    if (place > 0 && (is(place - 1, "n't ") || is(place - 1, "N'T "))) {
      start = place - 1;
      end = place + 3;
    }
    if (end == place || !word_before(start)) return place;
    before(start);
    put(" ");
    put(std::string_view(now_).substr(start, end - start));
    return end;
  });
}

void Words::contractions() {
  const auto two = [this](size_t begin, size_t middle, size_t end) {
    put(" ");
    put(std::string_view(now_).substr(begin, middle - begin));
    put(" ");
    put(std::string_view(now_).substr(middle, end - middle));
    put(" ");
    return end;
  };
  // Whether `first` and `second` stand here as a word; they become two.
  const auto parts = [&](size_t begin, std::string_view first, std::string_view second, size_t& middle, size_t& end) {
    middle = behind_folded(begin, first);
    end = middle == begin ? begin : behind_folded(middle, second);
    return middle != begin && end != middle && !(class_at(end) & kPythonAlnum) && !(class_before(begin) & kPythonAlnum);
  };
  struct Contraction {
    std::string_view first, second;
  };
  static constexpr Contraction kAlike[] = {{"can", "not"}, {"gim", "me"}, {"gon", "na"},
                                           {"got", "ta"},  {"lem", "me"}, {"wan", "na"}};
  size_t middle, end;
  apply(TwoAlike{}, [&](size_t place, const auto& before) {
    if (place < 2) return place;
    const size_t begin = starts_character(now_[place - 1]) ? place - 2 : place - 3;  // i has relatives of two bytes
    if (begin >= place) return place;
    for (const Contraction& c : kAlike) {
      if ((now_[begin] | 32) != c.first[0] || !parts(begin, c.first, c.second, middle, end)) continue;
      if (c.first[0] == 'w' && !(class_at(end) & kPythonBlank)) continue;
      before(begin);
      return two(begin, middle, end);
    }
    return place;
  });
  if (!has_['\'']) return;
  apply(kApostrophe, [&](size_t place, const auto& before) {
    for (const Contraction& c : {Contraction{"d", "'ye"}, {"more", "'n"}}) {
      const size_t begin = place - c.first.size();
      if (place < c.first.size() || !parts(begin, c.first, c.second, middle, end)) continue;
      before(begin);
      return two(begin, middle, end);
    }
    return place;
  });
  for (const std::string_view second : {"is", "was"})
    apply(kApostrophe, [&](size_t place, const auto& before) {
      if (place == 0 || now_[place - 1] != ' ') return place;
      middle = behind_folded(place, "'t");
      if (middle == place) return place;
      end = behind_folded(middle, second);
      if (end == middle || (class_at(end) & kPythonAlnum)) return place;
      before(place - 1);
      return two(place, middle, end);
    });
}

std::string_view Words::spaced(std::string_view text, bool convert_parentheses) {
  now_.assign(text);
  std::memset(has_, 0, sizeof has_);
  for (const char c : text) has_[static_cast<uint8_t>(c)] = true;
  starting_quotes();
  punctuation();
  brackets(convert_parentheses);
  now_.insert(0, 1, ' ');
  now_ += ' ';
  ending_quotes();
  one_space();
  clitics();
  contractions();
  return now_;
}

}  // namespace einkorn::text
