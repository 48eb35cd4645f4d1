// Reading the small text files of /proc and /sys: by C's functions, because the streams of the C++ library look up locales by
// numbers that two copies of that library in one process need not agree on (a module that was linked with its own copy
// crashed beside another one's).

#pragma once

#include <stdio.h>

#include <string>
#include <vector>

namespace einkorn {

// The whole text; empty where there is no such file.
inline std::string read_text(const std::string& path) {
  std::string text;
  if (FILE* const file = fopen(path.c_str(), "re")) {
    char block[4096];
    for (size_t n; (n = fread(block, 1, sizeof block, file)) > 0;) text.append(block, n);
    fclose(file);
  }
  return text;
}

// What stands between characters of `separators`, empty pieces left out.
inline std::vector<std::string> split(const std::string& text, const char* separators) {
  std::vector<std::string> pieces;
  for (size_t begin = 0; (begin = text.find_first_not_of(separators, begin)) != std::string::npos;) {
    size_t end = text.find_first_of(separators, begin);
    if (end == std::string::npos) end = text.size();
    pieces.push_back(text.substr(begin, end - begin));
    begin = end;
  }
  return pieces;
}

inline std::vector<std::string> read_lines(const std::string& path) {
  return split(read_text(path), "\n");
}

inline std::vector<std::string> read_words(const std::string& path) {
  return split(read_text(path), " \t\n");
}

// "" where there is none.
inline std::string first_word(const std::string& path) {
  const std::vector<std::string> words = read_words(path);
  return words.empty() ? std::string() : words[0];
}

}  // namespace einkorn
