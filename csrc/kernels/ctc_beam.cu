// CTC's search over prefixes on the GPU: a block of threads walks the frames of a sequence.
//
//     live prefixes     p0 p1 p2 ..                    what each passes to itself, one thread a prefix
//     candidates        p0 p1 p2 .. | p0a p0b .. | p1a p1b ..     as the CPU meets them: a number says who is first among equals
//     the best          a radix selection over all: 8 bits of the scores a pass, counted in shared memory, find the last score that
//                       stays and how many of those that have it; what stays is taken in the candidates' order and ranked by comparison
//     prefixes          nodes of a tree; each thread looks for its own among the children of a node, and hangs up a new one if it is none
//
// The numbers of new nodes are theirs by rank, and in which order children hang says nothing: the same bits each time. A candidate that is
// live itself already is taken out by the live one, which knows where its parent stands.
//
// Roofline: bound by the chain of frames, each some 20 barriers and sizeof(T) + 1 walks over beams * classes scores: 16 beams of 40
// classes 10 us a frame, 100 of 5,000 0.5 ms, for as many sequences as the card has room for. Scratch: a score for each candidate and
// 32 bytes for each of beams * steps nodes, a sequence; sequences that would need more than a gigabyte wait for others.
// Plan: search_prefixes: 112 registers, 2 blocks of 256 threads an SM

#include "kernels/ctc.h"
#include "kernels/cuda_group.h"
#include "kernels/cuda_radix.h"
#include "kernels/instantiate.h"

namespace einkorn::cuda {

namespace {

constexpr int kWarps = kBlock / kWarp, kValues = 256;  // of a digit
static_assert(kValues == kBlock);

template <class T>
__device__ __forceinline__ T never() {
  return -static_cast<T>(INFINITY);
}

// log(e^a + e^b), -inf for twice that; NaN stays.
template <class T>
__device__ __forceinline__ T log_add(T a, T b) {
  if (a == never<T>() && b == never<T>()) return a;
  const T m = a > b ? a : b;
  return m + ::log(::exp(a - m) + ::exp(b - m));
}

// Rises with the number; 0 for -inf and NaN, which the search passes by.
template <class T>
__device__ __forceinline__ Key<T> key_of(T x) {
  return x > never<T>() ? rising_key(x) : Key<T>{0};
}

// The scratch of a sequence.
template <class T>
struct Beam {
  T *blank, *other, *total;      // sums over a prefix's paths that end with the blank, that do not, and both
  T *stay_blank, *stay_other;    // the same one frame on, without a further label
  T *score, *kept;               // of candidates: live ones, then `classes` for each; of those that stay
  int64_t *node, *parent_place;  // of live prefixes: in the tree, and where the parent is among the live, or -1
  int64_t *chosen, *ranked;      // candidates that stay, as they are met and from the best on
  int64_t *parent, *label, *child, *sibling;  // the tree

  static __host__ __device__ int64_t candidates(const CtcBeam<T>& k) { return k.beams * (k.classes + 1); }
  static __host__ __device__ int64_t nodes(const CtcBeam<T>& k) { return 1 + k.beams * k.steps; }
  static __host__ __device__ int64_t bytes(const CtcBeam<T>& k) {
    const int64_t numbers = 6 * k.beams + candidates(k);
    return (numbers * static_cast<int64_t>(sizeof(T)) + 7) / 8 * 8 + (4 * k.beams + 4 * nodes(k)) * 8;
  }

  __device__ Beam(const CtcBeam<T>& k, char* base) {
    T* numbers = reinterpret_cast<T*>(base);
    const int64_t bytes = (6 * k.beams + candidates(k)) * static_cast<int64_t>(sizeof(T));
    int64_t* whole = reinterpret_cast<int64_t*>(base + (bytes + 7) / 8 * 8);
    blank = numbers, other = blank + k.beams, total = other + k.beams, stay_blank = total + k.beams;
    stay_other = stay_blank + k.beams, kept = stay_other + k.beams, score = kept + k.beams;
    node = whole, parent_place = node + k.beams, chosen = parent_place + k.beams, ranked = chosen + k.beams;
    parent = ranked + k.beams, label = parent + nodes(k), child = label + nodes(k), sibling = child + nodes(k);
  }
};

struct Selection {
  int counts[kValues];
  int of_warps[kWarps];
  int digit, above;  // the digit that the last score that stays has, and how many have a higher one
};

// Which keys stay.
template <class T>
struct Limit {
  Key<T> last;      // the smallest key that stays
  int64_t of_last;  // how many that have it
};

template <class T>
__device__ Limit<T> find_limit(const T* score, int64_t n, int64_t most, Selection& shared) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  Key<T> prefix = 0;
  for (int shift = 8 * sizeof(T) - 8; shift >= 0; shift -= 8) {
    shared.counts[threadIdx.x] = 0;
    __syncthreads();
    for (int64_t i = threadIdx.x; i < n; i += kBlock) {
      const Key<T> key = key_of(score[i]);
      const bool same = shift + 8 == 8 * sizeof(T) || key >> (shift + 8) % (8 * sizeof(T)) == prefix;
      if (key != 0 && same) atomicAdd(&shared.counts[(key >> shift) & (kValues - 1)], 1);
    }
    __syncthreads();
    // Keys with this thread's digit or a higher one.
    const int own = shared.counts[threadIdx.x];
    int from = own;
    for (int distance = 1; distance < kWarp; distance *= 2) {
      const int later = __shfl_down_sync(0xffffffffu, from, distance);
      if (lane + distance < kWarp) from += later;
    }
    if (lane == 0) shared.of_warps[warp] = from;
    if (threadIdx.x == 0) shared.digit = shared.above = 0;
    __syncthreads();
    for (int w = warp + 1; w < kWarps; ++w) from += shared.of_warps[w];
    if (from >= most && from - own < most) {
      shared.digit = static_cast<int>(threadIdx.x);
      shared.above = from - own;
    }
    if (shift == 8 * static_cast<int>(sizeof(T)) - 8 && threadIdx.x == 0 && from < most) shared.above = -1;
    __syncthreads();
    if (shared.above < 0) return {1, n};  // so few that all stay
    prefix = prefix << 8 | static_cast<Key<T>>(shared.digit);
    most -= shared.above;
  }
  return {prefix, most};
}

template <class T>
__device__ __forceinline__ T spoken(const CtcBeam<T>& k, int64_t last, int64_t c) {
  return k.language == nullptr ? T{0} : k.language[(last < 0 ? k.blank : last) * k.classes + c];
}

// What live prefix b passes to the one with c behind it.
template <class T>
__device__ __forceinline__ T passed(const CtcBeam<T>& k, const Beam<T>& s, int64_t b, int64_t c, const T* log_probs) {
  const int64_t last = s.label[s.node[b]];
  return (last == c ? s.blank[b] : s.total[b]) + log_probs[c] + spoken(k, last, c);
}

// All candidates' scores.
template <class T>
__device__ void score_all(const CtcBeam<T>& k, const Beam<T>& s, int64_t live, const T* log_probs) {
  for (int64_t b = threadIdx.x; b < live; b += kBlock) {
    const int64_t last = s.label[s.node[b]], before = s.parent[s.node[b]];
    int64_t place = -1;
    for (int64_t a = 0; last >= 0 && a < live; ++a)
      if (s.node[a] == before) place = a;
    T other = last < 0 ? never<T>() : s.other[b] + log_probs[last];
    if (place >= 0) other = log_add(other, passed(k, s, place, last, log_probs));
    s.parent_place[b] = place;
    s.stay_blank[b] = s.total[b] + log_probs[k.blank];
    s.stay_other[b] = other;
    s.score[b] = log_add(s.stay_blank[b], other);
  }
  for (int64_t i = threadIdx.x; i < live * k.classes; i += kBlock) {
    const int64_t b = quotient(i, k.classes), c = i - b * k.classes;
    s.score[live + i] = c == k.blank ? never<T>() : passed(k, s, b, c, log_probs);
  }
  __syncthreads();
  for (int64_t b = threadIdx.x; b < live; b += kBlock)
    if (s.parent_place[b] >= 0) s.score[live + s.parent_place[b] * k.classes + s.label[s.node[b]]] = never<T>();
  __syncthreads();
}

// The candidates that stay, into s.ranked and s.kept from the best on. Returns how many.
template <class T>
__device__ int64_t choose(const CtcBeam<T>& k, const Beam<T>& s, int64_t candidates, Selection& shared) {
  const Limit<T> limit = find_limit(s.score, candidates, k.beams, shared);
  int64_t count = 0, equal = 0;
  for (int64_t first = 0; first < candidates; first += kBlock) {
    const int64_t i = first + threadIdx.x;
    const Key<T> key = i < candidates ? key_of(s.score[i]) : 0;
    int all;
    const bool is_last = key == limit.last;
    const int64_t rank = equal + rank_in_block(is_last, shared.of_warps, all);
    equal += all;
    const bool stays = key > limit.last || (is_last && rank < limit.of_last);
    const int64_t place = count + rank_in_block(stays, shared.of_warps, all);
    count += all;
    if (stays) s.chosen[place] = i;
  }
  __syncthreads();
  for (int64_t i = threadIdx.x; i < count; i += kBlock) {
    const T own = s.score[s.chosen[i]];
    int64_t rank = 0;
    for (int64_t j = 0; j < count; ++j) {
      const T x = s.score[s.chosen[j]];
      rank += x > own || (x == own && j < i);
    }
    s.ranked[rank] = s.chosen[i];
    s.kept[rank] = own;
  }
  __syncthreads();
  return count;
}

// The chosen ones become the live ones, their nodes by way of s.chosen. Returns how many nodes there are then.
template <class T>
__device__ int64_t succeed(const CtcBeam<T>& k, const Beam<T>& s, int64_t live, int64_t count, int64_t nodes,
                           Selection& shared) {
  for (int64_t first = 0; first < count; first += kBlock) {
    const int64_t i = first + threadIdx.x;
    int64_t found = -1, from = 0, c = 0;
    if (i < count) {
      const int64_t candidate = s.ranked[i];
      if (candidate < live) {
        found = s.node[candidate];
      } else {
        from = quotient(candidate - live, k.classes);
        c = candidate - live - from * k.classes;
        for (found = s.child[s.node[from]]; found >= 0 && s.label[found] != c;) found = s.sibling[found];
      }
    }
    int all;
    const bool is_new = i < count && found < 0;
    const int64_t fresh = nodes + rank_in_block(is_new, shared.of_warps, all);
    nodes += all;
    if (is_new) {
      const int64_t parent = s.node[from];
      s.parent[fresh] = parent;
      s.label[fresh] = c;
      s.child[fresh] = -1;
      using Word = unsigned long long;
      s.sibling[fresh] =
          static_cast<int64_t>(atomicExch(reinterpret_cast<Word*>(s.child + parent), static_cast<Word>(fresh)));
    }
    if (i < count) s.chosen[i] = is_new ? fresh : found;
    __syncthreads();
  }
  for (int64_t i = threadIdx.x; i < count; i += kBlock) {
    const int64_t candidate = s.ranked[i];
    const bool stayed = candidate < live;
    s.node[i] = s.chosen[i];
    s.blank[i] = stayed ? s.stay_blank[candidate] : never<T>();
    s.other[i] = stayed ? s.stay_other[candidate] : s.kept[i];
    s.total[i] = s.kept[i];
  }
  __syncthreads();
  return nodes;
}

template <class T>
__device__ void write_path(const CtcBeam<T>& k, const Beam<T>& s, int64_t live, int64_t n, int64_t path) {
  int64_t* const labels = k.labels + (n * k.paths + path) * k.steps;
  int64_t count = 0;
  if (path < live)
    for (int64_t at = s.node[path]; at > 0; at = s.parent[at]) ++count;
  for (int64_t t = count; t < k.steps; ++t) labels[t] = -1;
  for (int64_t t = count, at = count > 0 ? s.node[path] : 0; t > 0; at = s.parent[at]) labels[--t] = s.label[at];
  k.label_counts[n * k.paths + path] = count;
  k.scores[n * k.paths + path] = path < live ? s.total[path] : never<T>();
}

template <class T>
__global__ void __launch_bounds__(kBlock) search_prefixes(CtcBeam<T> k, char* scratch) {
  __shared__ Selection shared;
  const Beam<T> s(k, scratch + blockIdx.x * Beam<T>::bytes(k));
  for (int64_t n = blockIdx.x; n < k.batch; n += gridDim.x) {
    if (threadIdx.x == 0) {
      s.parent[0] = s.label[0] = s.child[0] = s.sibling[0] = -1;
      s.node[0] = 0;
      s.blank[0] = s.total[0] = 0;
      s.other[0] = never<T>();
    }
    __syncthreads();
    int64_t live = 1, nodes = 1;
    const int64_t frames = k.input_lengths[n];
    for (int64_t t = 0; t < frames && t < k.steps; ++t) {
      score_all(k, s, live, k.log_probs + (t * k.batch + n) * k.classes);
      const int64_t count = choose(k, s, live * (k.classes + 1), shared);
      nodes = succeed(k, s, live, count, nodes, shared);
      live = count;
    }
    for (int64_t path = threadIdx.x; path < k.paths; path += kBlock) write_path(k, s, live, n, path);
    __syncthreads();
  }
}

}  // namespace

template <class T>
void ctc_beam(const CtcBeam<T>& k) {
  if (k.batch == 0) return;
  constexpr int64_t kMostScratch = int64_t{1} << 30;
  const int64_t bytes = Beam<T>::bytes(k), at_once = kMostScratch / bytes;
  const int64_t blocks = blocks_for(at_once < 1 ? 1 : at_once < k.batch ? at_once : k.batch);
  const StreamScratch scratch(static_cast<size_t>(blocks * bytes), sizeof(T));
  launch("ctc_beam", search_prefixes<T>, static_cast<unsigned>(blocks), kBlock, 0, k, scratch.as<char>());
}

EINKORN_INSTANTIATE(ctc_beam, CtcBeam)

}  // namespace einkorn::cuda
