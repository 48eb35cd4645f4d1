// Parting the rows of a node between its children, each side in the order the rows had.
//
//     order:  [ node's rows, ascending ]        blocks of kPartitionBlock rows, each a task:
//     lefts, rights: what each block found      a row is written to both sides, and only one of them moves on
//     order:  [ left child's | right child's ]  blocks copied together
//
// Nothing depends on the data but where to write next, so there are no branches to mispredict.

#pragma once

#include "kernels/tree/tree_grow_score.h"
#include "simd/simd.h"

namespace einkorn {
inline namespace EINKORN_ISA {

template <bool kSet, class Code>
EINKORN_INLINE int64_t part_block(const Code* column, const int32_t* order, int64_t begin, int64_t end, SideTest test,
                                  int32_t* lefts, int32_t* rights) {
  if (!kSet) test.set = nullptr;
  int64_t left = 0, right = 0;
  for (int64_t i = begin; i < end; ++i) {
    const int32_t r = order != nullptr ? order[i] : static_cast<int32_t>(i);
    const bool goes_left = test.goes_left(column[r]);
    lefts[left] = r;
    rights[right] = r;
    left += goes_left;
    right += !goes_left;
  }
  return left;
}

// order[begin : begin + n] becomes the left child's rows, then the right one's; `identity`: the rows are begin, begin + 1,
// ... and order is not yet written. Returns the number on the left.
template <class Code>
int64_t part_rows(const Workspace& ws, const GrowPlan& p, const Code* column, int64_t begin, int64_t n, bool identity,
                  const SideTest& test) {
  const int64_t blocks = (n + kPartitionBlock - 1) / kPartitionBlock;
  const int32_t* const from = identity ? nullptr : p.order;
  parallel_for(ws, blocks, static_cast<double>(n / blocks) * 1.2, [&](int64_t block, int) {
    const int64_t first = begin + block * kPartitionBlock;
    const int64_t last = first + kPartitionBlock < begin + n ? first + kPartitionBlock : begin + n;
    p.block_lefts[block] = test.set != nullptr
                               ? part_block<true>(column, from, first, last, test, p.lefts + first, p.rights + first)
                               : part_block<false>(column, from, first, last, test, p.lefts + first, p.rights + first);
  });
  int64_t left = 0;
  for (int64_t block = 0; block < blocks; ++block) {
    const int64_t here = p.block_lefts[block];
    p.block_lefts[block] = left;
    left += here;
  }
  parallel_for(ws, blocks, static_cast<double>(n / blocks) * 0.3, [&](int64_t block, int) {
    const int64_t offset = block * kPartitionBlock, first = begin + offset;
    const int64_t rows = n - offset < kPartitionBlock ? n - offset : kPartitionBlock;
    const int64_t lefts_before = p.block_lefts[block];
    const int64_t lefts = (block + 1 < blocks ? p.block_lefts[block + 1] : left) - lefts_before;
    memcpy(p.order + begin + lefts_before, p.lefts + first, static_cast<size_t>(lefts) * 4);
    memcpy(p.order + begin + left + (offset - lefts_before), p.rights + first, static_cast<size_t>(rows - lefts) * 4);
  });
  return left;
}

}  // namespace EINKORN_ISA
}  // namespace einkorn
