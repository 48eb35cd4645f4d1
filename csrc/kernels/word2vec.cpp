// word2vec: the pairs of a word as small matrix products.
//
//      targets    y_0 .. y_5  (the word and five negatives)          1. z = x y^T        up to 6 sums at a time in registers
//    x_0          z_00 .. z_05                                       2. g = rate (t - sigmoid z)
//    ..                                                              3. dx += g y, y += g^T x   a vector of all y at a time, y and
//    x_5          z_50 .. z_55  (a row for each word around)                              its sum stay in registers over all x
//
// Inputs are copied to a buffer (they are read three times and lie anywhere), targets are read twice from where they are: after the
// first time they are in the cache. Going pair by pair, as the published program does, reads each row of a target once for every
// word around, and has one sum at a time, which waits for itself.

#include "kernels/word2vec.h"

#include <math.h>

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

// One word's inputs against J targets: step 1 to 3 above. dx is added to.
template <int J>
double tile(const Word2VecTrain& k, const Word2VecStretch& s, int64_t inputs, const int32_t* target, const float* label,
            float rate) {
  const int64_t stride = Word2VecStretch::padded(k);
  float* y[J];
  EINKORN_UNROLL for (int j = 0; j < J; ++j) y[j] = k.outputs + target[j] * k.width;
  float* const g = s.g;
  for (int64_t i = 0; i < inputs; ++i) {
    const float* const x = s.x + i * stride;
    Vec<float> sum[J] = {};
    for_vectors<float>(k.width, [&](int64_t l, int64_t live) {
      const Vec<float> here = load(x + l);
      EINKORN_UNROLL for (int j = 0; j < J; ++j) sum[j] += here * load_n(y[j] + l, live);
    });
    EINKORN_UNROLL for (int j = 0; j < J; ++j) g[i * J + j] = sum_lanes<float>(sum[j]);
  }
  double loss = 0;
  float labels[kL + J];
  for (int64_t i = 0; i < kL + J; ++i) labels[i] = label[i % J];
  const int64_t pairs = inputs * J;
  for (int64_t p = 0; p < pairs; p += kL) {
    const int64_t live = least(kL, pairs - p);
    const Vec<float> z = load_partial(g + p, live), t = load(labels + p % J);
    const Vec<float> e = EINKORN_ISA::exp(-EINKORN_ISA::absolute(z)), small = e / (1.0f + e), large = 1.0f / (1.0f + e);
    const Vec<float> sigmoid = z >= 0.0f ? large : small;
    // -log p of the label, by log(1 + exp(-|z|))
    const Vec<float> lost = log1p(e) + (z >= 0.0f ? (1.0f - t) * z : -t * z);
    float each[kL];
    store(each, lost);
    for (int64_t i = 0; i < live; ++i) loss += each[i];
    store_partial(g + p, live, (t - sigmoid) * rate);
  }
  for_vectors<float>(k.width, [&](int64_t l, int64_t live) {
    Vec<float> row[J], sum[J] = {};
    EINKORN_UNROLL for (int j = 0; j < J; ++j) row[j] = load_n(y[j] + l, live);
    for (int64_t i = 0; i < inputs; ++i) {
      const Vec<float> here = load(s.x + i * stride + l);
      Vec<float> d = load(s.dx + i * stride + l);
      EINKORN_UNROLL for (int j = 0; j < J; ++j) {
        const Vec<float> each = broadcast(g[i * J + j]);
        d += each * row[j];
        sum[j] += each * here;
      }
      store(s.dx + i * stride + l, d);
    }
    EINKORN_UNROLL for (int j = 0; j < J; ++j) store_n(y[j] + l, live, row[j] + sum[j]);
  });
  return loss;
}

double targets(const Word2VecTrain& k, const Word2VecStretch& s, int64_t inputs, int64_t count, float rate) {
  double loss = 0;
  int64_t j = 0;
  for (; j + 6 <= count; j += 6) loss += tile<6>(k, s, inputs, s.target + j, s.label + j, rate);
  for (; j + 2 <= count; j += 2) loss += tile<2>(k, s, inputs, s.target + j, s.label + j, rate);
  for (; j < count; ++j) loss += tile<1>(k, s, inputs, s.target + j, s.label + j, rate);
  return loss;
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

// Calls body(row) for the rows of `vectors` that are a word.
template <class Body>
EINKORN_INLINE void rows_of(const Word2VecTrain& k, int32_t word, const Body& body) {
  if (k.part_starts == nullptr) return body(static_cast<int64_t>(word));
  for (int64_t p = k.part_starts[word]; p < k.part_starts[word + 1]; ++p) body(static_cast<int64_t>(k.parts[p]));
}

void add_row(const Word2VecTrain& k, float* x, int64_t row) {
  for_vectors<float>(k.width, [&](int64_t l, int64_t live) {
    store(x + l, load(x + l) + load_n(k.vectors + row * k.width + l, live));
  });
}

void scale_row(const Word2VecTrain& k, float* x, float by) {
  for_vectors<float>(k.width, [&](int64_t l, int64_t) { store(x + l, load(x + l) * by); });
}

void put_gradient(const Word2VecTrain& k, const float* dx, int64_t row, float by) {
  float* const to = k.vectors + row * k.width;
  for_vectors<float>(k.width,
                     [&](int64_t l, int64_t live) { store_n(to + l, live, load_n(to + l, live) + load(dx + l) * by); });
}

void clear(float* x, int64_t n) {
  for (int64_t i = 0; i < n; i += kL) store(x + i, Vec<float>{});
}

// The words kept[0 .. n - 1] of a stretch of a sentence.
void segment(const Word2VecTrain& k, const Word2VecStretch& s, int64_t n, float rate, double* stats) {
  const int64_t stride = Word2VecStretch::padded(k);
  for (int64_t c = 0; c < n; ++c) {
    Random random(k.seed, k.first + s.place[c]);
    random.next();  // the draw that kept the word
    const int64_t reach = k.window - Random::below(random.next(), k.window);
    const int64_t begin = c - reach < 0 ? 0 : c - reach, end = least(n, c + reach + 1);
    if (end - begin < 2) continue;
    const int32_t word = s.kept[c];
    int64_t inputs = 0, summed = 0;
    clear(s.x, k.cbow ? stride : (end - begin - 1) * stride);
    clear(s.dx, k.cbow ? stride : (end - begin - 1) * stride);
    for (int64_t w = begin; w < end; ++w) {
      if (w == c) continue;
      float* const x = s.x + (k.cbow ? 0 : inputs) * stride;
      int64_t parts = 0;
      rows_of(k, s.kept[w], [&](int64_t row) {
        add_row(k, x, row);
        ++parts;
      });
      summed += parts;
      if (!k.cbow && parts > 1) scale_row(k, x, 1.0f / static_cast<float>(parts));
      ++inputs;
    }
    if (k.cbow) {
      if (k.mean && summed > 1) scale_row(k, s.x, 1.0f / static_cast<float>(summed));
      inputs = 1;
    }
    double loss = 0;
    if (k.full) {
      for (int64_t i = 0; i < inputs; ++i) loss += all_words(k, s, i, word, rate);
    } else {
      int64_t count = 0;
      if (k.chance != nullptr) {
        s.target[count] = word;
        s.label[count++] = 1;
        for (int64_t draw = 0; draw < k.negatives; ++draw) {
          const uint64_t bits = random.next();
          int32_t drawn = static_cast<int32_t>(Random::below(bits, k.words));
          if (Random::unit(bits) >= k.chance[drawn]) drawn = k.alias[drawn];
          bool known = false;
          for (int64_t j = 0; j < count; ++j) known |= s.target[j] == drawn;
          if (known) continue;
          s.target[count] = drawn;
          s.label[count++] = 0;
        }
      }
      if (k.paths != nullptr)
        for (int64_t p = k.paths[word]; p < k.paths[word + 1]; ++p) {
          s.target[count] = k.nodes[p];
          s.label[count++] = static_cast<float>(1 - k.codes[p]);
        }
      loss = targets(k, s, inputs, count, rate);
    }
    stats[0] += loss;
    stats[1] += static_cast<double>(inputs);
    if (k.cbow) {
      const float by = k.mean ? 1.0f : 1.0f / static_cast<float>(summed);
      for (int64_t w = begin; w < end; ++w)
        if (w != c) rows_of(k, s.kept[w], [&](int64_t row) { put_gradient(k, s.dx, row, by); });
    } else {
      int64_t i = 0;
      for (int64_t w = begin; w < end; ++w)
        if (w != c) {
          const float* const dx = s.dx + i++ * stride;
          rows_of(k, s.kept[w], [&](int64_t row) { put_gradient(k, dx, row, 1.0f); });
        }
    }
  }
}

}  // namespace

void word2vec_train(const Word2VecTrain& k) {
  const auto plan = carve<Word2VecParts>(k);
  parallel_for(k.ws, k.stretches, 1000.0 * static_cast<double>(k.count / k.stretches + 1), [&](int64_t stretch, int) {
    const Word2VecStretch s = plan.stretches[stretch];
    double* const stats = k.stats + 2 * stretch;
    stats[0] = stats[1] = 0;
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
        segment(k, s, n, static_cast<float>(k.rate_first + (k.rate_last - k.rate_first) * done), stats);
      }
  });
}

}  // namespace einkorn::EINKORN_ISA
