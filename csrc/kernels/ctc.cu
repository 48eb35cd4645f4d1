// CTC on the GPU: a block of threads walks the frames of a sequence, its threads side by side on the states.
//
//     frame t - 1     -inf -inf | a0  a1  a2  a3 ...          a state is made of three of the frame before, at s, s - 1 and s - 2, the
//                        \    \    \ |                        last one where a path may skip the blank
//     frame t                       a0' ...                   m + log(e^(a-m) + e^(b-m) + e^(c-m)) + emission of l[s]
//
// Forward keeps all frames in log_alpha. Backward keeps two frames of beta in scratch; the states' shares of a frame go to scratch too,
// and a thread a class adds up those with its label, in order.
//
// Roofline: bound by the chain of frames, a barrier and some 10 dependent operations each, about 2 us a frame: 1000 frames 2 ms, for
// as many sequences as the card has room for.
// Plan: walk_forward, walk_backward: 48 registers, 5 blocks of 256 threads an SM, 24 bytes spilled in double

#include <math.h>

#include "kernels/ctc.h"
#include "kernels/cuda_launch.h"
#include "kernels/instantiate.h"

namespace einkorn::cuda {

namespace {

template <class T>
__device__ __forceinline__ T never() {
  return -static_cast<T>(INFINITY);
}

// log(e^a + e^b + e^c), -inf for three times that; NaN stays.
template <class T>
__device__ __forceinline__ T log_add(T a, T b, T c) {
  if (a == never<T>() && b == never<T>() && c == never<T>()) return a;
  T m = a > b ? a : b;
  m = m > c ? m : c;
  return m + ::log(::exp(a - m) + ::exp(b - m) + ::exp(c - m));
}

__device__ __forceinline__ int64_t within(int64_t x, int64_t most) {
  return x < 0 ? 0 : (x > most ? most : x);
}

// One sequence of the batch: its states, and what leads from one to another.
template <class Args>
struct Sequence {
  const Args& k;
  int64_t frames, states, start;

  __device__ __forceinline__ Sequence(const Args& args, int64_t n)
      : k(args), frames(within(k.input_lengths[n], k.steps)), start(within(k.starts[n], k.targets_size)) {
    int64_t length = within(k.target_lengths[n], k.targets_size - start);
    while (ctc_states(length) > k.width) --length;
    states = 2 * length + 1;
  }

  __device__ __forceinline__ int64_t label(int64_t s) const {
    return within(s % 2 == 0 ? k.blank : k.targets[start + s / 2], k.classes - 1);
  }
  // Whether a path may come to s from s - 2.
  __device__ __forceinline__ bool skips(int64_t s) const {
    return s % 2 == 1 && s >= 2 && s < states && label(s) != label(s - 2);
  }
  // -log of the sum of the last frame's last two states.
  template <class T>
  __device__ __forceinline__ T loss(const T* alpha) const {
    if (frames == 0) return states == 1 ? T{0} : static_cast<T>(INFINITY);
    const T* const last = alpha + (frames - 1) * k.width + kCtcFront;
    return -log_add(last[states - 1], states > 1 ? last[states - 2] : never<T>(), never<T>());
  }

 private:
  static __device__ int64_t ctc_states(int64_t length) { return (kCtcFront + 2 * length + 1 + 15) / 16 * 16 + 32; }
};

template <class T>
__global__ void __launch_bounds__(kBlock) walk_forward(CtcForward<T> k) {
  for (int64_t n = blockIdx.x; n < k.batch; n += gridDim.x) {
    const Sequence<CtcForward<T>> seq(k, n);
    T* const alpha = k.log_alpha + n * k.steps * k.width;
    for (int64_t t = 0; t < seq.frames; ++t) {
      T* const now = alpha + t * k.width;
      const T* const before = now - k.width;
      const T* const log_probs = k.log_probs + (t * k.batch + n) * k.classes;
      for (int64_t i = threadIdx.x; i < k.width; i += kBlock) {
        const int64_t s = i - kCtcFront;
        T value = never<T>();
        if (s >= 0 && s < seq.states) {
          const T emission = log_probs[seq.label(s)];
          if (t > 0)
            value = log_add(before[i], before[i - 1], seq.skips(s) ? before[i - 2] : never<T>()) + emission;
          else if (s < 2)
            value = emission;
        }
        now[i] = value;
      }
      __syncthreads();
    }
    if (threadIdx.x == 0) {
      const T loss = seq.loss(alpha);
      k.loss[n] = k.zero_infinity && loss == static_cast<T>(INFINITY) ? T{0} : loss;
    }
  }
}

// scratch: 3 rows of `width` a sequence: beta of two frames, shares.
template <class T>
__global__ void __launch_bounds__(kBlock) walk_backward(CtcBackward<T> k, T* scratch) {
  for (int64_t n = blockIdx.x; n < k.batch; n += gridDim.x) {
    const Sequence<CtcBackward<T>> seq(k, n);
    const T* const alpha = k.log_alpha + n * k.steps * k.width;
    T* const beta = scratch + n * 3 * k.width;
    T* const share = beta + 2 * k.width;
    const T g = k.gloss[n], loss = seq.loss(alpha);
    const bool impossible = loss == static_cast<T>(INFINITY);
    for (int64_t t = impossible ? 0 : seq.frames; t < k.steps; ++t)
      for (int64_t c = threadIdx.x; c < k.classes; c += kBlock)
        k.glog_probs[(t * k.batch + n) * k.classes + c] =
            t >= seq.frames || k.zero_infinity ? T{0} : static_cast<T>(NAN);
    if (impossible) continue;
    for (int64_t t = seq.frames - 1; t >= 0; --t) {
      const int64_t at = (t * k.batch + n) * k.classes;
      const T* const states = alpha + t * k.width + kCtcFront;
      T* const now = beta + t % 2 * k.width;
      const T* const next = beta + (t + 1) % 2 * k.width;
      const auto later = [&](int64_t s) { return s < seq.states ? next[s] : never<T>(); };
      for (int64_t s = threadIdx.x; s < seq.states; s += kBlock) {
        const T emission = k.log_probs[at + seq.label(s)];
        T value = s >= seq.states - 2 ? emission : never<T>();
        if (t < seq.frames - 1)
          value = log_add(later(s), later(s + 1), seq.skips(s + 2) ? later(s + 2) : never<T>()) + emission;
        now[s] = value;
        const T both = states[s] + value;
        share[s] = both == never<T>() ? T{0} : ::exp(both - emission + loss) * g;
      }
      __syncthreads();
      for (int64_t c = threadIdx.x; c < k.classes; c += kBlock) {
        T slope = ::exp(k.log_probs[at + c]) * g;
        for (int64_t s = 0; s < seq.states; ++s)
          if (seq.label(s) == c) slope -= share[s];
        k.glog_probs[at + c] = slope;
      }
      __syncthreads();
    }
  }
}

}  // namespace

template <class T>
void ctc_forward(const CtcForward<T>& k) {
  launch_over("ctc_forward", walk_forward<T>, k.batch * kBlock, k);
}

template <class T>
void ctc_backward(const CtcBackward<T>& k) {
  const StreamScratch scratch(static_cast<size_t>(k.batch * 3 * k.width) * sizeof(T));
  launch_over("ctc_backward", walk_backward<T>, k.batch * kBlock, k, scratch.as<T>());
}

EINKORN_INSTANTIATE(ctc_forward, CtcForward)
EINKORN_INSTANTIATE(ctc_backward, CtcBackward)

}  // namespace einkorn::cuda
