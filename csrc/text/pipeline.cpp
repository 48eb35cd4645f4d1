#include "text/pipeline.h"

#include <algorithm>

namespace einkorn::text {

void CharacterMap::add(uint32_t point, std::string_view becomes) {
  if (point > 0x10FFFF) throw Refused("no character has the number " + std::to_string(point));
  if (index_[point >> 8] == 0) {
    index_[point >> 8] = static_cast<uint32_t>(blocks_.size() / 256);
    blocks_.resize(blocks_.size() + 256, 0);
  }
  strings_.append(becomes);
  starts_.push_back(static_cast<uint32_t>(strings_.size()));
  blocks_[index_[point >> 8] * 256 + (point & 255)] = static_cast<uint32_t>(starts_.size() - 1);
}

// Tokens of words seen before: words are few and come again. A word has one slot that it may be in, which the latest one takes, so the
// memory is bounded.
class Pipeline::Cache {
 public:
  static constexpr size_t kLongest = 24;

  // Appends the tokens of the piece, from the cache or from the model.
  void encode(const Model& model, std::string_view piece, std::vector<Token>& out) {
    if (piece.size() > kLongest) return model.encode(piece, out);
    const uint64_t hash = hash_of(piece);
    Slot& slot = slots_[hash & (kSlots - 1)];
    if (slot.hash == hash && slot.size == piece.size() && std::memcmp(slot.word, piece.data(), piece.size()) == 0) {
      for (int i = 0; i < slot.tokens; ++i) out.push_back({slot.ids[i], slot.sizes[i]});
      return;
    }
    const size_t before = out.size();
    model.encode(piece, out);
    const size_t tokens = out.size() - before;
    if (tokens > kMostTokens) return;
    slot.hash = hash;
    slot.size = static_cast<uint8_t>(piece.size());
    slot.tokens = static_cast<uint8_t>(tokens);
    std::memcpy(slot.word, piece.data(), piece.size());
    for (size_t i = 0; i < tokens; ++i) {
      slot.ids[i] = out[before + i].id;
      slot.sizes[i] = static_cast<uint8_t>(out[before + i].size);
    }
  }

 private:
  static constexpr size_t kSlots = 1 << 15, kMostTokens = 6;
  struct Slot {
    uint64_t hash = 0;
    char word[kLongest];
    int32_t ids[kMostTokens];
    uint8_t sizes[kMostTokens];
    uint8_t size = 0;  // 0: free, as no piece is empty
    uint8_t tokens = 0;
  };
  std::vector<Slot> slots_ = std::vector<Slot>(kSlots);
};

struct Pipeline::Scratch {
  std::string mapped;
  bool wants_origins = false;
  std::vector<size_t> begins, ends;  // of what each mapped byte comes from
  std::vector<Token> tokens;
  std::vector<uint32_t> characters;  // before each byte of the text
};

Pipeline::Pipeline(Setup setup) : setup_(std::move(setup)) {
  for (uint32_t i = 0; i < setup_.added.size(); ++i) {
    const Added& added = setup_.added[i];
    if (added.content.empty()) throw Refused("an added token is empty");
    Finder& finder = added.mapped ? mapped_ : plain_;
    finder.by_first[static_cast<uint8_t>(added.content[0])].push_back(i);
    finder.any = true;
  }
  for (Finder* finder : {&plain_, &mapped_})
    for (std::vector<uint32_t>& tokens : finder->by_first)
      std::stable_sort(tokens.begin(), tokens.end(), [&](uint32_t a, uint32_t b) {
        return setup_.added[a].content.size() > setup_.added[b].content.size();
      });
}

Pipeline::~Pipeline() = default;

bool Pipeline::find_added(const Finder& finder, std::string_view text, size_t from, Match& match) const {
  const Characters& characters = *setup_.characters;
  const auto before = [&](size_t at) {
    do --at;
    while (at > 0 && !starts_character(text[at]));
    return at;
  };
  for (size_t at = from; at < text.size(); ++at) {
    for (const uint32_t number : finder.by_first[static_cast<uint8_t>(text[at])]) {
      const Added& token = setup_.added[number];
      if (text.compare(at, token.content.size(), token.content) != 0) continue;
      size_t start = at, end = at + token.content.size();
      if (token.whole_word) {
        const bool joined_left = start > 0 && (characters.of(character_at(text, before(start)).point) & kWord);
        const bool joined_right = end < text.size() && (characters.of(character_at(text, end).point) & kWord);
        if (joined_left || joined_right) break;  // the longest is the match, and it does not count
      }
      const auto space_at = [&](size_t place) { return characters.of(character_at(text, place).point) & kSpace; };
      if (token.strip_left)
        while (start > from && space_at(before(start))) start = before(start);
      if (token.strip_right)
        while (end < text.size() && space_at(end)) end += character_at(text, end).size;
      match = {start, end, &token};
      return true;
    }
  }
  return false;
}

void Pipeline::map_text(std::string_view text, size_t origin, bool first, Scratch& scratch) const {
  std::string& mapped = scratch.mapped;
  mapped.clear();
  scratch.begins.clear();
  scratch.ends.clear();
  const auto append = [&](std::string_view what, size_t begin, size_t end) {
    mapped.append(what);
    if (!scratch.wants_origins) return;
    scratch.begins.insert(scratch.begins.end(), what.size(), origin + begin);
    scratch.ends.insert(scratch.ends.end(), what.size(), origin + end);
  };
  std::string_view becomes;
  for (size_t at = 0; at < text.size();) {
    const Character c = character_at(text, at);
    const bool changes = setup_.map && setup_.map->find(c.point, becomes);
    append(changes ? becomes : text.substr(at, c.size), at, at + c.size);
    at += c.size;
  }
  const bool wanted = setup_.prepend == Prepend::each || (setup_.prepend == Prepend::first && first);
  if (!wanted || mapped.empty() || setup_.prefix.empty()) return;
  if (setup_.unless_there && mapped.compare(0, setup_.prefix.size(), setup_.prefix) == 0) return;
  mapped.insert(0, setup_.prefix);
  if (!scratch.wants_origins) return;
  // The prefix has the place of the first character.
  scratch.begins.insert(scratch.begins.begin(), setup_.prefix.size(), origin);
  scratch.ends.insert(scratch.ends.begin(), setup_.prefix.size(), origin + character_at(text, 0).size);
}

template <class OnPiece, class OnAdded>
void Pipeline::walk(std::string_view text, Scratch& scratch, const OnPiece& on_piece, const OnAdded& on_added) const {
  const bool maps = setup_.map || setup_.prepend != Prepend::never;
  const auto cut = [&](std::string_view stretch, size_t origin) {
    for (size_t at = 0;;) {
      Piece piece;
      if (!next_piece(setup_.split, *setup_.characters, stretch, at, piece)) return;
      on_piece(stretch.substr(piece.start, piece.end - piece.start), origin + piece.start);
    }
  };
  const auto stretch = [&](size_t from, size_t to) {
    if (from == to) return;
    const std::string_view part = text.substr(from, to - from);
    if (!maps) return cut(part, from);
    map_text(part, from, from == 0, scratch);
    const std::string_view mapped = scratch.mapped;
    size_t at = 0;
    for (Match match; mapped_.any && find_added(mapped_, mapped, at, match); at = match.end) {
      cut(mapped.substr(at, match.start - at), at);
      on_added(match, true);
    }
    cut(mapped.substr(at), at);
  };
  size_t at = 0;
  for (Match match; plain_.any && find_added(plain_, text, at, match); at = match.end) {
    stretch(at, match.start);
    on_added(match, false);
  }
  stretch(at, text.size());
}

void Pipeline::encode_one(std::string_view text, Cache& cache, Scratch& scratch, bool spans, Result& result) const {
  const size_t before = result.ids.size();
  const bool maps = setup_.map || setup_.prepend != Prepend::never;
  scratch.wants_origins = spans;
  if (spans) {
    scratch.characters.assign(text.size() + 1, 0);
    for (size_t i = 0; i < text.size(); ++i)
      scratch.characters[i + 1] = scratch.characters[i] + starts_character(text[i]);
  }
  // A token that begins or ends within a character takes in the whole of it.
  const auto add_span = [&](size_t begin, size_t end) {
    const int64_t last = scratch.characters[end];
    const int64_t first = begin == end ? last : static_cast<int64_t>(scratch.characters[begin + 1]) - 1;
    result.spans.push_back(first);
    result.spans.push_back(last);
  };
  const auto add_mapped = [&](size_t begin, size_t end) {
    if (begin == end) {
      const size_t place = begin < scratch.begins.size() ? scratch.begins[begin]
                           : scratch.ends.empty()        ? 0
                                                         : scratch.ends.back();
      add_span(place, place);
    } else {
      add_span(scratch.begins[begin], scratch.ends[end - 1]);
    }
  };
  int32_t word = 0;
  walk(
      text, scratch,
      [&](std::string_view piece, size_t at) {
        ask_at(static_cast<size_t>(word));
        scratch.tokens.clear();
        cache.encode(*setup_.model, piece, scratch.tokens);
        for (const Token& token : scratch.tokens) {
          if (token.id >= 0) {
            result.ids.push_back(token.id);
            if (spans && maps) add_mapped(at, at + token.size);
            if (spans && !maps) add_span(at, at + token.size);
            if (spans) result.words.push_back(word);
          }
          at += token.size;
        }
        ++word;
      },
      [&](const Match& match, bool in_mapped) {
        result.ids.push_back(match.token->id);
        if (spans && in_mapped) add_mapped(match.start, match.end);
        if (spans && !in_mapped) add_span(match.start, match.end);
        if (spans) result.words.push_back(word);
        ++word;
      });
  result.counts.push_back(static_cast<int64_t>(result.ids.size() - before));
}

std::unique_ptr<Pipeline::Cache> Pipeline::take_cache() const {
  const std::lock_guard<std::mutex> guard(lock_);
  if (caches_.empty()) return std::make_unique<Cache>();
  std::unique_ptr<Cache> cache = std::move(caches_.back());
  caches_.pop_back();
  return cache;
}

void Pipeline::give_back(std::unique_ptr<Cache> cache) const {
  const std::lock_guard<std::mutex> guard(lock_);
  caches_.push_back(std::move(cache));
}

namespace {

// Consecutive texts of about the same size together: where each task begins, and the end.
std::vector<size_t> tasks_of(const std::vector<std::string_view>& texts, size_t& bytes) {
  constexpr size_t kTask = 1 << 16;
  bytes = 0;
  std::vector<size_t> begins{0};
  size_t in_task = 0;
  for (size_t i = 0; i < texts.size(); ++i) {
    bytes += texts[i].size();
    in_task += texts[i].size() + 16;
    if (in_task < kTask && i + 1 < texts.size()) continue;
    begins.push_back(i + 1);
    in_task = 0;
  }
  return begins;
}

}  // namespace

void Pipeline::encode(const std::vector<std::string_view>& texts, int threads, bool spans, Result& result) const {
  size_t bytes;
  const std::vector<size_t> begins = tasks_of(texts, bytes);
  std::vector<Result> parts(begins.size() - 1);
  in_parallel(parts.size(), bytes, threads, [&](size_t task) {
    std::unique_ptr<Cache> cache = take_cache();
    Scratch scratch;
    for (size_t i = begins[task]; i < begins[task + 1]; ++i) encode_one(texts[i], *cache, scratch, spans, parts[task]);
    give_back(std::move(cache));
  });
  if (parts.size() == 1) {
    result = std::move(parts[0]);
    return;
  }
  for (const Result& part : parts) {
    result.ids.insert(result.ids.end(), part.ids.begin(), part.ids.end());
    result.counts.insert(result.counts.end(), part.counts.begin(), part.counts.end());
    result.spans.insert(result.spans.end(), part.spans.begin(), part.spans.end());
    result.words.insert(result.words.end(), part.words.begin(), part.words.end());
  }
}

void Pipeline::count(const std::vector<std::string_view>& texts, int threads, StringTable& counts) const {
  size_t bytes;
  const std::vector<size_t> begins = tasks_of(texts, bytes);
  const size_t tasks = begins.size() - 1;
  const size_t workers = std::min<size_t>(tasks, threads < 1 ? 1 : threads);
  std::vector<StringTable> parts(workers);
  in_parallel(workers, bytes, threads, [&](size_t worker) {
    Scratch scratch;
    size_t step = 0;
    for (size_t task = worker; task < tasks; task += workers)
      for (size_t i = begins[task]; i < begins[task + 1]; ++i)
        walk(
            texts[i], scratch,
            [&](std::string_view piece, size_t) {
              ask_at(step++);
              ++parts[worker].count(piece);
            },
            [](const Match&, bool) {});
  });
  for (const StringTable& part : parts)
    for (size_t i = 0; i < part.size(); ++i) counts.count(part.string(i)) += part.value(i);
}

void Pipeline::pieces(std::string_view text, std::string& mapped, std::vector<int64_t>& places) const {
  Scratch scratch;
  mapped.clear();
  walk(
      text, scratch,
      [&](std::string_view piece, size_t) {
        places.push_back(static_cast<int64_t>(mapped.size()));
        mapped.append(piece);
        places.push_back(static_cast<int64_t>(mapped.size()));
      },
      [](const Match&, bool) {});
}

}  // namespace einkorn::text
