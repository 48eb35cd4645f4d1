// Images for detection on the GPU: grey, resized, integral; sums and features of patches; groups of boxes. Tables of sums
// are in haar_cuda.h, the scan in haar_scan.cu.
//
//   features   a thread a feature of a patch; neighbouring threads have neighbouring patches, whose sums stand side by side
//   groups     one block: labels of alike boxes spread until nothing changes; the smallest box of a group names it, as on the CPU
//
// Roofline: haar_features 8 or 12 loads
// a value from L2 and 4 bytes written: 2,000 of 6,977 patches 56 MB, 0.02 ms. Whole numbers and single roundings: the CPU's bits.
// Plan: features_of_patches: 40 registers, 6 blocks of 256 threads an SM

#include <math.h>

#include "kernels/haar/haar_cuda.h"

namespace einkorn::cuda {

namespace {

__global__ void __launch_bounds__(kBlock) grey_pixels(RgbToGray k) {
  grid_stride(k.pixels, [&](int64_t i) {
    const uint8_t* const p = k.image + 3 * i;
    k.out[i] = static_cast<uint8_t>((9798 * p[0] + 19235 * p[1] + 3735 * p[2] + (1 << 14)) >> 15);
  });
}

__global__ void __launch_bounds__(kBlock) sums_of_patches(HaarPatchSums k) {
  const int64_t stride = k.width + 1;
  const double area = static_cast<double>((k.width - 2) * (k.height - 2));
  grid_stride(k.patches, [&](int64_t n) {
    const uint8_t* const image = k.image + n * k.height * k.width;
    int32_t* const sums = k.sums + n;
    int64_t sum = 0, square = 0;
    for (int64_t x = 0; x < stride; ++x) sums[x * k.patches] = 0;
    for (int64_t y = 0; y < k.height; ++y) {
      int32_t row = 0;
      sums[(y + 1) * stride * k.patches] = 0;
      for (int64_t x = 0; x < k.width; ++x) {
        const int32_t p = image[y * k.width + x];
        row += p;
        sums[((y + 1) * stride + x + 1) * k.patches] = sums[(y * stride + x + 1) * k.patches] + row;
        const bool inside = y > 0 && y < k.height - 1 && x > 0 && x < k.width - 1;
        sum += inside ? p : 0;
        square += inside ? p * p : 0;
      }
    }
    k.scale[n] = normalization(area, sum, square);
  });
}

__global__ void __launch_bounds__(kBlock) features_of_patches(HaarFeatures k) {
  const int64_t stride = k.width + 1;
  grid_stride(k.features * k.patches, [&](int64_t i) {
    const int64_t f = quotient(i, k.patches), n = i - f * k.patches;
    float value = 0;
    for (int r = 0; r < 3; ++r) {
      const float weight = k.weights[3 * f + r];
      if (r == 2 && weight == 0) break;
      const int32_t* const rect = k.rects + 12 * f + 4 * r;
      const int32_t* const a = k.sums + (rect[1] * stride + rect[0]) * k.patches + n;
      const int32_t* const c = a + rect[3] * stride * k.patches;
      const int64_t across = rect[2] * k.patches;
      const float part = __fmul_rn(static_cast<float>(a[0] - a[across] - c[0] + c[across]), weight);
      value = r == 0 ? part : __fadd_rn(value, part);
    }
    k.out[i] = __fmul_rn(value, k.scale[n]);
  });
}

// ---- groups ----

__device__ __forceinline__ bool near(int64_t a, int64_t b, double delta) {
  return static_cast<double>(a < b ? b - a : a - b) <= delta;
}

__device__ __forceinline__ bool alike(const int32_t* a, const int32_t* b, double eps) {
  const double delta = eps * static_cast<double>((a[2] < b[2] ? a[2] : b[2]) + (a[3] < b[3] ? a[3] : b[3])) * 0.5;
  return near(a[0], b[0], delta) && near(a[1], b[1], delta) &&
         near(int64_t{a[0]} + a[2], int64_t{b[0]} + b[2], delta) &&
         near(int64_t{a[1]} + a[3], int64_t{b[1]} + b[3], delta);
}

__device__ __forceinline__ int64_t mean(int64_t sum, float share) {
  return static_cast<int64_t>(::rintf(__fmul_rn(static_cast<float>(sum), share)));
}

__device__ __forceinline__ bool swallowed(const BoxGroup& a, const BoxGroup& b, double eps) {
  const int64_t dx = static_cast<int64_t>(::rint(static_cast<double>(b.width) * eps));
  const int64_t dy = static_cast<int64_t>(::rint(static_cast<double>(b.height) * eps));
  return a.x >= b.x - dx && a.y >= b.y - dy && a.x + a.width <= b.x + b.width + dx &&
         a.y + a.height <= b.y + b.height + dy && (b.boxes > (a.boxes > 3 ? a.boxes : 3) || a.boxes < 3);
}

__global__ void __launch_bounds__(kBlock)
    group_boxes(GroupRectangles k, int32_t* label, int32_t* next, BoxGroup* groups) {
  __shared__ bool changed;
  __shared__ int64_t strong;
  const int t = static_cast<int>(threadIdx.x);
  for (int64_t i = t; i < k.n; i += kBlock) label[i] = static_cast<int32_t>(i);
  if (t == 0) next[k.n] = 0;  // whether a label changed
  __syncthreads();
  for (;;) {  // the smallest label of alike boxes, and the label's own label
    bool mine = false;
    for (int64_t i = t; i < k.n; i += kBlock) {
      int32_t least = label[label[i]];
      for (int64_t j = 0; j < k.n; ++j)
        if (label[j] < least && alike(k.boxes + 4 * i, k.boxes + 4 * j, k.eps)) least = label[j];
      mine |= least != label[i];
      next[i] = least;
    }
    if (mine) atomicMax(&next[k.n], 1);
    __syncthreads();
    if (t == 0) {
      changed = next[k.n] != 0;
      next[k.n] = 0;
    }
    for (int64_t i = t; i < k.n; i += kBlock) label[i] = next[i];
    __syncthreads();
    if (!changed) break;
    __syncthreads();
  }
  // Groups by their first box; each is summed by one thread, over all boxes in order.
  for (int64_t i = t; i < k.n; i += kBlock) {
    BoxGroup g = {0, 0, 0, 0, 0};
    for (int64_t j = i; label[i] == i && j < k.n; ++j) {
      if (label[j] != i) continue;
      const int32_t* const box = k.boxes + 4 * j;
      g = {g.x + box[0], g.y + box[1], g.width + box[2], g.height + box[3], g.boxes + 1};
    }
    next[i] = g.boxes > k.min_neighbors ? 1 : 0;
    if (next[i] == 0) continue;
    const float share = 1.0f / static_cast<float>(g.boxes);
    groups[i] = {mean(g.x, share), mean(g.y, share), mean(g.width, share), mean(g.height, share), g.boxes};
  }
  __syncthreads();
  if (t == 0) {
    strong = 0;
    for (int64_t i = 0; i < k.n; ++i)
      if (next[i] != 0) groups[strong++] = groups[i];
  }
  __syncthreads();
  for (int64_t i = t; i < strong; i += kBlock) {
    bool kept = true;
    for (int64_t j = 0; kept && j < strong; ++j) kept = j == i || !swallowed(groups[i], groups[j], k.eps);
    next[i] = kept ? 1 : 0;
  }
  __syncthreads();
  if (t != 0) return;
  int64_t count = 0;
  for (int64_t i = 0; i < strong; ++i) {
    if (next[i] == 0) continue;
    const int64_t sides[4] = {groups[i].x, groups[i].y, groups[i].width, groups[i].height};
    for (int side = 0; side < 4; ++side) k.out[4 * count + side] = static_cast<int32_t>(sides[side]);
    k.neighbors[count++] = static_cast<int32_t>(groups[i].boxes);
  }
  *k.count = count;
}

}  // namespace

void integral_image(const IntegralImage& k) {
  integrate("integral_image", HaarTables<int64_t>{k.sums, k.squares, k.tilted, k.width + 1}, k.image, k.height,
            k.width);
}

void resize_exact(const ResizeExact& k) {
  resize("resize_exact", k.out, k.image, k.height, k.width, k.out_height, k.out_width);
}

void rgb_to_gray(const RgbToGray& k) {
  launch_over("rgb_to_gray", grey_pixels, k.pixels, k);
}

void haar_patch_sums(const HaarPatchSums& k) {
  launch_over("haar_patch_sums", sums_of_patches, k.patches, k);
}

void haar_features(const HaarFeatures& k) {
  launch_over("haar_features", features_of_patches, k.features * k.patches, k);
}

void group_rectangles(const GroupRectangles& k) {
  const size_t n = static_cast<size_t>(k.n);
  const StreamScratch labels((2 * n + 1) * sizeof(int32_t)), groups((n + 1) * sizeof(BoxGroup));
  int32_t* const label = labels.as<int32_t>();
  launch("group_rectangles", group_boxes, 1, kBlock, 0, k, label, label + n, groups.as<BoxGroup>());
}

}  // namespace einkorn::cuda
