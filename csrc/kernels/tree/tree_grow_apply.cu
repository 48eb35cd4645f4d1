// Around the growing of trees on the GPU: codes by row, the leaf of a row, scores. A thread a row, or an element.
//
// Roofline: code_rows a byte read and written an element, 1,000,000 x 28 60 MB, 0.02 ms at 3.0 TB/s; tree_update 20 bytes a row in float32;
// leaves of rows a byte of codes a level, at random places of L2: 6 levels of 1,000,000 rows 32 MB of sectors each, 0.06 ms.
// Plan: turn_codes, leaves_of_rows, add_values: 40 registers, 6 blocks of 256 threads an SM

#include "kernels/cuda_launch.h"
#include "kernels/instantiate.h"
#include "kernels/tree/tree_grow.h"

namespace einkorn::cuda {

namespace {

template <class Code>
constexpr int32_t kMissing = sizeof(Code) == 1 ? 255 : 65535;

// *bad becomes the least place whose code does not fit.
template <class Code>
__global__ void __launch_bounds__(kBlock) turn_codes(CodeRows k, unsigned long long* bad) {
  grid_stride(k.rows * k.width, [&](int64_t at) {
    const int64_t r = quotient(at, k.width), f = at - r * k.width;
    Code* const to = static_cast<Code*>(k.by_row) + at;
    if (f >= k.n) {
      *to = 0;
      return;
    }
    const int32_t code = static_cast<const Code*>(k.codes)[f * k.rows + r], bins = k.n_bins[f];
    *to = static_cast<Code>(code < bins ? code : bins);
    if (code >= bins && code != kMissing<Code>) atomicMin(bad, static_cast<unsigned long long>(f * k.rows + r));
  });
}

__global__ void clear_place(unsigned long long* bad) {
  if (threadIdx.x == 0) *bad = ~0ull;
}

template <class Code>
__global__ void __launch_bounds__(kBlock) leaves_of_rows(TreeApplyCodes k) {
  grid_stride(k.rows, [&](int64_t r) {
    int32_t node = 0;
    while (k.feature[node] >= 0) {
      const int32_t f = k.feature[node], c = static_cast<const Code*>(k.codes)[f * k.rows + r];
      const uint32_t* const set = k.categories + node * k.words;
      const bool left = c == kMissing<Code>     ? k.missing_left[node] != 0
                        : k.categorical[f] != 0 ? c / 32 < k.words && (set[c / 32] >> (c % 32) & 1) != 0
                                                : c <= k.code[node];
      node = left ? k.left[node] : k.right[node];
    }
    k.leaf[r] = node;
  });
}

template <class T>
__global__ void __launch_bounds__(kBlock) add_values(TreeUpdate<T> k) {
  grid_stride(k.rows, [&](int64_t r) {
    T* const score = k.scores + r * k.stride;
    *score = static_cast<T>(static_cast<double>(*score) + k.value[k.leaf[r]]);
  });
}

}  // namespace

void code_rows(const CodeRows& k) {
  const char* const name = "code_rows";
  const StreamScratch place(sizeof(unsigned long long));
  unsigned long long* const bad = place.as<unsigned long long>();
  launch(name, clear_place, 1, 32, 0, bad);
  launch_over(name, k.code_bytes == 1 ? turn_codes<uint8_t> : turn_codes<uint16_t>, k.rows * k.width, k, bad);
  // k.bad is the CPU's; what is no place is -1 there.
  check(cudaMemcpyAsync(k.bad, bad, sizeof *k.bad, cudaMemcpyDeviceToHost, current_stream()), name);
  check(cudaStreamSynchronize(current_stream()), name);
}

void tree_apply_codes(const TreeApplyCodes& k) {
  launch_over("tree_apply_codes", k.code_bytes == 1 ? leaves_of_rows<uint8_t> : leaves_of_rows<uint16_t>, k.rows, k);
}

template <class T>
void tree_update(const TreeUpdate<T>& k) {
  launch_over("tree_update", add_values<T>, k.rows, k);
}

EINKORN_INSTANTIATE(tree_update, TreeUpdate)

}  // namespace einkorn::cuda
