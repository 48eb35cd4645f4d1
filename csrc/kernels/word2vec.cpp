// word2vec: the pairs of a word as small matrix products.
//
//      targets    y_0 .. y_5  (the word and five negatives)          1. z = x y^T        two inputs by six targets in registers
//    x_0          z_00 .. z_05                                       2. g = rate (t - sigmoid z)
//    ..                                                              3. dx += g y, y += g^T x   a vector of all y at a time, y and
//    x_5          z_50 .. z_55  (a row for each word around)                              its sum stay in registers over all x
//
// Inputs are copied to a buffer (they are read three times and lie anywhere), targets are read twice from where they are: after the
// first time they are in the cache. Going pair by pair, as the published program does, reads each row of a target once for every
// word around, and has one sum at a time, which waits for itself. CBOW has one input: it adds its rows up and multiplies in one walk,
// so that the rows of both sides are waited for together, and changes both in a second one.
//
// A word of CBOW has 12 rows of 7 lines, 4 of them not in the second cache, and 5 thousand FLOP: it is bound by lines, not arithmetic.
// Rows that begin on a line cost least: models give rows a width that is a multiple of 16, zeros behind (they stay zeros).
//
// Versions, one core of Intel (Emerald Rapids, AVX-512), 100 numbers, window 5, 5 negatives, 11,381 words on large pages, seconds for
// 616,000 words (the least of 4 runs):                                                            CBOW     skip-gram
//   sums of lanes one by one, CBOW by sum, products, step, gradient, each a walk of its own        0.165    0.28
//   sums of the lanes of many vectors at once, two inputs at a time                                          0.253
//   CBOW in two walks                                                                              0.142
//   rows of 112 numbers on lines of their own                                                      0.122    0.234
//   and the targets of the next word drawn and asked for before this one is computed               0.120    0.220
// The last is left out: with two threads nothing was gained beyond what runs differ by, and on AMD (Zen 4) two were up to half as
// fast, for frequent words' rows leave the other core too early. On small pages it gained a tenth.
//
// Logarithms are taken of the product of many chances at once. A stretch's sums lie on its own stack: where two threads added to
// neighbouring numbers of `stats` for each word, the line went to and fro between them.

#include "kernels/word2vec.h"

#include <math.h>

#include "simd/lanes.h"
#include "simd/math.h"

namespace einkorn::EINKORN_ISA {

namespace {

constexpr int64_t kL = kLanes<float>;

struct Random {
  uint64_t state;

  static uint64_t mixed(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  Random(uint64_t seed, int64_t place) : state(mixed(seed) + static_cast<uint64_t>(place) * 0xD1342543DE82EF95u) {}
  uint64_t next() { return mixed(state += 0x9E3779B97F4A7C15u); }
  // From 0 to n - 1, of the upper 32 bits; and a number in [0, 1), of the lower 24.
  static int64_t below(uint64_t draw, int64_t n) {
    return static_cast<int64_t>((draw >> 32) * static_cast<uint64_t>(n) >> 32);
  }
  static float unit(uint64_t draw) { return static_cast<float>(draw & 0xFFFFFF) * (1.0f / 16777216.0f); }
};

EINKORN_INLINE int64_t least(int64_t a, int64_t b) {
  return a < b ? a : b;
}

// The sum of log(1 + e) + linear over vectors of pairs, 0 <= e <= 1: the product of 1 + e stays below 2^kTerms.
struct Loss {
  static constexpr int kTerms = 64;
  Vec<float> product = broadcast(1.0f), linear = {};
  int terms = 0;
  double total = 0;

  EINKORN_INLINE void add(Vec<float> e, Vec<float> more) {
    product *= 1.0f + e;
    linear += more;
    if (++terms == kTerms) settle();
  }
  void settle() {
    total += static_cast<double>(sum_lanes<float>(EINKORN_ISA::log(product) + linear));
    product = broadcast(1.0f);
    linear = Vec<float>{};
    terms = 0;
  }
};

// How far a word sees, and how many targets it has.
struct Drawn {
  int64_t reach, count;
};

Drawn draw(const Word2VecTrain& k, const Word2VecStretch& s, int64_t c) {
  Random random(k.seed, k.first + s.place[c]);
  random.next();  // the draw that kept the word
  Drawn d = {k.window - Random::below(random.next(), k.window), 0};
  const int32_t word = s.kept[c];
  if (k.chance != nullptr) {
    s.target[d.count] = word;
    s.label[d.count++] = 1;
    for (int64_t i = 0; i < k.negatives; ++i) {
      const uint64_t bits = random.next();
      const int64_t self = Random::below(bits, k.words);
      const int32_t other = k.alias[self];
      const int32_t drawn = Random::unit(bits) >= k.chance[self] ? other : static_cast<int32_t>(self);
      bool known = false;
      for (int64_t j = 0; j < d.count; ++j) known |= s.target[j] == drawn;
      if (known) continue;
      s.target[d.count] = drawn;
      s.label[d.count++] = 0;
    }
  }
  if (k.paths != nullptr)
    for (int64_t p = k.paths[word]; p < k.paths[word + 1]; ++p) {
      s.target[d.count] = k.nodes[p];
      s.label[d.count++] = static_cast<float>(1 - k.codes[p]);
    }
  return d;
}

// g = rate (t - sigmoid z) in the place of `pairs` numbers z; J labels, again and again.
template <int J>
EINKORN_INLINE void take_steps(float* g, int64_t pairs, const float* label, float rate, Loss& loss) {
  float labels[kL + J];
  EINKORN_UNROLL for (int i = 0; i < kL + J; ++i) labels[i] = label[i % J];
  int64_t first = 0;  // of the labels
  for (int64_t p = 0; p < pairs; p += kL) {
    const int64_t live = least(kL, pairs - p);
    const Vec<float> z = load_partial(g + p, live), t = load(labels + first);
    first = (first + kL) % J;
    const Vec<float> e = EINKORN_ISA::exp(-EINKORN_ISA::absolute(z)), large = 1.0f / (1.0f + e);
    const Vec<float> sigmoid = z >= 0.0f ? large : e * large;
    // -log p of the label is log(1 + exp(-|z|)) and a line; lanes past the last pair have nothing of either.
    const Vec<float> nothing = {};
    const auto there = first_lanes<float>(live) != 0;
    loss.add(there ? e : nothing, there ? (z >= 0.0f ? (1.0f - t) * z : -t * z) : nothing);
    store_partial(g + p, live, (t - sigmoid) * rate);
  }
}

// g[i * J + j] = x_i . y_j of I inputs.
template <int I, int J>
EINKORN_INLINE void products(const float* x, int64_t stride, float* const (&y)[J], int64_t width, float* g) {
  Vec<float> sum[I * J] = {};
  for_vectors<float>(width, [&](int64_t l, int64_t live) EINKORN_LAMBDA {
    Vec<float> here[I];
    EINKORN_UNROLL for (int i = 0; i < I; ++i) here[i] = load(x + i * stride + l);
    EINKORN_UNROLL for (int j = 0; j < J; ++j) {
      const Vec<float> row = load_n(y[j] + l, live);
      EINKORN_UNROLL for (int i = 0; i < I; ++i) sum[i * J + j] += here[i] * row;
    }
  });
  store_sums<float, I * J>(g, sum);
}

// One word's inputs against J targets: step 1 to 3 above. dx is added to, or with `fresh` written.
template <int J>
void tile(const Word2VecTrain& k, const Word2VecStretch& s, int64_t inputs, const int32_t* target, const float* label,
          float rate, bool fresh, Loss& loss) {
  const int64_t stride = Word2VecStretch::padded(k);
  float* y[J];
  EINKORN_UNROLL for (int j = 0; j < J; ++j) y[j] = k.outputs + target[j] * k.width;
  float* const g = s.g;
  int64_t first = 0;
  for (; first + 2 <= inputs; first += 2) products<2, J>(s.x + first * stride, stride, y, k.width, g + first * J);
  if (first < inputs) products<1, J>(s.x + first * stride, stride, y, k.width, g + first * J);
  take_steps<J>(g, inputs * J, label, rate, loss);
  for_vectors<float>(k.width, [&](int64_t l, int64_t live) {
    Vec<float> row[J], sum[J] = {};
    EINKORN_UNROLL for (int j = 0; j < J; ++j) row[j] = load_n(y[j] + l, live);
    for (int64_t i = 0; i < inputs; ++i) {
      const Vec<float> here = load(s.x + i * stride + l);
      Vec<float> d = fresh ? Vec<float>{} : load(s.dx + i * stride + l);
      EINKORN_UNROLL for (int j = 0; j < J; ++j) {
        const Vec<float> each = broadcast(g[i * J + j]);
        d += each * row[j];
        sum[j] += each * here;
      }
      store(s.dx + i * stride + l, d);
    }
    EINKORN_UNROLL for (int j = 0; j < J; ++j) store_n(y[j] + l, live, row[j] + sum[j]);
  });
}

void against_targets(const Word2VecTrain& k, const Word2VecStretch& s, int64_t inputs, int64_t count, float rate,
                     Loss& loss) {
  const int32_t* const target = s.target;
  const float* const label = s.label;
  int64_t j = 0;
  for (; j + 6 <= count; j += 6) tile<6>(k, s, inputs, target + j, label + j, rate, j == 0, loss);
  for (; j + 2 <= count; j += 2) tile<2>(k, s, inputs, target + j, label + j, rate, j == 0, loss);
  for (; j < count; ++j) tile<1>(k, s, inputs, target + j, label + j, rate, j == 0, loss);
}

// CBOW over rows, which are added up and changed in the same two walks as the targets' are.
template <int J>
void rows_against_targets(const Word2VecTrain& k, const Word2VecStretch& s, int64_t count, float rate, Loss& loss) {
  float *const *const around = s.around, *const x = s.x;
  float* y[J];
  EINKORN_UNROLL for (int j = 0; j < J; ++j) y[j] = k.outputs + s.target[j] * k.width;
  const float share = 1.0f / static_cast<float>(count), scale = k.mean ? share : 1.0f, back = k.mean ? 1.0f : share;
  Vec<float> sum[J] = {};
  for_vectors<float>(k.width, [&](int64_t l, int64_t live) EINKORN_LAMBDA {
    Vec<float> here = {};
    for (int64_t r = 0; r < count; ++r) here += load_n(around[r] + l, live);
    here *= scale;
    store(x + l, here);
    EINKORN_UNROLL for (int j = 0; j < J; ++j) sum[j] += here * load_n(y[j] + l, live);
  });
  float g[J];
  store_sums<float, J>(g, sum);
  take_steps<J>(g, J, s.label, rate, loss);
  for_vectors<float>(k.width, [&](int64_t l, int64_t live) EINKORN_LAMBDA {
    const Vec<float> here = load(x + l);
    Vec<float> d = {};
    EINKORN_UNROLL for (int j = 0; j < J; ++j) {
      const Vec<float> row = load_n(y[j] + l, live), each = broadcast(g[j]);
      d += each * row;
      store_n(y[j] + l, live, row + each * here);
    }
    d *= back;
    for (int64_t r = 0; r < count; ++r) store_n(around[r] + l, live, load_n(around[r] + l, live) + d);
  });
}

void clear(float* x, int64_t n) {
  for (int64_t i = 0; i < n; i += kL) store(x + i, Vec<float>{});
}

// One input against all words.
double all_words(const Word2VecTrain& k, const Word2VecStretch& s, int64_t input, int64_t word, float rate) {
  const float* const x = s.x + input * Word2VecStretch::padded(k);
  float* const dx = s.dx + input * Word2VecStretch::padded(k);
  float largest = -INFINITY;
  for (int64_t j = 0; j < k.words; ++j) {
    Vec<float> sum = {};
    for_vectors<float>(
        k.width, [&](int64_t l, int64_t live) { sum += load(x + l) * load_n(k.outputs + j * k.width + l, live); });
    s.g[j] = sum_lanes<float>(sum);
    if (s.g[j] > largest) largest = s.g[j];
  }
  const float scored = s.g[word];
  double total = 0;
  for (int64_t j = 0; j < k.words; ++j) total += s.g[j] = expf(s.g[j] - largest);
  for (int64_t j = 0; j < k.words; ++j) {
    const float g = rate * (static_cast<float>(j == word) - static_cast<float>(s.g[j] / total));
    for_vectors<float>(k.width, [&](int64_t l, int64_t live) {
      const Vec<float> row = load_n(k.outputs + j * k.width + l, live);
      store(dx + l, load(dx + l) + g * row);
      store_n(k.outputs + j * k.width + l, live, row + g * load(x + l));
    });
  }
  return ::log(total) - static_cast<double>(scored - largest);
}

// The rows of `vectors` that are a word.
struct Rows {
  const int32_t* first;
  int64_t count;
};

EINKORN_INLINE Rows rows_of(const Word2VecTrain& k, const int32_t* word) {
  if (k.part_starts == nullptr) return {word, 1};
  return {k.parts + k.part_starts[*word], k.part_starts[*word + 1] - k.part_starts[*word]};
}

// x = or, with `more`, += the sum of rows.
void sum_rows(const Word2VecTrain& k, float* x, Rows rows, bool more) {
  for_vectors<float>(k.width, [&](int64_t l, int64_t live) {
    Vec<float> sum = more ? load(x + l) : Vec<float>{};
    for (int64_t r = 0; r < rows.count; ++r) sum += load_n(k.vectors + rows.first[r] * k.width + l, live);
    store(x + l, sum);
  });
}

void scale_row(const Word2VecTrain& k, float* x, float by) {
  for_vectors<float>(k.width, [&](int64_t l, int64_t) { store(x + l, load(x + l) * by); });
}

void put_gradient(const Word2VecTrain& k, const float* dx, Rows rows, float by) {
  for (int64_t r = 0; r < rows.count; ++r) {
    float* const to = k.vectors + rows.first[r] * k.width;
    for_vectors<float>(
        k.width, [&](int64_t l, int64_t live) { store_n(to + l, live, load_n(to + l, live) + load(dx + l) * by); });
  }
}

// One word of a sentence with those from `begin` to `end` around it. Returns how many inputs were trained.
int64_t word(const Word2VecTrain& k, const Word2VecStretch& s, int64_t c, int64_t begin, int64_t end, int64_t count,
             float rate, Loss& loss) {
  const int64_t stride = Word2VecStretch::padded(k);
  int64_t inputs = 0, summed = 0;
  for (int64_t w = begin; w < end; ++w) {
    if (w == c) continue;
    const Rows rows = rows_of(k, s.kept + w);
    float* const x = s.x + (k.cbow ? 0 : inputs) * stride;
    sum_rows(k, x, rows, k.cbow && inputs > 0);
    if (!k.cbow && rows.count > 1) scale_row(k, x, 1.0f / static_cast<float>(rows.count));
    summed += rows.count;
    ++inputs;
  }
  if (k.cbow) {
    if (k.mean && summed > 1) scale_row(k, s.x, 1.0f / static_cast<float>(summed));
    inputs = 1;
  }
  if (k.full) {
    clear(s.dx, inputs * stride);
    for (int64_t i = 0; i < inputs; ++i) loss.total += all_words(k, s, i, s.kept[c], rate);
  } else {
    against_targets(k, s, inputs, count, rate, loss);
  }
  const float by = k.cbow && !k.mean ? 1.0f / static_cast<float>(summed) : 1.0f;
  const float* dx = s.dx;
  for (int64_t w = begin; w < end; ++w) {
    if (w == c) continue;
    put_gradient(k, dx, rows_of(k, s.kept + w), by);
    if (!k.cbow) dx += stride;
  }
  return inputs;
}

// The words kept[0 .. n - 1] of a stretch of a sentence. Returns how many inputs were trained.
int64_t segment(const Word2VecTrain& k, const Word2VecStretch& s, int64_t n, float rate, Loss& loss) {
  const bool by_rows = k.cbow && k.part_starts == nullptr && !k.full;
  int64_t trained = 0;
  if (n < 2) return 0;
  for (int64_t c = 0; c < n; ++c) {
    const Drawn drawn = draw(k, s, c);
    const int64_t begin = c - drawn.reach < 0 ? 0 : c - drawn.reach, end = least(n, c + drawn.reach + 1);
    if (!by_rows || drawn.count > 6) {
      trained += word(k, s, c, begin, end, drawn.count, rate, loss);
      continue;
    }
    int64_t count = 0;
    for (int64_t w = begin; w < end; ++w)
      if (w != c) s.around[count++] = k.vectors + s.kept[w] * k.width;
    switch (drawn.count) {
      case 6:
        rows_against_targets<6>(k, s, count, rate, loss);
        break;
      case 5:
        rows_against_targets<5>(k, s, count, rate, loss);
        break;
      case 4:
        rows_against_targets<4>(k, s, count, rate, loss);
        break;
      case 3:
        rows_against_targets<3>(k, s, count, rate, loss);
        break;
      case 2:
        rows_against_targets<2>(k, s, count, rate, loss);
        break;
      case 1:
        rows_against_targets<1>(k, s, count, rate, loss);
        break;
      default:
        break;
    }
    ++trained;
  }
  return trained;
}

}  // namespace

void word2vec_train(const Word2VecTrain& k) {
  const auto plan = carve<Word2VecParts>(k);
  parallel_for(k.ws, k.stretches, 1000.0 * static_cast<double>(k.count / k.stretches + 1), [&](int64_t stretch, int) {
    const Word2VecStretch s = plan.stretches[stretch];
    Loss loss;
    int64_t trained = 0;
    for (int64_t sentence = k.sentences * stretch / k.stretches; sentence < k.sentences * (stretch + 1) / k.stretches;
         ++sentence)
      for (int64_t at = k.starts[sentence]; at < k.starts[sentence + 1];) {
        const int64_t end = least(at + kSegment, k.starts[sentence + 1]);
        const double done = static_cast<double>(at) / static_cast<double>(k.count);
        int64_t n = 0;
        for (; at < end; ++at) {
          const int32_t word = k.tokens[at];
          if (word < 0 || word >= k.words) continue;
          if (k.keep != nullptr && Random::unit(Random(k.seed, k.first + at).next()) >= k.keep[word]) continue;
          s.kept[n] = word;
          s.place[n++] = at;
        }
        const double rate = k.rate_first + (k.rate_last - k.rate_first) * done;
        trained += segment(k, s, n, static_cast<float>(rate), loss);
      }
    loss.settle();
    k.stats[2 * stretch] = loss.total;
    k.stats[2 * stretch + 1] = static_cast<double>(trained);
  });
}

}  // namespace einkorn::EINKORN_ISA
