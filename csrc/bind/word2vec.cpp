#include "kernels/word2vec.h"

#include "bind/array.h"

namespace einkorn::bind_word2vec {

namespace {

void require(bool holds, const char* what) {
  if (!holds) throw py::value_error(what);
}

// The numbers of `data` are at least 0 and below `limit`.
void require_below(const int32_t* data, int64_t size, int64_t limit, const char* what) {
  const OnHost<int32_t> a(data, size);
  bool holds = true;
  for (int64_t i = 0; i < size; ++i) holds &= a[i] >= 0 && a[i] < limit;
  require(holds, what);
}

// `a` [size] rises from 0 to `last`.
void require_rising(const OnHost<int64_t>& a, int64_t size, int64_t last, const char* what) {
  bool holds = size > 0 && a[0] == 0 && a[size - 1] == last;
  for (int64_t i = 1; i < size; ++i) holds &= a[i] >= a[i - 1];
  require(holds, what);
}

void word2vec_train(const Array& vectors, const Array& outputs, const Array& stats, const Array& tokens,
                    const Array& starts, const Array& keep, const Array& chance, const Array& alias, const Array& paths,
                    const Array& nodes, const Array& codes, const Array& part_starts, const Array& parts, int64_t words,
                    int64_t window, int64_t negatives, int64_t first, double rate_first, double rate_last,
                    uint64_t seed, bool cbow, bool mean, bool full) {
  require(vectors.ndim == 2, "vectors must be float32 [rows, width]");
  require(outputs.ndim == 2 && outputs.shape[1] == vectors.shape[1], "outputs must be float32 [targets, width]");
  require(stats.ndim == 2 && stats.shape[1] == 2 && stats.shape[0] >= 1, "stats must be float64 [stretches, 2]");
  require(words >= 0 && words < (int64_t{1} << 31), "words must be 0 to 2147483647");
  require(window >= 1 && window <= 1000, "window must be 1 to 1000");
  require(negatives >= 0 && negatives <= 1000, "negatives must be 0 to 1000");
  require(starts.size() >= 1, "starts must be int64 [sentences + 1]");
  require_rising({starts.in<int64_t>("starts"), starts.size()}, starts.size(), tokens.size(),
                 "starts must rise from 0 to the number of tokens");
  require(!keep || keep.size() == words, "keep must be float32 [words]");
  require(static_cast<bool>(chance) == static_cast<bool>(alias), "chance and alias come together");
  require(!chance || (chance.size() == words && alias.size() == words),
          "chance and alias must have an element for each word");
  require(static_cast<bool>(paths) == static_cast<bool>(nodes) && static_cast<bool>(paths) == static_cast<bool>(codes),
          "paths, nodes and codes come together");
  require(full ? !chance && !paths : chance || paths,
          "one of negative sampling, hierarchical and full softmax is needed");
  require(!(full || chance) || outputs.shape[0] >= words, "outputs must have a row for each word");
  if (alias) require_below(alias.in<int32_t>("alias"), words, words, "alias must hold words");
  int64_t longest = 0;
  if (paths) {
    require(paths.size() == words + 1 && codes.size() == nodes.size(), "paths must be int64 [words + 1]");
    const OnHost<int64_t> of(paths.in<int64_t>("paths"), words + 1);
    require_rising(of, words + 1, nodes.size(), "paths must rise from 0 to the number of nodes");
    for (int64_t i = 0; i < words; ++i) longest = of[i + 1] - of[i] > longest ? of[i + 1] - of[i] : longest;
    require_below(nodes.in<int32_t>("nodes"), nodes.size(), outputs.shape[0], "nodes must hold rows of outputs");
  }
  require(static_cast<bool>(part_starts) == static_cast<bool>(parts), "part_starts and parts come together");
  require(part_starts || vectors.shape[0] >= words, "vectors must have a row for each word");
  if (parts) {
    require(part_starts.size() == words + 1, "part_starts must be int64 [words + 1]");
    require_rising({part_starts.in<int64_t>("part_starts"), words + 1}, words + 1, parts.size(),
                   "part_starts must rise from 0 to the number of parts");
    require_below(parts.in<int32_t>("parts"), parts.size(), vectors.shape[0], "parts must hold rows of vectors");
  }
  run_in_scratch<Word2VecParts>(&Word2VecIndexKernels::word2vec_train,
                                Word2VecTrain{vectors.out<float>("vectors"),
                                              outputs.out<float>("outputs"),
                                              stats.out<double>("stats"),
                                              tokens.in<int32_t>("tokens"),
                                              starts.in<int64_t>("starts"),
                                              keep.optional_in<float>("keep"),
                                              chance.optional_in<float>("chance"),
                                              alias.optional_in<int32_t>("alias"),
                                              paths.optional_in<int64_t>("paths"),
                                              nodes.optional_in<int32_t>("nodes"),
                                              codes.optional_in<uint8_t>("codes"),
                                              part_starts.optional_in<int64_t>("part_starts"),
                                              parts.optional_in<int32_t>("parts"),
                                              tokens.size(),
                                              starts.size() - 1,
                                              words,
                                              vectors.shape[0],
                                              outputs.shape[0],
                                              vectors.shape[1],
                                              window,
                                              negatives,
                                              longest,
                                              first,
                                              stats.shape[0],
                                              rate_first,
                                              rate_last,
                                              seed,
                                              cbow,
                                              mean,
                                              full,
                                              workspace()});
}

}  // namespace

EINKORN_BINDINGS(word2vec, m) {
  m.def("word2vec_train", &word2vec_train, "vectors"_a, "outputs"_a, "stats"_a, "tokens"_a, "starts"_a,
        "keep"_a.none(true), "chance"_a.none(true), "alias"_a.none(true), "paths"_a.none(true), "nodes"_a.none(true),
        "codes"_a.none(true), "part_starts"_a.none(true), "parts"_a.none(true), "words"_a, "window"_a, "negatives"_a,
        "first"_a, "rate_first"_a, "rate_last"_a, "seed"_a, "cbow"_a, "mean"_a, "full"_a);
}

}  // namespace einkorn::bind_word2vec
