// box_iou, box_nms and box_soft_nms on the GPU. A thread a pair of boxes; suppression has a block of threads for each group, which walks its boxes
// in tiles of kBlock:
//
//   | kept so far ... |  tile  |     1. each thread asks of its box whether a kept one covers it; those come through shared memory
//                                    2. the tile's boxes that still stand, one after the other, strike out later ones
//
// Lowering scores has a block a group too, whose threads each keep the scores of every kBlock-th box: they fold the highest score and its
// place, and lower what is left.
//
// Roofline: box_iou 16 FLOP and 4 bytes an element; 8192 x 8192 268 MB, 0.09 ms at 3.0 TB/s. box_nms 16 FLOP for each pair of a box and a
// kept one before it, and a barrier a box: 10,000 boxes of one group, 5,000 kept, about 1 ms; groups run beside each other. box_soft_nms
// as many steps as boxes are taken, each with a fold of the block: 10,000 boxes of one group about 100 ms.
// Plan: box_ratios, suppress_groups, lower_groups: 40 registers (double: 64), 4 blocks of 256 threads an SM

#include "kernels/boxes.h"
#include "kernels/cuda_group.h"
#include "kernels/cuda_launch.h"
#include "kernels/instantiate.h"

namespace einkorn::cuda {

namespace {

template <class T>
struct Box {
  T left, top, right, bottom;

  __device__ __forceinline__ T area() const { return (right - left) * (bottom - top); }
};

template <class T>
__device__ __forceinline__ Box<T> box_at(const T* boxes, int64_t i) {
  return {boxes[4 * i], boxes[4 * i + 1], boxes[4 * i + 2], boxes[4 * i + 3]};
}

// NaN of either is the result, as of minimum and maximum on the CPU's vectors.
template <class T>
__device__ __forceinline__ T least_of(T a, T b) {
  return a < b ? a : b;
}

template <class T>
__device__ __forceinline__ T ratio_of(const Box<T>& a, const Box<T>& b, BoxRatio kind) {
  const T wide = larger(least_of(b.right, a.right) - larger(b.left, a.left), T{0});
  const T high = larger(least_of(b.bottom, a.bottom) - larger(b.top, a.top), T{0});
  const T shared = wide * high, either = b.area() + a.area() - shared, plain = shared / either;
  if (kind == BoxRatio::plain) return plain;
  const T wide_around = larger(b.right, a.right) - least_of(b.left, a.left);
  const T high_around = larger(b.bottom, a.bottom) - least_of(b.top, a.top);
  if (kind == BoxRatio::generalized) {
    const T around = wide_around * high_around;
    return plain - (around - either) / around;
  }
  const T dx = (b.left + b.right - (a.left + a.right)) * static_cast<T>(0.5);
  const T dy = (b.top + b.bottom - (a.top + a.bottom)) * static_cast<T>(0.5);
  return plain - (dx * dx + dy * dy) / (wide_around * wide_around + high_around * high_around + static_cast<T>(1e-7));
}

template <class T>
__global__ void __launch_bounds__(kBlock) box_ratios(BoxIou<T> k) {
  grid_stride(k.n * k.m, [&](int64_t at) {
    const int64_t i = quotient(at, k.m), j = at - i * k.m;
    k.out[at] = ratio_of(box_at(k.a, i), box_at(k.b, j), k.ratio);
  });
}

// `kept` [n] has room for the places of the kept boxes of each group.
template <class T>
__global__ void __launch_bounds__(kBlock) suppress_groups(BoxNms<T> k, int64_t* kept) {
  __shared__ Box<T> tile[kBlock];
  __shared__ bool stands[kBlock];
  __shared__ int64_t more;
  const T threshold = static_cast<T>(k.threshold);
  const int t = static_cast<int>(threadIdx.x);
  for (int64_t group = blockIdx.x; group < k.groups; group += gridDim.x) {
    const int64_t begin = k.starts[group], end = k.starts[group + 1];
    int64_t count = 0;  // of the kept ones, whose places are kept[begin], kept[begin + 1], ...
    for (int64_t first = begin; first < end; first += kBlock) {
      const int size = static_cast<int>(end - first < kBlock ? end - first : kBlock);
      const Box<T> box = box_at(k.boxes, t < size ? first + t : first);
      bool standing = t < size;
      for (int64_t before = 0; before < count; before += kBlock) {
        const int many = static_cast<int>(count - before < kBlock ? count - before : kBlock);
        if (t < many) tile[t] = box_at(k.boxes, kept[begin + before + t]);
        __syncthreads();
        for (int j = 0; j < many && standing; ++j) standing = !(ratio_of(box, tile[j], BoxRatio::plain) > threshold);
        __syncthreads();
      }
      tile[t] = box;
      stands[t] = standing;
      __syncthreads();
      for (int j = 0; j + 1 < size; ++j) {
        if (stands[j] && t > j && standing && ratio_of(box, tile[j], BoxRatio::plain) > threshold) {
          standing = false;
          stands[t] = false;
        }
        __syncthreads();
      }
      if (t < size) k.keep[first + t] = standing;
      if (t == 0) {
        more = count;
        for (int j = 0; j < size; ++j)
          if (stands[j]) kept[begin + more++] = first + j;
      }
      __syncthreads();
      count = more;
      __syncthreads();
    }
  }
}

template <class T>
struct Ranked {
  T score;
  long long place;
};

// `left` [n] has room for the scores of the boxes that are left, minus infinity for the others.
template <class T>
__global__ void __launch_bounds__(kBlock) lower_groups(BoxSoftNms<T> k, T* left) {
  const T gone = -static_cast<T>(INFINITY), least = static_cast<T>(k.least), threshold = static_cast<T>(k.threshold);
  const T over = static_cast<T>(-1 / k.sigma);
  for (int64_t group = blockIdx.x; group < k.groups; group += gridDim.x) {
    const int64_t begin = k.starts[group], end = k.starts[group + 1];
    for (int64_t i = begin + threadIdx.x; i < end; i += kBlock) {
      const T score = k.scores[i];
      left[i] = score >= least ? score : gone;
      k.order[i] = -1;
      k.scores_out[i] = 0;
    }
    __syncthreads();
    for (int64_t taken = begin;; ++taken) {
      Ranked<T> best = {gone, 0};
      for (int64_t i = begin + threadIdx.x; i < end; i += kBlock)
        if (left[i] > best.score) best = {left[i], static_cast<long long>(i)};
      best = fold_group<kBlock>(
          best,
          [](const Ranked<T>& a, const Ranked<T>& b) {
            return a.score > b.score || (a.score == b.score && a.place < b.place) ? a : b;
          },
          [](const Ranked<T>& a, int distance) {
            return Ranked<T>{shuffle_xor(a.score, distance), shuffle_xor(a.place, distance)};
          });
      if (best.score == gone) break;
      const Box<T> box = box_at(k.boxes, best.place);
      for (int64_t i = begin + threadIdx.x; i < end; i += kBlock) {
        if (left[i] == gone) continue;
        const T iou = ratio_of(box, box_at(k.boxes, i), BoxRatio::plain);
        const T factor = k.gaussian ? ::exp(iou * iou * over) : iou > threshold ? 1 - iou : T{1};
        const T lowered = factor == factor ? left[i] * factor : left[i];
        left[i] = lowered >= least && i != best.place ? lowered : gone;
      }
      if (threadIdx.x == 0) {
        k.order[taken] = best.place;
        k.scores_out[taken] = best.score;
      }
    }
  }
}

}  // namespace

template <class T>
void box_iou(const BoxIou<T>& k) {
  launch_over("box_iou", box_ratios<T>, k.n * k.m, k);
}

template <class T>
void box_nms(const BoxNms<T>& k) {
  if (k.n == 0) return;
  const StreamScratch kept(static_cast<size_t>(k.n) * sizeof(int64_t));
  launch("box_nms", suppress_groups<T>, blocks_for(k.groups), kBlock, 0, k, kept.as<int64_t>());
}

template <class T>
void box_soft_nms(const BoxSoftNms<T>& k) {
  if (k.n == 0) return;
  const StreamScratch left(static_cast<size_t>(k.n) * sizeof(T), sizeof(T));
  launch("box_soft_nms", lower_groups<T>, blocks_for(k.groups), kBlock, 0, k, left.as<T>());
}

EINKORN_INSTANTIATE(box_iou, BoxIou)
EINKORN_INSTANTIATE(box_nms, BoxNms)
EINKORN_INSTANTIATE(box_soft_nms, BoxSoftNms)

}  // namespace einkorn::cuda
