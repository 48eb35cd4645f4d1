#include "text/train_unigram.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace einkorn::text {

namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();
constexpr size_t kStretch = 1 << 16, kTask = 1 << 16, kMostTasks = 16;

// A sum of probabilities, value * 2^(256 * blocks): that of a long word is smaller than any double.
struct Scaled {
  static constexpr double kUp = 0x1p256, kDown = 0x1p-256;

  double value = 0;
  int32_t blocks = std::numeric_limits<int32_t>::min();

  void add(double other, int32_t its_blocks) {
    if (blocks == its_blocks) {
      value += other;
    } else if (blocks < its_blocks) {
      value = other + (blocks + 1 == its_blocks ? value * kDown : 0);
      blocks = its_blocks;
    } else if (blocks - 1 == its_blocks) {
      value += other * kDown;
    }
  }
  // Nothing is added any more: what was added was not less than 2^-1000 times what it was made of.
  void settle() {
    for (; value < kDown && value > 0; value *= kUp) --blocks;
  }
  double log() const { return std::log(value) + 256 * 0.69314718055994530942 * blocks; }
};

double scaled(double value, int32_t blocks) {
  return blocks == 0 ? value : blocks == -1 ? value * Scaled::kDown : std::ldexp(value, 256 * blocks);
}

// The logarithmic derivative of the gamma function for x > 0: its recurrence up to 10, then its asymptotic series.
double digamma(double x) {
  double below = 0;
  for (; x < 10; x += 1) below += 1 / x;
  const double y = 1 / (x * x);
  return std::log(x) - 0.5 / x - y * (1.0 / 12 - y * (1.0 / 120 - y * (1.0 / 252 - y * (1.0 / 240)))) - below;
}

}  // namespace

UnigramLearner::UnigramLearner(const StringTable& words, size_t longest, size_t most) {
  take(words);
  seed(longest, most);
}

void UnigramLearner::take(const StringTable& words) {
  for (size_t w = 0; w < words.size(); ++w) {
    if (words.value(w) <= 0) continue;
    const std::string_view word = words.string(w);
    for (size_t at = 0; at < word.size();) {
      size_t end = std::min(at + kStretch, word.size());
      while (end < word.size() && !starts_character(word[end])) --end;
      stretches_.push_back({{static_cast<uint32_t>(text_.size()), static_cast<uint32_t>(end - at)}, words.value(w)});
      text_.append(word.substr(at, end - at));
      at = end;
    }
    if (text_.size() >= 0xFFFFFFFF) throw Refused("different words of 4 GiB or more in all");
  }
  const size_t each = std::max(kTask, text_.size() / kMostTasks + 1);
  for (size_t i = 0; i < stretches_.size(); ++i)
    if (i == 0 || stretches_[i].part.start / each != stretches_[i - 1].part.start / each) tasks_.push_back(i);
  tasks_.push_back(stretches_.size());
}

void UnigramLearner::seed(size_t longest, size_t most) {
  struct Suffix {
    uint64_t key;  // its first bytes, so that most comparisons are of numbers
    Part part;     // not more than one character longer than a piece may be
    uint32_t stretch;
  };
  struct Node {
    Part part;
    int64_t count;
  };
  std::vector<Suffix> suffixes;
  StringTable characters;
  std::vector<Part> first;  // where each character occurs
  for (size_t i = 0; i < stretches_.size(); ++i) {
    ask_at(i);
    const Part whole = stretches_[i].part;
    const std::string_view text = view(whole);
    std::vector<uint32_t> starts;
    for (size_t at = 0; at < text.size(); at += character_at(text, at).size) {
      starts.push_back(static_cast<uint32_t>(at));
      const uint32_t size = character_at(text, at).size;
      int64_t& count = characters.count(text.substr(at, size));
      if (count == 0) first.push_back({static_cast<uint32_t>(whole.start + at), size});
      count += stretches_[i].count;
    }
    for (size_t c = 0; c < starts.size(); ++c) {
      const size_t end = c + longest + 1 < starts.size() ? starts[c + longest + 1] : text.size();
      const Part part{whole.start + starts[c], static_cast<uint32_t>(end - starts[c])};
      uint64_t key = 0;
      for (size_t byte = 0; byte < 8; ++byte)
        key = key << 8 | (byte < part.size ? static_cast<uint8_t>(text_[part.start + byte]) : 0);
      suffixes.push_back({key, part, static_cast<uint32_t>(i)});
    }
  }
  std::sort(suffixes.begin(), suffixes.end(), [&](const Suffix& a, const Suffix& b) {
    return a.key != b.key ? a.key < b.key : view(a.part) < view(b.part);
  });

  std::vector<Node> found, path;  // the path has growing sizes
  const auto leave = [&](const Node& node) {
    const std::string_view text = view(node.part);
    size_t size = 0;
    for (const char byte : text) size += starts_character(byte);
    if (node.count >= 2 && size >= 2 && size <= longest) found.push_back(node);
  };
  const auto enter = [&](Part part, int64_t count) {
    if (path.empty() || path.back().part.size < part.size)
      path.push_back({part, count});
    else
      path.back().count += count;
  };
  for (size_t i = 0; i <= suffixes.size(); ++i) {
    uint32_t common = 0;
    if (i > 0 && i < suffixes.size()) {
      const std::string_view a = view(suffixes[i - 1].part), b = view(suffixes[i].part);
      const size_t least = std::min(a.size(), b.size());
      while (common < least && a[common] == b[common]) ++common;
      while (common > 0 && common < b.size() && !starts_character(b[common])) --common;
    }
    while (!path.empty() && path.back().part.size > common) {
      const Node node = path.back();
      path.pop_back();
      leave(node);
      const uint32_t above = std::max(common, path.empty() ? 0 : path.back().part.size);
      if (above > 0) enter({node.part.start, above}, node.count);
    }
    if (i < suffixes.size()) enter(suffixes[i].part, stretches_[suffixes[i].stretch].count);
  }

  const auto worth = [&](const Node& node) {
    size_t size = 0;
    for (const char byte : view(node.part)) size += starts_character(byte);
    return static_cast<double>(node.count) * static_cast<double>(size);
  };
  const auto better = [&](const Node& a, const Node& b) {
    const double left = worth(a), right = worth(b);
    return left != right ? left > right : view(a.part) < view(b.part);
  };
  const size_t kept = std::min(most, found.size());
  std::partial_sort(found.begin(), found.begin() + kept, found.end(), better);
  found.resize(kept);

  std::vector<Node> all;
  for (size_t i = 0; i < first.size(); ++i) all.push_back({first[i], characters.value(i)});
  std::sort(all.begin(), all.end(), [&](const Node& a, const Node& b) { return view(a.part) < view(b.part); });
  characters_ = all.size();
  all.insert(all.end(), found.begin(), found.end());
  double sum = 0;
  for (const Node& node : all) sum += worth(node);
  for (const Node& node : all) {
    pieces_.push_back(node.part);
    scores_.push_back(std::log(worth(node)) - std::log(sum));
  }
  expected_.assign(pieces_.size(), 0);
}

Trie UnigramLearner::trie() const {
  Trie made;
  for (size_t i = 0; i < pieces_.size(); ++i) made.add(view(pieces_[i]), static_cast<int32_t>(i));
  return made;
}

template <class Visit>
void UnigramLearner::each_piece_at(const Trie& trie, std::string_view text, size_t at, const Visit& visit) {
  uint32_t node = Trie::kRoot;
  for (size_t end = at; end < text.size(); ++end) {
    node = trie.next(node, text[end]);
    if (node == Trie::kRoot) break;
    if (trie.value(node) >= 0) visit(trie.value(node), end + 1);
  }
}

double UnigramLearner::expect(int threads) {
  const Trie pieces = trie();
  const size_t tasks = tasks_.size() - 1;
  std::vector<std::vector<double>> expected(tasks);
  std::vector<double> likelihood(tasks), probability(pieces_.size());
  for (size_t i = 0; i < pieces_.size(); ++i) probability[i] = std::exp(scores_[i]);
  in_parallel(tasks, text_.size(), threads, [&](size_t task) {
    std::vector<double>& mine = expected[task];
    mine.assign(pieces_.size(), 0);
    std::vector<Scaled> before, behind;
    for (size_t i = tasks_[task]; i < tasks_[task + 1]; ++i) {
      ask_at(i);
      const std::string_view text = view(stretches_[i].part);
      const double count = static_cast<double>(stretches_[i].count);
      before.assign(text.size() + 1, {});
      behind.assign(text.size() + 1, {});
      before[0] = behind[text.size()] = {1, 0};
      for (size_t at = 0; at < text.size(); at += character_at(text, at).size) {
        before[at].settle();
        const Scaled here = before[at];
        each_piece_at(pieces, text, at,
                      [&](int32_t id, size_t end) { before[end].add(here.value * probability[id], here.blocks); });
      }
      before[text.size()].settle();
      const Scaled whole = before[text.size()];
      for (size_t at = text.size(); at-- > 0;) {
        const Scaled here = before[at];
        if (here.value == 0) continue;  // inside a character
        const double share = count * (here.value / whole.value);
        each_piece_at(pieces, text, at, [&](int32_t id, size_t end) {
          const double rest = probability[id] * behind[end].value;
          behind[at].add(rest, behind[end].blocks);
          mine[id] += scaled(share * rest, here.blocks + behind[end].blocks - whole.blocks);
        });
        behind[at].settle();
      }
      likelihood[task] += count * whole.log();
    }
  });
  double sum = 0;
  expected_.assign(pieces_.size(), 0);
  for (size_t task = 0; task < tasks; ++task) {
    sum += likelihood[task];
    for (size_t i = 0; i < pieces_.size(); ++i) expected_[i] += expected[task][i];
  }
  return sum;
}

void UnigramLearner::keep(const std::vector<char>& kept) {
  size_t n = 0;
  for (size_t i = 0; i < pieces_.size(); ++i) {
    if (!kept[i]) continue;
    pieces_[n] = pieces_[i];
    scores_[n] = scores_[i];
    expected_[n++] = expected_[i];
  }
  pieces_.resize(n);
  scores_.resize(n);
  expected_.resize(n);
}

void UnigramLearner::maximize(double least) {
  constexpr double kLeastExpected = 0.5;  // what digamma is taken of
  std::vector<char> kept(pieces_.size());
  for (size_t i = 0; i < pieces_.size(); ++i) kept[i] = i < characters_ || expected_[i] >= least;
  keep(kept);
  double sum = 0;
  for (const double expected : expected_) sum += std::max(expected, kLeastExpected);
  for (size_t i = 0; i < pieces_.size(); ++i)
    scores_[i] = digamma(std::max(expected_[i], kLeastExpected)) - digamma(sum);
}

void UnigramLearner::best(const Trie& trie, std::string_view text, int32_t without, std::vector<int32_t>& out) const {
  struct Best {
    double score;
    uint32_t start;
    int32_t id;
  };
  static thread_local std::vector<Best> best;
  best.assign(text.size() + 1, {kNever, 0, -1});
  best[0].score = 0;
  for (size_t at = 0; at < text.size(); at += character_at(text, at).size) {
    const double so_far = best[at].score;
    each_piece_at(trie, text, at, [&](int32_t id, size_t end) {
      if (id != without && so_far + scores_[id] > best[end].score)
        best[end] = {so_far + scores_[id], static_cast<uint32_t>(at), id};
    });
  }
  out.clear();
  for (size_t end = text.size(); end > 0; end = best[end].start) out.push_back(best[end].id);
}

void UnigramLearner::prune(size_t kept, int threads) {
  if (kept >= pieces_.size()) return;
  const Trie pieces = trie();
  const size_t tasks = tasks_.size() - 1;
  std::vector<std::vector<int64_t>> parts(tasks);
  in_parallel(tasks, text_.size(), threads, [&](size_t task) {
    parts[task].assign(pieces_.size(), 0);
    std::vector<int32_t> path;
    for (size_t i = tasks_[task]; i < tasks_[task + 1]; ++i) {
      ask_at(i);
      best(pieces, view(stretches_[i].part), -1, path);
      for (const int32_t id : path) parts[task][id] += stretches_[i].count;
    }
  });
  std::vector<double> used(pieces_.size());
  double sum = 0;
  for (size_t i = 0; i < pieces_.size(); ++i) {
    for (const std::vector<int64_t>& part : parts) used[i] += static_cast<double>(part[i]);
    sum += used[i];
  }

  // What the logarithm of the likelihood loses when the best other segmentation of a piece stands for it.
  constexpr size_t kPieces = 1 << 12;
  std::vector<double> loss(pieces_.size(), kNever);
  in_parallel((pieces_.size() + kPieces - 1) / kPieces, pieces_.size() * 16, threads, [&](size_t task) {
    std::vector<int32_t> path;
    for (size_t i = task * kPieces; i < std::min((task + 1) * kPieces, pieces_.size()); ++i) {
      if (i < characters_ || used[i] == 0) continue;
      best(pieces, view(pieces_[i]), static_cast<int32_t>(i), path);
      const double others = std::log(sum + used[i] * (static_cast<double>(path.size()) - 1));
      double instead = 0;
      for (const int32_t id : path) instead += std::log(used[id] + used[i]) - others;
      loss[i] = used[i] * (std::log(used[i]) - std::log(sum) - instead);
    }
  });
  std::vector<uint32_t> order;
  for (size_t i = characters_; i < pieces_.size(); ++i) order.push_back(static_cast<uint32_t>(i));
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return loss[a] > loss[b]; });
  std::vector<char> stays(pieces_.size());
  std::fill(stays.begin(), stays.begin() + characters_, 1);
  for (size_t i = 0; i + characters_ < kept; ++i) stays[order[i]] = 1;
  keep(stays);
}

}  // namespace einkorn::text
