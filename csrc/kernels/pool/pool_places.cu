// Maxima over windows that are told one by one, and values taken from and put to places of a plane, on the GPU.
//
// Windows and gathering: a thread an output. Scattering keeps the order of i: a put place gets the last i that names it, found by an
// atomic maximum on scratch, in any order the same. Added numbers go in rounds, a block a plane: of those that wait for a place the first
// one claims it by an atomic minimum and is added. There are as many rounds as windows share a maximum.
//
// Roofline: a gather 12 bytes an element (float32), 256 MB of them 0.09 ms at 3.0 TB/s; window maxima read x about once, from L2
// what windows share.
// Plan: window_maxima: 64 registers, 4 blocks of 256 threads an SM

#include "kernels/cuda_launch.h"
#include "kernels/instantiate.h"
#include "kernels/pool/pool.h"

namespace einkorn::cuda {

namespace {

struct Range {
  int64_t begin, end;
};

__device__ __forceinline__ Range window_at(const int32_t* begin, const int32_t* end, int64_t i, int64_t size) {
  const int64_t first = begin[i], last = end[i];
  return {first > 0 ? first : 0, last < size ? last : size};
}

template <class T>
__global__ void window_maxima(WindowMax<T> k) {
  const int64_t plane = k.size[0] * k.size[1] * k.size[2], row = k.out_size[0] + k.out_size[1] + k.out_size[2];
  grid_stride(k.planes * k.out_size[0] * k.out_size[1] * k.out_size[2], [&](int64_t i) {
    const int64_t line = quotient(i, k.out_size[2]), ow = i - line * k.out_size[2];
    const int64_t slice = quotient(line, k.out_size[1]), oh = line - slice * k.out_size[1];
    const int64_t p = quotient(slice, k.out_size[0]), od = slice - p * k.out_size[0];
    const int32_t* const begin = k.begin + (k.own_windows ? p * row : 0);
    const int32_t* const end = k.end + (k.own_windows ? p * row : 0);
    const Range d = window_at(begin, end, od, k.size[0]);
    const Range h = window_at(begin, end, k.out_size[0] + oh, k.size[1]);
    const Range w = window_at(begin, end, k.out_size[0] + k.out_size[1] + ow, k.size[2]);
    const T* const x = k.x + p * plane;
    T largest = -static_cast<T>(INFINITY);
    int64_t place = -1;
    for (int64_t z = d.begin; z < d.end; ++z)
      for (int64_t j = h.begin; j < h.end; ++j)
        for (int64_t c = w.begin; c < w.end; ++c) {
          const int64_t at = (z * k.size[1] + j) * k.size[2] + c;
          const T value = x[at];
          if (place < 0 || value > largest || value != value) largest = value, place = at;
        }
    k.out[i] = largest;
    if (k.indices != nullptr) k.indices[i] = static_cast<int32_t>(place);
  });
}

template <class T>
__global__ void gather_places(PoolGather<T> k) {
  grid_stride(k.planes * k.count, [&](int64_t i) {
    const int32_t at = k.indices[i];
    k.out[i] = at >= 0 && at < k.size ? k.x[quotient(i, k.count) * k.size + at] : T{0};
  });
}

__global__ void clear_last(int32_t* last, int64_t size) {
  grid_stride(size, [&](int64_t i) { last[i] = -1; });
}

// last[p, place] = the last i that names it, or -1.
template <class T>
__global__ void find_last(PoolScatter<T> k, int32_t* last) {
  grid_stride(k.planes * k.count, [&](int64_t i) {
    const int64_t p = quotient(i, k.count);
    const int32_t at = k.indices[i];
    if (at >= 0 && at < k.size) atomicMax(last + p * k.size + at, static_cast<int32_t>(i - p * k.count));
  });
}

template <class T>
__global__ void put_last(PoolScatter<T> k, const int32_t* last) {
  grid_stride(k.planes * k.size,
              [&](int64_t i) { k.out[i] = last[i] < 0 ? T{0} : k.x[quotient(i, k.size) * k.count + last[i]]; });
}

template <class T>
__global__ void __launch_bounds__(kBlock) add_in_order(PoolScatter<T> k, int32_t* all_claims, int32_t* all_added) {
  __shared__ int waiting;
  for (int64_t p = blockIdx.x; p < k.planes; p += gridDim.x) {
    T* const out = k.out + p * k.size;
    int32_t* const claims = all_claims + p * k.size;  // the number that is next at a place
    int32_t* const added = all_added + p * k.size;    // the last one that was added there
    const auto for_numbers = [&](const auto& body) {
      for (int64_t i = threadIdx.x; i < k.count; i += kBlock) {
        const int32_t at = k.indices[p * k.count + i];
        if (at >= 0 && at < k.size) body(static_cast<int32_t>(i), at);
      }
    };
    for (int64_t i = threadIdx.x; i < k.size; i += kBlock) out[i] = 0, claims[i] = INT32_MAX, added[i] = -1;
    for (;;) {
      if (threadIdx.x == 0) waiting = 0;
      __syncthreads();
      bool any = false;
      for_numbers([&](int32_t i, int32_t at) {
        if (i <= added[at]) return;
        atomicMin(claims + at, i);
        any = true;
      });
      if (any) atomicOr(&waiting, 1);
      __syncthreads();
      const bool done = waiting == 0;
      for_numbers([&](int32_t i, int32_t at) {
        if (claims[at] != i) return;
        out[at] += k.x[p * k.count + i];
        added[at] = i;
      });
      __syncthreads();
      if (done) break;
      for_numbers([&](int32_t i, int32_t at) {
        if (added[at] == i) claims[at] = INT32_MAX;
      });
      __syncthreads();
    }
  }
}

}  // namespace

template <class T>
void window_max(const WindowMax<T>& k) {
  launch_over("window_max", window_maxima<T>, k.planes * k.out_size[0] * k.out_size[1] * k.out_size[2], k);
}

template <class T>
void pool_gather(const PoolGather<T>& k) {
  launch_over("pool_gather", gather_places<T>, k.planes * k.count, k);
}

template <class T>
void pool_scatter(const PoolScatter<T>& k) {
  const char* const name = "pool_scatter";
  const int64_t places = k.planes * k.size;
  const StreamScratch scratch(static_cast<size_t>(k.add ? 2 * places : places) * sizeof(int32_t));
  int32_t* const last = scratch.as<int32_t>();
  if (k.add) {
    launch_over(name, add_in_order<T>, k.planes * kBlock, k, last, last + places);
    return;
  }
  launch_over(name, clear_last, places, last, places);
  launch_over(name, find_last<T>, k.planes * k.count, k, last);
  launch_over(name, put_last<T>, places, k, last);
}

EINKORN_INSTANTIATE(window_max, WindowMax)
EINKORN_INSTANTIATE(pool_gather, PoolGather)
EINKORN_INSTANTIATE(pool_scatter, PoolScatter)

}  // namespace einkorn::cuda
