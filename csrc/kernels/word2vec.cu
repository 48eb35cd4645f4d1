// word2vec on the GPU: a block walks a stretch of the sentences, word by word.
//
//     one stretch      one block takes all sentences in order: the same bits each time
//     several          a block each, which share the arrays without locks (cuda_shared_rows.h); a card has room for a thousand
//
//   keep       the words of a segment that count, in order, into a list: each thread draws for its own
//   gather     warp 0 draws the targets of a word; the inputs go to a buffer, a thread an element of the row              barrier
//   score      z = x . y, a warp a pair, folded by shuffles; g = rate (t - sigmoid z)                                     barrier
//   update     a thread an element of the row: dx over all targets, from the values before, then y; dx goes to the rows of the inputs
//
// What a thread updates it also gathers for the next word, so that two barriers are enough; targets have two places by turns. The full softmax
// goes over all words for each input, with its barriers.
//
// Random numbers are the CPU's, sums in another order: results agree up to rounding, for one stretch.
//
// Roofline: rows of all inputs and targets read and written, 8 width bytes each: 10 inputs, 6 targets, width 100: 12.8 KB a word, 234 million
// words a second at 3.0 TB/s for stretches by the thousand. One stretch is bound by its chain, two barriers and three trips to memory a word, about
// 3 us: 300,000 words a second.
// Plan: train_sentences: 128 registers, 4 blocks of 128 threads an SM

#include "kernels/cuda_group.h"
#include "kernels/cuda_shared_rows.h"
#include "kernels/word2vec.h"

namespace einkorn::cuda {

namespace {

constexpr int kThreads = 128, kWarps = kThreads / kWarp;

// As on the CPU: splitmix64, each draw a function of its number.
struct Random {
  uint64_t state;

  static __device__ __forceinline__ uint64_t mixed(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  __device__ __forceinline__ Random(uint64_t seed, int64_t place)
      : state(mixed(seed) + static_cast<uint64_t>(place) * 0xD1342543DE82EF95u) {}
  // The draw of number `i`, from 0 on.
  __device__ __forceinline__ uint64_t draw(int64_t i) const {
    return mixed(state + static_cast<uint64_t>(i + 1) * 0x9E3779B97F4A7C15u);
  }
  static __device__ __forceinline__ int64_t below(uint64_t draw, int64_t n) {
    return static_cast<int64_t>((draw >> 32) * static_cast<uint64_t>(n) >> 32);
  }
  static __device__ __forceinline__ float unit(uint64_t draw) {
    return static_cast<float>(draw & 0xFFFFFF) * (1.0f / 16777216.0f);
  }
};

constexpr int64_t kFirstNegative = 2;  // draws before: the one that kept the word, and its reach

// The scratch of a stretch.
struct Buffers {
  int64_t* place;   // [kSegment]: where the words are that were kept
  float* x;         // [inputs, width]
  float* dx;        // [inputs, width], of the full softmax
  float* g;         // [inputs, most targets], or [targets]
  float* label;     // 2 of [most targets]
  int32_t* target;  // 2 of [most targets]
  int32_t* kept;    // [kSegment]

  static int64_t most(const Word2VecTrain& k) { return k.full ? k.targets : 1 + k.negatives + k.longest_path; }
  static int64_t bytes(const Word2VecTrain& k) {
    const int64_t inputs = Word2VecStretch::inputs(k), of_g = k.full ? k.targets : inputs * most(k);
    const int64_t numbers = inputs * k.width * (k.full ? 2 : 1) + of_g + (k.full ? 0 : 4 * most(k)) + kSegment;
    return (numbers * 4 + 7) / 8 * 8 + kSegment * 8;
  }

  __device__ Buffers(const Word2VecTrain& k, int64_t inputs, int64_t most, char* base)
      : place(reinterpret_cast<int64_t*>(base)), x(reinterpret_cast<float*>(place + kSegment)) {
    dx = x + inputs * k.width;
    g = k.full ? dx + inputs * k.width : dx;
    label = g + (k.full ? k.targets : inputs * most);
    target = reinterpret_cast<int32_t*>(label + (k.full ? 0 : 2 * most));
    kept = target + (k.full ? 0 : 2 * most);
  }
};

// The rows of `vectors` that are a word.
struct Rows {
  const int32_t* first;
  int64_t count;
};

template <bool kAlone>
struct Trainer {
  const Word2VecTrain& k;
  const Buffers& s;
  const int64_t most;
  int* const shared;  // [kWarps + 2]: of warps; how many targets a word has, by turns
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  double loss = 0;  // lanes 0 have their warps'

  __device__ __forceinline__ float read(const float* p) const { return read_row<kAlone>(p); }

  __device__ __forceinline__ Rows rows_of(const int32_t* word) const {
    if (k.part_starts == nullptr) return {word, 1};
    return {k.parts + k.part_starts[*word], k.part_starts[*word + 1] - k.part_starts[*word]};
  }

  // The words from `at` to `end` that count. Returns how many.
  __device__ __forceinline__ int64_t keep(int64_t at, int64_t end) const {
    int64_t n = 0;
    for (; at < end; at += kThreads) {
      const int64_t here = at + threadIdx.x;
      const int32_t word = here < end ? k.tokens[here] : -1;
      bool counts = word >= 0 && word < k.words;
      if (counts && k.keep != nullptr) counts = Random::unit(Random(k.seed, k.first + here).draw(0)) < k.keep[word];
      const unsigned votes = __ballot_sync(0xffffffffu, counts);
      if (lane == 0) shared[warp] = __popc(votes);
      __syncthreads();
      int64_t place = n + __popc(votes & ((1u << lane) - 1));
      for (int w = 0; w < kWarps; ++w) {
        place += w < warp ? shared[w] : 0;
        n += shared[w];
      }
      if (counts) {
        s.kept[place] = word;
        s.place[place] = here;
      }
      __syncthreads();
    }
    return n;
  }

  // By warp 0: the targets of word c and their labels. What was drawn twice is left out by one lane, in order.
  __device__ __forceinline__ void draw_targets(int64_t c, int64_t turn) const {
    int32_t* const target = s.target + turn * most;
    float* const label = s.label + turn * most;
    const Random random(k.seed, k.first + s.place[c]);
    const int32_t word = s.kept[c];
    for (int64_t i = lane; k.chance != nullptr && i < k.negatives; i += kWarp) {
      const uint64_t bits = random.draw(kFirstNegative + i);
      const int64_t self = Random::below(bits, k.words);
      target[1 + i] = Random::unit(bits) >= k.chance[self] ? k.alias[self] : static_cast<int32_t>(self);
    }
    __syncwarp();
    if (lane != 0) return;
    int64_t count = 0;
    if (k.chance != nullptr) {
      target[0] = word;
      label[0] = 1;
      count = 1;
      for (int64_t i = 0; i < k.negatives; ++i) {
        const int32_t drawn = target[1 + i];
        bool known = false;
        for (int64_t j = 0; j < count; ++j) known = known || target[j] == drawn;
        if (known) continue;
        target[count] = drawn;
        label[count++] = 0;
      }
    }
    if (k.paths != nullptr)
      for (int64_t p = k.paths[word]; p < k.paths[word + 1]; ++p) {
        target[count] = k.nodes[p];
        label[count++] = static_cast<float>(1 - k.codes[p]);
      }
    shared[kWarps + turn] = static_cast<int>(count);
  }

  // The inputs of word c into the buffer, this thread's elements. Returns how many rows a sum of CBOW has.
  __device__ __forceinline__ int64_t gather(int64_t c, int64_t begin, int64_t end) const {
    int64_t summed = 0;
    for (int64_t w = begin; w < end; ++w) summed += w == c ? 0 : rows_of(s.kept + w).count;
    for (int64_t l = threadIdx.x; l < k.width; l += kThreads) {
      float all = 0;
      float* x = s.x + l;
      for (int64_t w = begin; w < end; ++w) {
        if (w == c) continue;
        const Rows rows = rows_of(s.kept + w);
        float sum = 0;
        for (int64_t r = 0; r < rows.count; ++r) sum += read(k.vectors + rows.first[r] * k.width + l);
        if (k.cbow) {
          all += sum;
        } else {
          *x = rows.count > 1 ? sum * (1.0f / static_cast<float>(rows.count)) : sum;
          x += k.width;
        }
      }
      if (k.cbow) *x = k.mean && summed > 1 ? all * (1.0f / static_cast<float>(summed)) : all;
    }
    return summed;
  }

  // x . y of input i and row `target`, by a warp.
  __device__ __forceinline__ float product(int64_t i, int64_t target) const {
    float sum = 0;
    for (int64_t l = lane; l < k.width; l += kWarp)
      sum += s.x[i * k.width + l] * read(k.outputs + target * k.width + l);
    return summed<kWarp>(sum);
  }

  __device__ __forceinline__ void score(int64_t inputs, int64_t count, int64_t turn, float rate) {
    for (int64_t p = warp; p < inputs * count; p += kWarps) {
      const int64_t i = p / count, j = p - i * count;
      const float z = product(i, s.target[turn * most + j]), t = s.label[turn * most + j];
      const float e = ::expf(-::fabsf(z)), large = 1.0f / (1.0f + e), sigmoid = z >= 0.0f ? large : e * large;
      if (lane != 0) continue;
      loss += static_cast<double>(::log1pf(e) + (z >= 0.0f ? (1.0f - t) * z : -t * z));
      s.g[p] = (t - sigmoid) * rate;
    }
  }

  // dx of this thread's element l, for input after input: to(i, dx).
  template <class To>
  __device__ __forceinline__ void gradients(int64_t inputs, int64_t count, int64_t turn, int64_t l,
                                            const To& to) const {
    const int32_t* const target = s.target + turn * most;
    for (int64_t i = 0; i < inputs; ++i) {
      float dx = 0;
      for (int64_t j = 0; j < count; ++j) dx += s.g[i * count + j] * read(k.outputs + target[j] * k.width + l);
      to(i, dx);
    }
    for (int64_t j = 0; j < count; ++j) {
      float* const y = k.outputs + target[j] * k.width + l;
      float sum = 0;
      for (int64_t i = 0; i < inputs; ++i) sum += s.g[i * count + j] * s.x[i * k.width + l];
      write_row<kAlone>(y, read(y) + sum);
    }
  }

  // Input i against all words, `word` the right one; dx into the buffer. With barriers.
  __device__ __forceinline__ void all_words(int64_t i, int32_t word, float rate) {
    for (int64_t j = warp; j < k.words; j += kWarps) {
      const float z = product(i, j);
      if (lane == 0) s.g[j] = z;
    }
    __syncthreads();
    float top = -INFINITY;
    for (int64_t j = threadIdx.x; j < k.words; j += kThreads) top = larger(s.g[j], top);
    top = fold_group<kThreads>(
        top, [](float a, float b) { return larger(a, b); }, [](float a, int d) { return shuffle_xor(a, d); });
    const float scored = s.g[word];
    double total = 0;
    for (int64_t j = threadIdx.x; j < k.words; j += kThreads) total += static_cast<double>(::expf(s.g[j] - top));
    total = summed<kThreads>(total);
    for (int64_t j = threadIdx.x; j < k.words; j += kThreads)
      s.g[j] = rate *
               (static_cast<float>(j == word) - static_cast<float>(static_cast<double>(::expf(s.g[j] - top)) / total));
    __syncthreads();
    for (int64_t l = threadIdx.x; l < k.width; l += kThreads) {
      const float x = s.x[i * k.width + l];
      float dx = 0;
      for (int64_t j = 0; j < k.words; ++j) {
        float* const y = k.outputs + j * k.width + l;
        const float row = read(y);
        dx += s.g[j] * row;
        write_row<kAlone>(y, row + s.g[j] * x);
      }
      s.dx[i * k.width + l] = dx;
    }
    __syncthreads();
    if (threadIdx.x == 0) loss += ::log(total) - static_cast<double>(scored - top);
  }

  // The words kept[0 .. n - 1] of a stretch of a sentence. Returns how many inputs were trained.
  __device__ __forceinline__ int64_t segment(int64_t n, float rate) {
    int64_t trained = 0, turn = 0;
    for (int64_t c = 0; c < n; ++c) {
      const int64_t reach = k.window - Random::below(Random(k.seed, k.first + s.place[c]).draw(1), k.window);
      const int64_t begin = c < reach ? 0 : c - reach, end = c + reach + 1 < n ? c + reach + 1 : n;
      if (end - begin < 2) continue;
      turn = 1 - turn;
      if (warp == 0 && !k.full) draw_targets(c, turn);
      const int64_t rows = gather(c, begin, end), inputs = k.cbow ? 1 : end - begin - 1;
      const float by = k.cbow && !k.mean ? 1.0f / static_cast<float>(rows) : 1.0f;
      __syncthreads();
      int64_t count = 0;
      if (k.full) {
        for (int64_t i = 0; i < inputs; ++i) all_words(i, s.kept[c], rate);
      } else {
        count = shared[kWarps + turn];
        score(inputs, count, turn, rate);
        __syncthreads();
      }
      for (int64_t l = threadIdx.x; l < k.width; l += kThreads) {
        const auto add = [&](int64_t w, float dx) {
          const Rows to = rows_of(s.kept + w);
          for (int64_t r = 0; r < to.count; ++r) {
            float* const row = k.vectors + to.first[r] * k.width + l;
            write_row<kAlone>(row, read(row) + dx * by);
          }
        };
        const auto put = [&](int64_t i, float dx) {
          if (!k.cbow) add(begin + i < c ? begin + i : begin + i + 1, dx);
          for (int64_t w = begin; k.cbow && w < end; ++w)
            if (w != c) add(w, dx);
        };
        if (k.full)
          for (int64_t i = 0; i < inputs; ++i) put(i, s.dx[i * k.width + l]);
        else
          gradients(inputs, count, turn, l, put);
      }
      trained += inputs;
    }
    __syncthreads();
    return trained;
  }
};

template <bool kAlone>
__global__ void __launch_bounds__(kThreads, 4)
    train_sentences(Word2VecTrain k, int64_t inputs, int64_t most, int64_t bytes, char* scratch) {
  __shared__ int shared[kWarps + 2];
  __shared__ double losses[kWarps];
  const int64_t stretch = blockIdx.x;
  const Buffers s(k, inputs, most, scratch + stretch * bytes);
  Trainer<kAlone> trainer{k, s, most, shared};
  int64_t trained = 0;
  for (int64_t sentence = k.sentences * stretch / k.stretches; sentence < k.sentences * (stretch + 1) / k.stretches;
       ++sentence)
    for (int64_t at = k.starts[sentence]; at < k.starts[sentence + 1]; at += kSegment) {
      const int64_t end = at + kSegment < k.starts[sentence + 1] ? at + kSegment : k.starts[sentence + 1];
      const double done = static_cast<double>(at) / static_cast<double>(k.count);
      const int64_t n = trainer.keep(at, end);
      trained += trainer.segment(n, static_cast<float>(k.rate_first + (k.rate_last - k.rate_first) * done));
    }
  if (trainer.lane == 0) losses[trainer.warp] = trainer.loss;
  __syncthreads();
  if (threadIdx.x != 0) return;
  double loss = 0;
  for (int w = 0; w < kWarps; ++w) loss += losses[w];
  k.stats[2 * stretch] = loss;
  k.stats[2 * stretch + 1] = static_cast<double>(trained);
}

}  // namespace

void word2vec_train(const Word2VecTrain& k) {
  const int64_t bytes = Buffers::bytes(k);
  const StreamScratch scratch(static_cast<size_t>(k.stretches * bytes));
  launch("word2vec_train", k.stretches == 1 ? train_sentences<true> : train_sentences<false>,
         static_cast<unsigned>(k.stretches), kThreads, 0, k, Word2VecStretch::inputs(k), Buffers::most(k), bytes,
         scratch.as<char>());
}

}  // namespace einkorn::cuda
