// Strings as paths of bytes from a root.

#pragma once

#include "text/text.h"

namespace einkorn::text {

// An edge is found by its node's number and its byte, in a table with open addressing.
class Trie {
 public:
  static constexpr uint32_t kRoot = 0;
  static constexpr int32_t kNone = -1;

  Trie() : values_(1, kNone), edges_(64) {}

  void add(std::string_view string, int32_t value) {
    uint32_t node = kRoot;
    for (const char byte : string) {
      if (values_.size() * 2 >= edges_.size()) grow();
      Edge& edge = edges_[slot_of(key_of(node, byte))];
      if (edge.next == 0) {
        if (values_.size() >= 0x7FFFFFFF) throw Refused("tokens with more than 2147483647 bytes in all");
        edge = {key_of(node, byte), static_cast<uint32_t>(values_.size())};
        values_.push_back(kNone);
      }
      node = edge.next;
    }
    if (node != kRoot) values_[node] = value;
  }

  // The node behind the byte; the root where there is none.
  uint32_t next(uint32_t node, char byte) const { return edges_[slot_of(key_of(node, byte))].next; }
  // The value of the string that ends here.
  int32_t value(uint32_t node) const { return values_[node]; }

 private:
  struct Edge {
    uint64_t key = 0;
    uint32_t next = 0;  // 0: the slot is free
  };

  static uint64_t key_of(uint32_t node, char byte) {
    return static_cast<uint64_t>(node) << 8 | static_cast<uint8_t>(byte);
  }

  size_t slot_of(uint64_t key) const {
    size_t slot = mixed(key, 1) & (edges_.size() - 1);
    while (edges_[slot].next != 0 && edges_[slot].key != key) slot = (slot + 1) & (edges_.size() - 1);
    return slot;
  }

  void grow() {
    std::vector<Edge> old(edges_.size() * 2);
    old.swap(edges_);
    for (const Edge& edge : old)
      if (edge.next != 0) edges_[slot_of(edge.key)] = edge;
  }

  std::vector<int32_t> values_;  // of nodes
  std::vector<Edge> edges_;
};

}  // namespace einkorn::text
