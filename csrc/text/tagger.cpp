// Features are 64-bit hashes; a row of weights, one for each tag, belongs to those that ever told a wrong tag from a right one.

#include "text/tagger.h"

#include <algorithm>

namespace einkorn::text {

namespace {

uint64_t keyed(uint64_t feature, uint64_t a, uint64_t b = 0) {
  return mixed(mixed(feature, a), b) | 1;  // 0 is no feature
}

}  // namespace

Tagger::Word Tagger::word_of(std::string_view word, bool first) {
  std::string lower(word);
  bool digit = false, hyphen = false, upper = false, small = false, all_digits = !word.empty();
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') {
      c = static_cast<char>(c + 32);
      upper = true;
    } else if (c >= 'a' && c <= 'z') {
      small = true;
    }
    const bool number = c >= '0' && c <= '9';
    digit |= number;
    all_digits &= number;
    hyphen |= c == '-';
  }
  const bool capital = !word.empty() && word[0] >= 'A' && word[0] <= 'Z';
  // Numbers are alike: years by themselves.
  const std::string_view whole = all_digits && lower.size() == 4               ? "!year"
                                 : digit && lower[0] >= '0' && lower[0] <= '9' ? "!digits"
                                                                               : std::string_view(lower);
  const auto ending = [&](size_t n) {
    size_t start = lower.size() > n ? lower.size() - n : 0;
    while (start > 0 && !starts_character(lower[start])) --start;
    return hash_of(std::string_view(lower).substr(start));
  };
  const auto beginning = [&](size_t n) {
    size_t end = std::min(lower.size(), n);
    while (end < lower.size() && !starts_character(lower[end])) ++end;
    return hash_of(std::string_view(lower).substr(0, end));
  };
  const uint64_t shape = static_cast<uint64_t>(capital) | static_cast<uint64_t>(digit) << 1 |
                         static_cast<uint64_t>(hyphen) << 2 | static_cast<uint64_t>(upper && !small) << 3 |
                         static_cast<uint64_t>(first) << 4;
  return {hash_of(whole), ending(3), ending(2), ending(1), beginning(1), beginning(3), shape};
}

void Tagger::look(const std::vector<Word>& words, size_t at, int32_t before, int32_t before2,
                  uint64_t (&keys)[kFeatures]) const {
  static constexpr Word kOutside = {1, 1, 1, 1, 1, 1, 1};
  const auto word = [&](size_t place) -> const Word& { return place < words.size() ? words[place] : kOutside; };
  const Word &w = words[at], &left = word(at - 1), &left2 = word(at - 2), &right = word(at + 1), &right2 = word(at + 2);
  const auto t = static_cast<uint64_t>(before + 2), t2 = static_cast<uint64_t>(before2 + 2);
  const uint64_t found[kFeatures] = {
      keyed(0, 0),
      keyed(1, w.suffix3),
      keyed(2, w.suffix2),
      keyed(3, w.suffix1),
      keyed(4, w.prefix1),
      keyed(5, w.prefix3),
      keyed(6, t),
      keyed(7, t2),
      keyed(8, t, t2),
      keyed(9, w.whole),
      keyed(10, t, w.whole),
      keyed(11, left.whole),
      keyed(12, left.suffix3),
      keyed(13, left2.whole),
      keyed(14, right.whole),
      keyed(15, right.suffix3),
      keyed(16, right2.whole),
      keyed(17, w.shape, w.suffix3),
      keyed(18, left.whole, w.whole),
      keyed(19, w.whole, right.whole),
  };
  std::copy(std::begin(found), std::end(found), std::begin(keys));
}

uint32_t Tagger::find(uint64_t key) const {
  if (slots_.empty()) return kAbsent;
  for (size_t slot = key >> 1 & (slots_.size() - 1);; slot = (slot + 1) & (slots_.size() - 1)) {
    if (slots_[slot] == 0) return kAbsent;
    if (features_[slots_[slot] - 1] == key) return slots_[slot] - 1;
  }
}

void Tagger::grow() {
  slots_.assign(std::max<size_t>(1024, slots_.size() * 2), 0);
  for (size_t i = 0; i < features_.size(); ++i) {
    size_t slot = features_[i] >> 1 & (slots_.size() - 1);
    while (slots_[slot] != 0) slot = (slot + 1) & (slots_.size() - 1);
    slots_[slot] = static_cast<uint32_t>(i + 1);
  }
}

uint32_t Tagger::row_of(uint64_t key) {
  const uint32_t known = find(key);
  if (known != kAbsent) return known;
  if (features_.size() >= 0x7FFFFFFF) throw Refused("more than 2147483647 features");
  features_.push_back(key);
  weights_.resize(weights_.size() + width_);
  if (features_.size() * 2 > slots_.size()) {
    grow();
  } else {
    size_t slot = key >> 1 & (slots_.size() - 1);
    while (slots_[slot] != 0) slot = (slot + 1) & (slots_.size() - 1);
    slots_[slot] = static_cast<uint32_t>(features_.size());
  }
  return static_cast<uint32_t>(features_.size() - 1);
}

void Tagger::change(uint64_t key, int32_t tag, float by) {
  const size_t place = row_of(key) * width_ + static_cast<size_t>(tag);
  totals_.resize(weights_.size());
  stamps_.resize(weights_.size());
  totals_[place] += static_cast<double>(step_ - stamps_[place]) * static_cast<double>(weights_[place]);
  stamps_[place] = step_;
  weights_[place] += by;
}

int32_t Tagger::best(const uint64_t (&keys)[kFeatures], std::vector<float>& scores) const {
  std::fill(scores.begin(), scores.end(), 0.0f);
  for (const uint64_t key : keys) {
    const uint32_t row = find(key);
    if (row == kAbsent) continue;
    const float* const w = weights_.data() + row * width_;
    for (size_t t = 0; t < width_; ++t) scores[t] += w[t];
  }
  return static_cast<int32_t>(std::max_element(scores.begin(), scores.begin() + static_cast<std::ptrdiff_t>(tags_)) -
                              scores.begin());
}

size_t Tagger::learn(const Sentences& sentences, const std::vector<int32_t>& tags, const std::vector<int64_t>& order) {
  std::vector<float> scores(width_);
  std::vector<Word> words;
  uint64_t keys[kFeatures];
  size_t wrong = 0;
  for (const int64_t which : order) {
    const size_t begin = which == 0 ? 0 : sentences.ends[static_cast<size_t>(which) - 1],
                 end = sentences.ends[static_cast<size_t>(which)];
    words.clear();
    for (size_t i = begin; i < end; ++i) words.push_back(word_of(sentences.words[i], i == begin));
    int32_t before = -1, before2 = -2;
    for (size_t i = begin; i < end; ++i) {
      int32_t guess = fixed_.find(sentences.words[i]);
      if (guess == StringTable::kAbsent) {
        look(words, i - begin, before, before2, keys);
        guess = best(keys, scores);
        ++step_;
        if (guess != tags[i]) {
          ++wrong;
          for (const uint64_t key : keys) {
            change(key, tags[i], 1);
            change(key, guess, -1);
          }
        }
      }
      before2 = before;
      before = guess;
    }
  }
  return wrong;
}

void Tagger::average() {
  totals_.resize(weights_.size());
  stamps_.resize(weights_.size());
  for (size_t i = 0; i < weights_.size(); ++i) {
    const double total = totals_[i] + static_cast<double>(step_ - stamps_[i]) * static_cast<double>(weights_[i]);
    weights_[i] = static_cast<float>(total / std::max(1.0, static_cast<double>(step_)));
  }
  totals_ = {};
  stamps_ = {};
}

std::vector<int32_t> Tagger::tag(const Sentences& sentences, int threads) const {
  std::vector<int32_t> out(sentences.words.size());
  constexpr size_t kEach = 64;  // sentences of a task
  const size_t count = sentences.ends.size(), tasks = (count + kEach - 1) / kEach;
  in_parallel(tasks, out.size() * 64, threads, [&](size_t task) {
    std::vector<float> scores(width_);
    std::vector<Word> words;
    uint64_t keys[kFeatures];
    for (size_t s = task * kEach; s < std::min(count, task * kEach + kEach); ++s) {
      const size_t begin = s == 0 ? 0 : sentences.ends[s - 1];
      words.clear();
      for (size_t i = begin; i < sentences.ends[s]; ++i) words.push_back(word_of(sentences.words[i], i == begin));
      int32_t before = -1, before2 = -2;
      for (size_t i = begin; i < sentences.ends[s]; ++i) {
        int32_t tag = fixed_.find(sentences.words[i]);
        if (tag == StringTable::kAbsent) {
          look(words, i - begin, before, before2, keys);
          tag = best(keys, scores);
        }
        out[i] = tag;
        before2 = before;
        before = tag;
      }
    }
  });
  return out;
}

std::vector<float> Tagger::weights() const {
  std::vector<float> out;
  out.reserve(features_.size() * tags_);
  for (size_t i = 0; i < features_.size(); ++i)
    out.insert(out.end(), weights_.begin() + static_cast<std::ptrdiff_t>(i * width_),
               weights_.begin() + static_cast<std::ptrdiff_t>(i * width_ + tags_));
  return out;
}

void Tagger::put(const std::vector<uint64_t>& features, const std::vector<float>& weights) {
  if (weights.size() != features.size() * tags_) throw Refused("there must be a weight for each feature and tag");
  for (size_t i = 0; i < features.size(); ++i) {
    const uint32_t row = row_of(features[i]);
    std::copy_n(weights.begin() + static_cast<std::ptrdiff_t>(i * tags_), tags_,
                weights_.begin() + static_cast<std::ptrdiff_t>(row * width_));
  }
}

}  // namespace einkorn::text
