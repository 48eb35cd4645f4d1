// Forests on the GPU: a block grows a tree, many trees side by side (tree_forest_cuda.h has what a block does with a node).
//
// A tree's nodes are taken in the CPU's order, one after the other, because its random words are: how many a node draws shows only when its features
// were looked at. So the trees, and the rows and bins of a node, are what goes side by side, and a forest of fewer trees than the card has
// multiprocessors leaves some of them idle.
//
// Roofline: a node of n rows takes some 4 cycles a row and feature, and 5 us a feature however few rows it has: 100,000 x 28 with 5 features a node, fully
// grown, 40 ms a tree for its rows and 0.6 s for its 25,000 small nodes; 264 trees at once.
// Plan: grow_trees: 128 registers, 2 blocks of 256 threads an SM

#include "kernels/cuda_philox.h"
#include "kernels/tree/tree_forest_cuda.h"

namespace einkorn::cuda {

namespace {

constexpr int64_t kTreesAtOnce = 264;                 // two a multiprocessor of the largest cards
constexpr int64_t kForestMemory = int64_t{4} << 30;   // bytes, or what one tree takes
constexpr uint64_t kNodeCounter = uint64_t{1} << 40;  // where the words of the nodes begin

// The tree's words, in the order in which they are asked for; every thread has the same.
struct Draws {
  uint64_t seed, used = 0;

  __device__ uint32_t word() {
    const Words words = philox(seed, kNodeCounter + used / 4);
    const int lane = static_cast<int>(used++ % 4);
    return lane == 0 ? words.w[0] : lane == 1 ? words.w[1] : lane == 2 ? words.w[2] : words.w[3];
  }
  __device__ int64_t below(int64_t n) {
    return static_cast<int64_t>(static_cast<uint64_t>(word()) * static_cast<uint64_t>(n) >> 32);
  }
};

// One tree. All threads of the block run through this together, with the same numbers; what they share is written by the first of them,
// between barriers.
template <class Code, class Statistic>
struct Grower {
  const GrowForest& k;
  const TreeMemory& m;
  NodeShared& shared;
  const int64_t tree, first;  // first: of the tree's places in the outputs
  Statistic statistic;
  Node<Code, Statistic> node_;
  Draws draws;
  int64_t nodes = 0, reserved = 1;
  double total = 0;  // weight of the tree's rows

  __device__ Grower(const GrowForest& args, const TreeMemory& memory, NodeShared& shared_, int64_t which)
      : k(args),
        m(memory),
        shared(shared_),
        tree(which),
        first(which * args.capacity),
        statistic(args, memory),
        node_(args, memory, shared_, statistic),
        draws{static_cast<uint64_t>(args.seeds[which])} {}

  static __device__ bool leads() { return threadIdx.x == 0; }

  __device__ void grow() {
    const int64_t n = take_rows();
    if (leads()) k.node_count[tree] = n < 0 ? int64_t{kTooHeavy} : 0;
    if (n <= 0) return;
    for (int64_t f = threadIdx.x; f < k.features; f += kBlock) m.features[f] = static_cast<int32_t>(f);
    __syncthreads();
    const bool fits = k.max_leaf_nodes > 0 ? best_first(n) : depth_first(n);
    if (leads()) k.node_count[tree] = fits ? nodes : int64_t{kNoRoom};
  }

 private:
  // The rows of weight above 0, in order, or -1 if whole counts add up to too much.
  __device__ int64_t take_rows() {
    int64_t n = 0, sum = 0;
    for (int64_t begin = 0; begin < k.rows; begin += kBlock) {
      const int64_t r = begin + threadIdx.x;
      const int64_t times = r >= k.rows ? 0 : k.counts != nullptr ? k.counts[tree * k.rows + r] : 1;
      ForestRow row = {static_cast<int32_t>(r), 0, 0};
      if (times > 0) row = Statistic::make(k, tree, r, times);
      sum += times;
      int taken;
      const int rank = rank_in_block(row.weight > 0, shared.of_warps, taken);
      if (row.weight > 0) m.rows[n + rank] = row;
      n += taken;
    }
    sum = summed<kBlock>(sum);
    __syncthreads();
    return sum >= int64_t{1} << 31 ? -1 : n;
  }

  __device__ bool depth_first(int64_t n) {
    int64_t waiting = 0;
    push(waiting++, {0, n, 0, -1, 0, 0, {}});
    while (waiting > 0) {
      const Waiting here = at(--waiting);
      const int64_t node = add_node(here);
      Split split;
      if (!choose(here, node, split)) continue;
      if (!reserve()) return false;
      const int64_t n_left = divide(here, node, split);
      const int32_t parent = static_cast<int32_t>(node), depth = here.depth + 1;
      push(waiting++, {here.start + n_left, here.n - n_left, depth, parent, 0, 0, {}});
      push(waiting++, {here.start, n_left, depth, parent, 1, 0, {}});
    }
    return true;
  }

  // The queue is a heap: the largest gain on top, of equal ones the older node.
  __device__ bool best_first(int64_t n) {
    int64_t waiting = 0, leaves = 1;
    open({0, n, 0, -1, 0, 0, {}}, waiting);
    for (; waiting > 0 && leaves < k.max_leaf_nodes; ++leaves) {
      if (!reserve()) return false;
      const Waiting here = at(0);
      __syncthreads();
      if (leads()) sink(--waiting);
      waiting = shared_number(waiting);
      if (leads()) k.gain[first + here.node] = here.gain;
      const int64_t n_left = divide(here, here.node, here.split);
      open({here.start, n_left, here.depth + 1, here.node, 1, 0, {}}, waiting);
      open({here.start + n_left, here.n - n_left, here.depth + 1, here.node, 0, 0, {}}, waiting);
    }
    return true;
  }

  __device__ void open(Waiting w, int64_t& waiting) {
    const int64_t node = add_node(w);
    if (!choose(w, node, w.split)) return;
    w.node = static_cast<int32_t>(node);
    __syncthreads();
    if (leads()) {
      w.gain = k.gain[first + node];
      k.gain[first + node] = 0;  // until it is split
      int64_t i = waiting;
      m.queue[i] = w;
      for (; i > 0 && before(i, (i - 1) / 2); i = (i - 1) / 2) swap(i, (i - 1) / 2);
    }
    ++waiting;
    __syncthreads();
  }

  __device__ bool before(int64_t i, int64_t j) const {
    const double a = rounded_gain(m.queue[i].gain), b = rounded_gain(m.queue[j].gain);
    return a > b || (a == b && m.queue[i].node < m.queue[j].node);
  }
  __device__ void swap(int64_t i, int64_t j) const {
    const Waiting kept = m.queue[i];
    m.queue[i] = m.queue[j];
    m.queue[j] = kept;
  }
  // The last of the heap to its top, and down.
  __device__ void sink(int64_t waiting) const {
    m.queue[0] = m.queue[waiting];
    for (int64_t i = 0;;) {
      int64_t top = i;
      for (int64_t child = 2 * i + 1; child <= 2 * i + 2 && child < waiting; ++child)
        if (before(child, top)) top = child;
      if (top == i) return;
      swap(i, top);
      i = top;
    }
  }

  __device__ void push(int64_t place, const Waiting& w) const {
    if (leads()) m.queue[place] = w;
    __syncthreads();
  }
  __device__ Waiting at(int64_t place) const {
    const Waiting w = m.queue[place];
    __syncthreads();
    return w;
  }
  // The first thread's number, for all.
  __device__ int64_t shared_number(int64_t number) const {
    if (leads()) shared.number = number;
    __syncthreads();
    const int64_t said = shared.number;
    __syncthreads();
    return said;
  }

  // Room for two more nodes, if there is any.
  __device__ bool reserve() {
    reserved += 2;
    return reserved <= k.capacity;
  }

  // The next node, as a leaf.
  __device__ int64_t add_node(const Waiting& w) {
    const int64_t node = nodes++, i = first + node, outputs = k.classes > 0 ? k.classes : 1;
    node_.begin(w.start, w.n, k.value + i * outputs);
    if (node == 0) total = statistic.weight;
    if (!leads()) return node;
    if (w.node >= 0) (w.left != 0 ? k.left : k.right)[first + w.node] = static_cast<int32_t>(node);
    k.feature[i] = k.left[i] = k.right[i] = -1;
    k.threshold[i] = static_cast<double>(NAN);
    k.missing_left[i] = 0;
    k.gain[i] = 0;
    k.cover[i] = statistic.weight;
    k.count[i] = w.n;
    return node;
  }

  // Whether to split the node that was added last, and where.
  __device__ bool choose(const Waiting& w, int64_t node, Split& split) {
    if (statistic.pure || w.n < k.min_samples_split || w.n < 2 * k.min_samples_leaf) return false;
    if (k.max_depth >= 0 && w.depth >= k.max_depth) return false;
    if (statistic.weight < 2 * k.min_weight_leaf) return false;
    split = {-INFINITY, 0, -1, 0, 0, 0};
    look_at_features(split);
    if (split.feature < 0) return false;
    double gain = statistic.gain(split.score);
    if (k.criterion == ForestCriterion::entropy) gain *= 1.4426950408889634;
    if (!(gain > 0)) gain = 0;
    if (gain / total + 2.220446049250313e-16 < k.min_impurity_decrease) return false;
    if (leads()) k.gain[first + node] = gain;
    return true;
  }

  __device__ void look_at_features(Split& split) {
    const bool all = k.max_features >= k.features;
    int64_t seen = 0, constant = 0;
    for (int64_t i = 0; i < k.features && (seen < k.max_features || constant == seen); ++i, ++seen) {
      if (!all) {
        const int64_t j = i + draws.below(k.features - i);
        if (leads()) {
          const int32_t kept = m.features[i];
          m.features[i] = m.features[j];
          m.features[j] = kept;
        }
        __syncthreads();
      }
      const int32_t feature = m.features[i];
      if (!(k.random_thresholds ? draw_threshold(feature, split) : node_.try_feature(feature, split))) ++constant;
      __syncthreads();
    }
  }

  __device__ bool draw_threshold(int32_t feature, Split& split) {
    const CodeRange range = node_.range_of(feature);
    if (range.most < 0 || (range.least == range.most && !range.has_missing)) return false;
    const bool varies = range.least < range.most;
    node_.try_threshold(feature, range, varies ? draws.word() * 0x1p-32 : 0, split);
    return true;
  }

  // Writes the split down and moves the rows apart; how many went left.
  __device__ int64_t divide(const Waiting& w, int64_t node, const Split& split) {
    const int64_t left = node_.divide(w.start, w.n, split);
    if (leads()) {
      const int64_t i = first + node;
      k.feature[i] = split.feature;
      k.threshold[i] = split.threshold;
      k.missing_left[i] = static_cast<uint8_t>(split.has_missing != 0 ? split.missing_left : left > w.n - left);
    }
    return left;
  }
};

template <class Code, class Statistic>
__global__ void __launch_bounds__(kBlock) grow_trees(GrowForest k, TreeMemory memory, const int* bad) {
  __shared__ NodeShared shared;
  const TreeMemory own = memory.of(blockIdx.x);
  for (int64_t tree = blockIdx.x; tree < k.trees; tree += gridDim.x) {
    if (*bad != 0) {
      if (threadIdx.x == 0) k.node_count[tree] = kCodeOutOfRange;
    } else {
      Grower<Code, Statistic>(k, own, shared, tree).grow();
    }
    __syncthreads();
  }
}

__global__ void clear_flag(int* bad) {
  if (threadIdx.x == 0) *bad = 0;
}

template <class Code>
__global__ void __launch_bounds__(kBlock) find_bad_codes(GrowForest k, int* bad) {
  grid_stride(k.features * k.rows, [&](int64_t at) {
    const int64_t f = quotient(at, k.rows);
    const Code code = static_cast<const Code*>(k.codes)[at];
    // Counted from the missing code, which becomes 0.
    if (static_cast<Code>(code + 1) > k.offsets[f + 1] - k.offsets[f]) atomicOr(bad, 1);
  });
}

template <class Code>
void grow_codes(const GrowForest& k) {
  const char* const name = "grow_forest";
  const StreamScratch flag(sizeof(int));
  int* const bad = flag.as<int>();
  launch(name, clear_flag, 1, 32, 0, bad);
  launch_over(name, find_bad_codes<Code>, k.features * k.rows, k, bad);
  const int64_t bytes = static_cast<int64_t>(Carver::bytes_of<TreeMemory>(k)), fit = kForestMemory / bytes;
  int64_t blocks = k.trees < kTreesAtOnce ? k.trees : kTreesAtOnce;
  blocks = blocks < fit ? blocks : fit > 0 ? fit : 1;
  const StreamScratch scratch(static_cast<size_t>(bytes * blocks));
  Carver carver{scratch.as<char>()};
  TreeMemory memory(carver, k);
  memory.bytes = bytes;
  launch(name, k.classes > 0 ? grow_trees<Code, Classes> : grow_trees<Code, Moments>, static_cast<unsigned>(blocks),
         kBlock, 0, k, memory, bad);
}

// Four rows are drawn at a time. A count stays at 65535.
__global__ void __launch_bounds__(kBlock) draw_rows(BootstrapCounts k) {
  const int64_t counters = (k.draws + 3) / 4;
  grid_stride(k.trees * counters, [&](int64_t task) {
    const int64_t tree = quotient(task, counters), counter = task - tree * counters;
    const Words words = philox(static_cast<uint64_t>(k.seeds[tree]), static_cast<uint64_t>(counter));
    for (int j = 0; j < 4 && 4 * counter + j < k.draws; ++j) {
      const uint64_t row = static_cast<uint64_t>(words.w[j]) * static_cast<uint64_t>(k.rows) >> 32;
      unsigned short* const count = k.counts + tree * k.rows + static_cast<int64_t>(row);
      for (unsigned short seen = 0; seen < 65535;) {
        const unsigned short found = atomicCAS(count, seen, static_cast<unsigned short>(seen + 1));
        if (found == seen) break;
        seen = found;
      }
    }
  });
}

__global__ void __launch_bounds__(kBlock) clear_counts(BootstrapCounts k) {
  grid_stride(k.trees * k.rows, [&](int64_t i) { k.counts[i] = 0; });
}

}  // namespace

void grow_forest(const GrowForest& k) {
  if (k.trees == 0) return;
  k.code_bytes == 1 ? grow_codes<uint8_t>(k) : grow_codes<uint16_t>(k);
}

void bootstrap_counts(const BootstrapCounts& k) {
  launch_over("bootstrap_counts", clear_counts, k.trees * k.rows, k);
  launch_over("bootstrap_counts", draw_rows, k.trees * pieces_of(k.draws, 4), k);
}

}  // namespace einkorn::cuda
