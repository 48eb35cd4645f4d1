// Random numbers on the GPU: the words of the CPU's stream, bit for bit, a counter of four words for each thread.
//
//   counter   | w0 w1 w2 w3 |      float   4 numbers, one 16-byte store      dropout: 4 elements of either type
//                                  double  2 numbers, one 16-byte store
//
// Roofline: uniform and normal write 4 bytes an element, dropout reads and writes 8. Ten rounds are 60 integer instructions for
// 4 words, 15 an element: at 3.0 TB/s (0.75 T elements/s) 11 T instructions/s of the 33 T that an H100 issues. 256 MB: 0.09 ms.
//
// uniform and dropout equal the CPU's results to the last bit (one rounding, as a fused multiply-add has it); normal numbers go
// through the device's log, sin and cos and may differ in the last place.
// Plan: uniform_kernel, normal_kernel, dropout_kernel: 40 registers, 6 blocks of 256 threads an SM

#include <math.h>

#include "kernels/cuda_pack.h"
#include "kernels/cuda_philox.h"
#include "kernels/instantiate.h"
#include "kernels/random.h"

namespace einkorn::cuda {

namespace {

template <class T>
constexpr int kEach = 16 / sizeof(T);  // numbers of a counter

// out[counter * kEach ...] = pack, as much of it as there is.
template <class T>
__device__ __forceinline__ void store_pack(T* out, int64_t counter, int64_t size, bool aligned,
                                           const Pack<T, kEach<T>>& pack) {
  const int64_t first = counter * kEach<T>;
  if (aligned && first + kEach<T> <= size) {
    *reinterpret_cast<Pack<T, kEach<T>>*>(out + first) = pack;
    return;
  }
  for (int j = 0; j < kEach<T> && first + j < size; ++j) out[first + j] = pack.v[j];
}

template <class T>
__global__ void uniform_kernel(Uniform<T> k, bool aligned) {
  const T range = (k.high - k.low) * step<T>();
  grid_stride((k.size + kEach<T> - 1) / kEach<T>, [&](int64_t c) {
    const Words words = philox(k.seed, k.offset + static_cast<uint64_t>(c));
    Pack<T, kEach<T>> pack;
    for (int j = 0; j < kEach<T>; ++j) pack.v[j] = ::fma(draw<T>(words, j), range, k.low);
    store_pack(k.out, c, k.size, aligned, pack);
  });
}

template <class T>
__global__ void normal_kernel(Normal<T> k, bool aligned) {
  grid_stride((k.size + kEach<T> - 1) / kEach<T>, [&](int64_t c) {
    const Words words = philox(k.seed, k.offset + static_cast<uint64_t>(c));
    Pack<T, kEach<T>> pack;
    for (int j = 0; j < kEach<T>; j += 2) {
      const T radius = ::sqrt(::log((draw<T>(words, j) + 1) * step<T>()) * -2);
      T sine, cosine;
      sin_cos_turn(draw<T>(words, j + 1), sine, cosine);
      pack.v[j] = ::fma(cosine * radius, k.std, k.mean);
      pack.v[j + 1] = ::fma(sine * radius, k.std, k.mean);
    }
    store_pack(k.out, c, k.size, aligned, pack);
  });
}

template <class T>
__global__ void dropout_kernel(Dropout<T> k, int32_t threshold, T scale, bool aligned) {
  constexpr int kPacks = 4 / kEach<T>;
  grid_stride((k.size + 3) / 4, [&](int64_t c) {
    const Words words = philox(k.seed, k.offset + static_cast<uint64_t>(c));
    if (aligned && (c + 1) * 4 <= k.size) {
      for (int p = 0; p < kPacks; ++p) {
        Pack<T, kEach<T>> pack = reinterpret_cast<const Pack<T, kEach<T>>*>(k.x)[c * kPacks + p];
        for (int j = 0; j < kEach<T>; ++j)
          pack.v[j] = static_cast<int32_t>(words.w[p * kEach<T> + j] >> 8) >= threshold ? pack.v[j] * scale : T{0};
        reinterpret_cast<Pack<T, kEach<T>>*>(k.out)[c * kPacks + p] = pack;
      }
      return;
    }
    for (int j = 0; j < 4 && c * 4 + j < k.size; ++j)
      k.out[c * 4 + j] = static_cast<int32_t>(words.w[j] >> 8) >= threshold ? k.x[c * 4 + j] * scale : T{0};
  });
}

// Durstenfeld's swaps, kSwaps at a time. The swap of step k may be made when no earlier one that is still to be made shares a place
// with it: each waiting swap claims both of its places by an atomic minimum, and those that hold both are made. The
// result is that of one after the other; a chain of swaps that depend on each other is a few long (Shun et al. 2015).
constexpr int kSwaps = 1024;

__global__ void start_permutation(Permutation k, int32_t* claims) {
  grid_stride(k.size, [&](int64_t i) {
    k.out[i] = i;
    claims[i] = kSwaps;
  });
}

__global__ void __launch_bounds__(kSwaps) permute(Permutation k, int32_t* claims) {
  __shared__ int waiting;
  const int me = static_cast<int>(threadIdx.x);
  for (int64_t first = 0; first < k.size - 1; first += kSwaps) {
    const int64_t step = first + me, a = k.size - 1 - step;
    bool waits = step < k.size - 1;
    int64_t b = 0;
    if (waits) {
      const Words words = philox(k.seed, k.offset + static_cast<uint64_t>(step) / 4);
      b = static_cast<int64_t>(words.w[step % 4] * static_cast<uint64_t>(a + 1) >> 32);
    }
    for (;;) {
      if (me == 0) waiting = 0;
      __syncthreads();
      if (waits) {
        atomicAdd(&waiting, 1);
        atomicMin(claims + a, me);
        atomicMin(claims + b, me);
      }
      __syncthreads();
      const bool all_made = waiting == 0, owns_a = waits && claims[a] == me, owns_b = waits && claims[b] == me;
      __syncthreads();
      if (all_made) break;
      if (owns_a) claims[a] = kSwaps;
      if (owns_b && b != a) claims[b] = kSwaps;
      if (owns_a && owns_b) {
        const int64_t kept = k.out[a];
        k.out[a] = k.out[b];
        k.out[b] = kept;
        waits = false;
      }
      __syncthreads();
    }
  }
}

}  // namespace

template <class T>
void uniform(const Uniform<T>& k) {
  launch_over("uniform", uniform_kernel<T>, (k.size + kEach<T> - 1) / kEach<T>, k, is_aligned(k.out, 16));
}

template <class T>
void normal(const Normal<T>& k) {
  launch_over("normal", normal_kernel<T>, (k.size + kEach<T> - 1) / kEach<T>, k, is_aligned(k.out, 16));
}

template <class T>
void dropout(const Dropout<T>& k) {
  const auto threshold = static_cast<int32_t>(::ceil(k.p * 0x1p24));  // u >= p says the same of whole numbers
  const T scale = k.p < 1 ? static_cast<T>(1 / (1 - k.p)) : T{0};
  launch_over("dropout", dropout_kernel<T>, (k.size + 3) / 4, k, threshold, scale,
              is_aligned(k.out, 16) && is_aligned(k.x, 16));
}

void permutation(const Permutation& k) {
  const StreamScratch claims(static_cast<size_t>(k.size) * sizeof(int32_t));
  launch_over("permutation", start_permutation, k.size, k, claims.as<int32_t>());
  if (k.size > 1) launch("permutation", permute, 1, kSwaps, 0, k, claims.as<int32_t>());
}

EINKORN_INSTANTIATE(uniform, Uniform)
EINKORN_INSTANTIATE(normal, Normal)
EINKORN_INSTANTIATE(dropout, Dropout)

}  // namespace einkorn::cuda
