// Attention on the GPU by tiles of kTile x kTile scores: what forward and backward have in common.
//
//      256 threads, 16 x 16 of them: thread (ty, tx) has the scores of rows 4 ty .. 4 ty + 3 and columns 4 tx .. 4 tx + 3
//
//   multiply_rows   sums[r][c] += A[row] . B[column]          both read from memory kDepth numbers at a time, so that a width may be any
//   add_product     sums[r][c] += W[row][k] B[k][column]      the weights W turned in shared memory, [k][row]; kDepth rows of B at a time,
//                                                             kColumns columns: a thread has packs of 16 bytes, 16 packs apart
//
// Multiply-adds in float or double on the CUDA cores, in one order: exact for whole numbers, same bits every time. A step does 64
// multiply-adds a thread for 8 numbers from shared memory, made 16 bytes at a time.

#pragma once

#include <math.h>

#include "kernels/attention/attention.h"
#include "kernels/cuda_group.h"
#include "kernels/cuda_philox.h"
#include "kernels/cuda_stored.h"

namespace einkorn::cuda {

constexpr int kTile = 64, kPatch = 4;  // scores of a tile's side, of a thread's

template <class N>
struct AttentionTile {
  static constexpr int kPack = kPackOf<N>, kPitch = kTile + 4;
  static constexpr int kDepth = sizeof(N) == 4 ? 32 : 16;
  static constexpr int kColumns = sizeof(N) == 4 ? 128 : 64;
  static constexpr int kEach = kColumns / 16;  // columns of a thread

  union {
    struct {
      alignas(32) N a[kDepth][kPitch];
      alignas(32) N b[kDepth][kPitch];
    };
    alignas(32) N weights[kTile][kPitch];  // [column][row]
  };
  alignas(32) N rows[kDepth][kColumns];

  // The column of a thread's number c in add_product.
  static __device__ __forceinline__ int column(int c) {
    return c / kPack * 16 * kPack + static_cast<int>(threadIdx.x % 16) * kPack + c % kPack;
  }
};

// Some rows of an operand: `count` of `width` numbers, `step` apart.
template <class T>
struct TileRows {
  const T* data;
  int64_t step, count, width;
};

template <class T>
__device__ __forceinline__ TileRows<T> tile_rows(const Rows<const T>& rows, int64_t batch, int64_t head, int64_t first,
                                                 int64_t length, int64_t width) {
  const int64_t left = length - first;
  return {rows.data + batch * rows.b + head * rows.h + first * rows.row, rows.row, left < kTile ? left : kTile, width};
}

// Number [row][d], 0 where there is none.
template <class T>
__device__ __forceinline__ Number<T> number_at(const TileRows<T>& rows, int64_t row, int64_t d) {
  return row < rows.count && d < rows.width ? widened(rows.data[row * rows.step + d]) : Number<T>{0};
}

template <class T, class N>
__device__ __forceinline__ void multiply_rows(AttentionTile<N>& tile, N (&sums)[kPatch][kPatch], const TileRows<T>& a,
                                              const TileRows<T>& b) {
  constexpr int kDepth = AttentionTile<N>::kDepth;
  const int d = static_cast<int>(threadIdx.x) % kDepth, first = static_cast<int>(threadIdx.x) / kDepth;
  const int tx = static_cast<int>(threadIdx.x % 16), ty = static_cast<int>(threadIdx.x / 16);
  const bool live = ty * kPatch < a.count && tx * kPatch < b.count;
  for (int64_t begin = 0; begin < a.width; begin += kDepth) {
    const int depth = a.width - begin < kDepth ? static_cast<int>(a.width - begin) : kDepth;
    __syncthreads();  // what the tile held was read
#pragma unroll
    for (int r = first; r < kTile; r += kBlock / kDepth) {
      tile.a[d][r] = number_at(a, r, begin + d);
      tile.b[d][r] = number_at(b, r, begin + d);
    }
    __syncthreads();
    if (!live) continue;
#pragma unroll 8
    for (int k = 0; k < depth; ++k) {
      const auto left = *reinterpret_cast<const Pack<N, kPatch>*>(&tile.a[k][ty * kPatch]);
      const auto right = *reinterpret_cast<const Pack<N, kPatch>*>(&tile.b[k][tx * kPatch]);
#pragma unroll
      for (int r = 0; r < kPatch; ++r)
#pragma unroll
        for (int c = 0; c < kPatch; ++c) sums[r][c] += left.v[r] * right.v[c];
    }
  }
}

// The weights of all threads into shared memory, turned.
template <class N>
__device__ __forceinline__ void put_weights(AttentionTile<N>& tile, const N (&weights)[kPatch][kPatch]) {
  const int tx = static_cast<int>(threadIdx.x % 16), ty = static_cast<int>(threadIdx.x / 16);
  __syncthreads();  // what the tile held was read
#pragma unroll
  for (int c = 0; c < kPatch; ++c) {
    Pack<N, kPatch> column;
#pragma unroll
    for (int r = 0; r < kPatch; ++r) column.v[r] = weights[r][c];
    *reinterpret_cast<Pack<N, kPatch>*>(&tile.weights[tx * kPatch + c][ty * kPatch]) = column;
  }
}

// The tile's weights, those of its first `count` rows, times rows of b, its columns from `begin` on.
template <class T, class N>
__device__ __forceinline__ void add_product(AttentionTile<N>& tile, N (&sums)[kPatch][AttentionTile<N>::kEach],
                                            int64_t count, const TileRows<T>& b, int64_t begin) {
  using Tile = AttentionTile<N>;
  const int ty = static_cast<int>(threadIdx.x / 16);
  const int64_t width = b.width - begin;
  for (int first = 0; first < b.count; first += Tile::kDepth) {
    const int depth = b.count - first < Tile::kDepth ? static_cast<int>(b.count) - first : Tile::kDepth;
    __syncthreads();  // the rows before were read; the weights are there
#pragma unroll 4
    for (int i = static_cast<int>(threadIdx.x); i < depth * Tile::kColumns; i += kBlock) {
      const int column = i % Tile::kColumns;
      if (column < width + Tile::kPack)  // packs reach over the end
        tile.rows[i / Tile::kColumns][column] = number_at(b, first + i / Tile::kColumns, begin + column);
    }
    __syncthreads();
    if (ty * kPatch >= count) continue;
#pragma unroll 4
    for (int k = 0; k < depth; ++k) {
      const auto weight = *reinterpret_cast<const Pack<N, kPatch>*>(&tile.weights[first + k][ty * kPatch]);
#pragma unroll
      for (int c = 0; c < Tile::kEach; c += Tile::kPack) {
        if (Tile::column(c) >= width) continue;
        const auto number = *reinterpret_cast<const Pack<N, Tile::kPack>*>(&tile.rows[k][Tile::column(c)]);
#pragma unroll
        for (int r = 0; r < kPatch; ++r)
#pragma unroll
          for (int e = 0; e < Tile::kPack; ++e) sums[r][c + e] += weight.v[r] * number.v[e];
      }
    }
  }
}

// A thread's rows and columns of sums, where they are within `count` rows of `width` numbers.
template <class T, class N>
__device__ __forceinline__ void store_rows(const Rows<T>& to, int64_t batch, int64_t head, int64_t first, int64_t count,
                                           int64_t begin, int64_t width,
                                           const N (&sums)[kPatch][AttentionTile<N>::kEach]) {
  const int ty = static_cast<int>(threadIdx.x / 16);
#pragma unroll
  for (int r = 0; r < kPatch; ++r) {
    const int64_t row = ty * kPatch + r;
    if (row >= count) continue;
    T* const out = to.data + batch * to.b + head * to.h + (first + row) * to.row;
#pragma unroll
    for (int c = 0; c < AttentionTile<N>::kEach; ++c) {
      const int64_t column = begin + AttentionTile<N>::column(c);
      if (column < width) out[column] = narrowed<T>(sums[r][c]);
    }
  }
}

// The mask of one head: what is added to a scaled product, -infinity where the query may not see the key.
template <class N>
struct HeadMask {
  const N* bias;
  const uint8_t* keep;
  int64_t bias_i, bias_j, keep_i, keep_j, low, high, shift, q_len, k_len;
  N slope, scale;

  __device__ __forceinline__ HeadMask(const AttentionProblem<N>& p, int64_t b, int64_t h)
      : bias(p.bias == nullptr ? nullptr : p.bias + b * p.bias_b + h * p.bias_h),
        keep(p.keep == nullptr ? nullptr : p.keep + b * p.keep_b + h * p.keep_h),
        bias_i(p.bias_i),
        bias_j(p.bias_j),
        keep_i(p.keep_i),
        keep_j(p.keep_j),
        low(p.low),
        high(p.high),
        shift(p.k_len - p.q_len),
        q_len(p.q_len),
        k_len(p.k_len),
        slope(p.slopes == nullptr ? N{0} : p.slopes[h]),
        scale(p.scale) {}

  __device__ __forceinline__ N score(N product, int64_t i, int64_t j) const {
    const int64_t distance = j - i;
    const bool seen = i < q_len && j < k_len && distance >= low && distance <= high &&
                      (keep == nullptr || keep[i * keep_i + j * keep_j] != 0);
    if (!seen) return -static_cast<N>(INFINITY);
    N s = product * scale;
    if (bias != nullptr) s += bias[i * bias_i + j * bias_j];
    if (slope != 0) s -= slope * static_cast<N>(distance < shift ? shift - distance : distance - shift);
    return s;
  }
};

// Dropout of one head: 1 / (1 - p) or 0 for each weight.
template <class N>
struct HeadDropout {
  uint64_t seed, offset;
  int64_t keys_before, k_len, q_len;  // q_len rounded up to a multiple of 4
  int32_t threshold;
  N scale;
  bool drops;

  __device__ __forceinline__ HeadDropout(const AttentionProblem<N>& p, int64_t b, int64_t h)
      : seed(p.seed),
        offset(p.offset),
        keys_before((b * p.heads + h) * p.k_len),
        k_len(p.k_len),
        q_len((p.q_len + 3) / 4 * 4),
        threshold(static_cast<int32_t>(::ceil(p.dropout * 0x1p24))),
        scale(p.dropout < 1 ? static_cast<N>(1 / (1 - p.dropout)) : N{0}),
        drops(p.dropout > 0) {}

  // The factors of queries i .. i + 3 for key j; i is a multiple of 4.
  __device__ __forceinline__ Pack<N, 4> factors(int64_t i, int64_t j) const {
    const auto counter = static_cast<uint64_t>(((keys_before + j) * q_len + i) / 4);
    const Words words = philox(seed, offset + counter);
    Pack<N, 4> factor;
#pragma unroll
    for (int e = 0; e < 4; ++e) factor.v[e] = static_cast<int32_t>(words.w[e] >> 8) >= threshold ? scale : N{0};
    return factor;
  }
};

// Blocks of others that a block of kTile sees: keys j with first + low <= j <= first + kTile - 1 + high, or queries the other way.
struct Blocks {
  int64_t begin, end;  // in elements, begin a multiple of kTile
};

__device__ __forceinline__ Blocks blocks_in(int64_t first, int64_t count, int64_t low, int64_t high, int64_t length) {
  const int64_t from = first + low > 0 ? (first + low) / kTile * kTile : 0, until = first + count + high;
  return {from, until < length ? until : length};
}

}  // namespace einkorn::cuda
