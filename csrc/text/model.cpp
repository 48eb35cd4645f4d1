#include "text/model.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <queue>

namespace einkorn::text {

void Vocabulary::add(std::string_view token, int64_t id) {
  if (id < 0 || id >= 0x7FFFFFFF) throw Refused("ids must be 0 to 2147483646, got " + std::to_string(id));
  ids.add(token, static_cast<int32_t>(id));
  most = std::max(most, static_cast<int32_t>(id));
}

// ---------------------------------------------------------------------------------------------------------------- byte pairs

Merges::Merges(std::shared_ptr<const Vocabulary> vocabulary, Options options)
    : vocabulary_(std::move(vocabulary)), options_(std::move(options)), pairs_(64) {
  if (!options_.bytes) return;
  for (int byte = 0; byte < 256; ++byte) {
    const std::string unit(1, static_cast<char>(byte));
    inner_.push_back(vocabulary_->ids.find(unit));
    last_.push_back(vocabulary_->ids.find(unit + options_.suffix));
  }
}

const Merges::Pair* Merges::find(int32_t left, int32_t right) const {
  if ((left | right) < 0) return nullptr;
  const uint64_t key = static_cast<uint64_t>(left) << 32 | static_cast<uint32_t>(right);
  for (size_t slot = mixed(key, 1) & (pairs_.size() - 1);; slot = (slot + 1) & (pairs_.size() - 1)) {
    if (pairs_[slot].key == key) return &pairs_[slot];
    if (pairs_[slot].key == kNoPair) return nullptr;
  }
}

void Merges::grow() {
  std::vector<Pair> old(pairs_.size() * 2);
  old.swap(pairs_);
  for (const Pair& pair : old) {
    if (pair.key == kNoPair) continue;
    size_t slot = mixed(pair.key, 1) & (pairs_.size() - 1);
    while (pairs_[slot].key != kNoPair) slot = (slot + 1) & (pairs_.size() - 1);
    pairs_[slot] = pair;
  }
}

void Merges::add(int64_t left, int64_t right, int64_t rank, int64_t merged) {
  const auto outside = [&](int64_t id) { return id < 0 || id > vocabulary_->most; };
  if (outside(left) || outside(right) || outside(merged))
    throw Refused("a merge of tokens that are not in the vocabulary");
  if (rank < 0 || rank >= 0x7FFFFFFF) throw Refused("ranks must be 0 to 2147483646, got " + std::to_string(rank));
  if (used_ * 2 >= pairs_.size()) grow();
  const uint64_t key = static_cast<uint64_t>(left) << 32 | static_cast<uint64_t>(right);
  size_t slot = mixed(key, 1) & (pairs_.size() - 1);
  while (pairs_[slot].key != kNoPair && pairs_[slot].key != key) slot = (slot + 1) & (pairs_.size() - 1);
  used_ += pairs_[slot].key == kNoPair;
  pairs_[slot] = {key, static_cast<int32_t>(rank), static_cast<int32_t>(merged)};
}

void Merges::add_all_ways(const std::vector<std::string_view>& tokens, const std::vector<int32_t>& ids,
                          const std::vector<int32_t>& ranks) {
  for (size_t i = 0; i < tokens.size(); ++i) {
    const std::string_view token = tokens[i];
    for (size_t cut = 1; cut < token.size(); ++cut) {
      if (!options_.bytes && !starts_character(token[cut])) continue;
      const int32_t left = vocabulary_->ids.find(token.substr(0, cut));
      const int32_t right = left < 0 ? -1 : vocabulary_->ids.find(token.substr(cut));
      if (right >= 0) add(left, right, ranks[i], ids[i]);
    }
  }
}

void Merges::units(std::string_view piece, std::vector<Symbol>& symbols) const {
  const auto push = [&](int32_t id, size_t size) {
    if (id == kUnknown && options_.fuse_unknown && !symbols.empty() && symbols.back().id == kUnknown)
      symbols.back().size += static_cast<uint32_t>(size);
    else
      symbols.push_back({id, static_cast<uint32_t>(size), 0, 0});
  };
  if (options_.bytes) {
    for (size_t i = 0; i < piece.size(); ++i) {
      ask_at(i);
      const int32_t id = (i + 1 == piece.size() ? last_ : inner_)[static_cast<uint8_t>(piece[i])];
      push(id < 0 ? kUnknown : id, 1);
    }
    return;
  }
  std::string unit;
  for (size_t at = 0, step = 0; at < piece.size(); ++step) {
    ask_at(step);
    const size_t size = character_at(piece, at).size;
    unit.assign(piece.substr(at, size));
    at += size;
    if (at == piece.size()) unit += options_.suffix;
    if (const int32_t id = vocabulary_->ids.find(unit); id >= 0) {
      push(id, size);
      continue;
    }
    bool covered = !fallback_.empty();
    for (const char byte : unit) covered = covered && fallback_[static_cast<uint8_t>(byte)] >= 0;
    if (!covered) {
      push(kUnknown, size);
      continue;
    }
    // A byte of the suffix stands for no byte of the piece.
    for (size_t i = 0; i < unit.size(); ++i) push(fallback_[static_cast<uint8_t>(unit[i])], i < size);
  }
}

void Merges::merge_few(std::vector<Symbol>& symbols) const {
  constexpr int32_t kNever = std::numeric_limits<int32_t>::max();
  static thread_local std::vector<const Pair*> pairs;  // of each symbol and the next
  size_t n = symbols.size();
  pairs.resize(n);
  const auto look = [&](size_t i) { pairs[i] = i + 1 < n ? find(symbols[i].id, symbols[i + 1].id) : nullptr; };
  for (size_t i = 0; i < n; ++i) look(i);
  while (n > 1) {
    int32_t best = kNever;
    size_t place = 0;
    for (size_t i = 0; i + 1 < n; ++i) {
      const int32_t rank = pairs[i] == nullptr ? kNever : pairs[i]->rank;
      if (rank < best) {
        best = rank;
        place = i;
      }
    }
    if (best == kNever) break;
    symbols[place] = {pairs[place]->merged, symbols[place].size + symbols[place + 1].size, 0, 0};
    std::copy(symbols.begin() + place + 2, symbols.begin() + n, symbols.begin() + place + 1);
    std::copy(pairs.begin() + place + 2, pairs.begin() + n, pairs.begin() + place + 1);
    --n;
    look(place);
    if (place > 0) look(place - 1);
  }
  symbols.resize(n);
}

void Merges::merge_many(std::vector<Symbol>& symbols) const {
  constexpr uint32_t kEnd = ~uint32_t{0};
  const uint32_t n = static_cast<uint32_t>(symbols.size());
  // A pair in the heap is its rank and the place of its left symbol. It holds as long as the symbols there have a pair of this rank.
  std::vector<uint64_t> ranked;
  const auto ranked_pair = [&](uint32_t i, const Pair*& pair) {
    const uint32_t next = symbols[i].behind;
    pair = next == kEnd ? nullptr : find(symbols[i].id, symbols[next].id);
    return pair == nullptr ? 0 : static_cast<uint64_t>(pair->rank) << 32 | i;
  };
  const Pair* pair;
  for (uint32_t i = 0; i < n; ++i) {
    symbols[i].before = i == 0 ? kEnd : i - 1;
    symbols[i].behind = i + 1 == n ? kEnd : i + 1;
  }
  for (uint32_t i = 0; i < n; ++i)
    if (const uint64_t entry = ranked_pair(i, pair); pair != nullptr) ranked.push_back(entry);
  std::priority_queue<uint64_t, std::vector<uint64_t>, std::greater<>> heap(std::greater<>{}, std::move(ranked));
  for (size_t step = 0; !heap.empty(); ++step) {
    ask_at(step);
    const uint64_t top = heap.top();
    heap.pop();
    const uint32_t place = static_cast<uint32_t>(top);
    if (symbols[place].id == kGone || ranked_pair(place, pair) != top || pair == nullptr) continue;
    Symbol& left = symbols[place];
    Symbol& right = symbols[left.behind];
    left.id = pair->merged;
    left.size += right.size;
    right.id = kGone;
    left.behind = right.behind;
    if (left.behind != kEnd) symbols[left.behind].before = place;
    if (const uint64_t entry = ranked_pair(place, pair); pair != nullptr) heap.push(entry);
    if (left.before != kEnd)
      if (const uint64_t entry = ranked_pair(left.before, pair); pair != nullptr) heap.push(entry);
  }
  symbols.erase(std::remove_if(symbols.begin(), symbols.end(), [](const Symbol& s) { return s.id == kGone; }),
                symbols.end());
}

void Merges::encode(std::string_view piece, std::vector<Token>& out) const {
  constexpr size_t kFew = 64;
  if (piece.size() >= 0x7FFFFFFF) throw Refused("a piece of text of 2 GiB or more");
  if (options_.whole_first) {
    if (const int32_t id = vocabulary_->ids.find(piece); id >= 0) {
      out.push_back({id, static_cast<uint32_t>(piece.size())});
      return;
    }
  }
  static thread_local std::vector<Symbol> symbols;
  symbols.clear();
  units(piece, symbols);
  if (symbols.size() <= kFew)
    merge_few(symbols);
  else
    merge_many(symbols);
  for (const Symbol& symbol : symbols) {
    const int32_t id = symbol.id == kUnknown ? options_.unknown : symbol.id;
    out.push_back({id, symbol.size});
  }
  if (symbols.capacity() > (1u << 16)) std::vector<Symbol>().swap(symbols);
}

// ----------------------------------------------------------------------------------------------------------------- WordPiece

void WordPiece::encode(std::string_view piece, std::vector<Token>& out) const {
  const auto unknown = [&] { out.push_back({unknown_, static_cast<uint32_t>(piece.size())}); };
  size_t characters = 0;
  for (const char byte : piece) characters += starts_character(byte);
  if (characters > most_) return unknown();
  const size_t before = out.size();
  const size_t longest = vocabulary_->ids.longest();
  std::string rest = prefix_;
  for (size_t at = 0; at < piece.size();) {
    rest.resize(prefix_.size());
    std::string_view candidate = piece.substr(at);
    if (at > 0) candidate = rest.append(candidate);
    const size_t mark = at > 0 ? prefix_.size() : 0;
    size_t size = std::min(candidate.size(), longest);
    int32_t id = -1;
    for (; size > mark; --size) {
      if (size < candidate.size() && !starts_character(candidate[size])) continue;
      if ((id = vocabulary_->ids.find(candidate.substr(0, size))) >= 0) break;
    }
    if (id < 0) {
      out.resize(before);
      return unknown();
    }
    out.push_back({id, static_cast<uint32_t>(size - mark)});
    at += size - mark;
  }
}

// ------------------------------------------------------------------------------------------------------------------- Unigram

Unigram::Unigram(const std::vector<std::string_view>& tokens, const std::vector<double>& scores, int32_t unknown,
                 bool fuse_unknown)
    : scores_(scores), unknown_(unknown), fuse_(fuse_unknown) {
  double least = 0;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (!std::isfinite(scores[i])) throw Refused("the score of token " + std::to_string(i) + " is not finite");
    least = i == 0 ? scores[i] : std::min(least, scores[i]);
    tokens_.add(tokens[i], static_cast<int32_t>(i));
  }
  unknown_score_ = least - 10;
}

template <class Visit>
void Unigram::each_token_at(std::string_view piece, size_t at, const Visit& visit) const {
  const size_t size = character_at(piece, at).size;
  bool single = false;
  uint32_t node = Trie::kRoot;
  for (size_t end = at; end < piece.size(); ++end) {
    node = tokens_.next(node, piece[end]);
    if (node == Trie::kRoot) break;
    const int32_t token = tokens_.value(node);
    if (token < 0) continue;
    single = single || end + 1 == at + size;
    visit(token, end + 1, scores_[token]);
  }
  if (!single) visit(-1, at + size, unknown_score_);
}

void Unigram::emit(std::string_view piece, const std::vector<Token>& backwards, std::vector<Token>& out) const {
  size_t at = 0;
  bool after_unknown = false;
  for (size_t i = backwards.size(); i-- > 0;) {
    const Token token = backwards[i];
    bool covered = token.id < 0 && !fallback_.empty();
    for (const char byte : piece.substr(at, token.size))
      covered = covered && fallback_[static_cast<uint8_t>(byte)] >= 0;
    if (token.id >= 0) {
      out.push_back(token);
    } else if (covered) {
      for (const char byte : piece.substr(at, token.size)) out.push_back({fallback_[static_cast<uint8_t>(byte)], 1});
    } else if (unknown_ < 0) {
      throw Refused("a character that no token covers, and no unknown token");
    } else if (fuse_ && after_unknown) {
      out.back().size += token.size;
    } else {
      out.push_back({unknown_, token.size});
    }
    after_unknown = token.id < 0 && !covered;
    at += token.size;
  }
}

void Unigram::encode(std::string_view piece, std::vector<Token>& out) const {
  if (piece.size() >= 0x7FFFFFFF) throw Refused("a piece of text of 2 GiB or more");
  struct Best {
    double score = 0;
    uint32_t start = ~uint32_t{0};
    int32_t id = -1;
  };
  static thread_local std::vector<Best> best;
  best.assign(piece.size() + 1, {});
  size_t step = 0;
  for (size_t at = 0; at < piece.size(); at += character_at(piece, at).size) {
    ask_at(step++);
    const double so_far = best[at].score;
    each_token_at(piece, at, [&](int32_t id, size_t end, double score) {
      Best& there = best[end];
      if (there.start == ~uint32_t{0} || so_far + score > there.score)
        there = {so_far + score, static_cast<uint32_t>(at), id};
    });
  }
  std::vector<Token> backwards;
  for (size_t end = piece.size(); end > 0; end = best[end].start)
    backwards.push_back({best[end].id, static_cast<uint32_t>(end - best[end].start)});
  emit(piece, backwards, out);
  if (best.capacity() > (1u << 16)) std::vector<Best>().swap(best);
}

void Unigram::sample(std::string_view piece, double alpha, const std::function<double()>& uniform,
                     std::vector<Token>& out) const {
  if (piece.size() >= 0x7FFFFFFF) throw Refused("a piece of text of 2 GiB or more");
  struct Arrival {
    size_t start;
    int32_t id;
    double weight;  // log of the sum over all ways to get here by this token
  };
  constexpr double kNone = -std::numeric_limits<double>::infinity();
  std::vector<std::vector<Arrival>> arrivals(piece.size() + 1);
  std::vector<double> total(piece.size() + 1, kNone);
  total[0] = 0;
  const auto sum = [](double a, double b) {
    const double most = std::max(a, b);
    return most == kNone ? kNone : most + std::log1p(std::exp(std::min(a, b) - most));
  };
  for (size_t at = 0; at < piece.size(); at += character_at(piece, at).size) {
    each_token_at(piece, at, [&](int32_t id, size_t end, double score) {
      const double weight = total[at] + alpha * score;
      arrivals[end].push_back({at, id, weight});
      total[end] = sum(total[end], weight);
    });
  }
  std::vector<Token> backwards;
  for (size_t end = piece.size(); end > 0;) {
    double left = uniform();
    const Arrival* chosen = &arrivals[end].back();
    for (const Arrival& arrival : arrivals[end]) {
      left -= std::exp(arrival.weight - total[end]);
      if (left < 0) {
        chosen = &arrival;
        break;
      }
    }
    backwards.push_back({chosen->id, static_cast<uint32_t>(end - chosen->start)});
    end = chosen->start;
  }
  emit(piece, backwards, out);
}

}  // namespace einkorn::text
