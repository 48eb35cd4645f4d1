// Where the parts of a launch's scratch lie.
//
// A kernel lists its parts once, in a struct whose constructor takes them from a Carver. The kernel makes that struct on the
// launch's scratch and uses the parts; the binding makes it on nothing, from the same arguments, and knows how many bytes
// they take (bytes_of). So what is reserved is what is used.
//
//   struct SumParts {
//     double* partial;
//     SumParts(Carver& c, const Sum& k) : partial(c.take<double>(blocks_of(k))) {}
//   };
//
// Sizes may follow from the shapes and the number of threads, never from the instruction set. Constructors only take:
// a checked build (EINKORN_CHECKED) runs them also to mark the ends of all parts before a launch and to look after it.

#pragma once

#include <stddef.h>
#include <stdint.h>

#include "runtime/guard.h"

namespace einkorn {
inline namespace EINKORN_ISA {

// As many parts of one size as there are threads, each on cache lines of its own.
template <class P>
struct PartOfEach {
  char* base;
  size_t bytes;

  P* operator[](int64_t slot) const { return reinterpret_cast<P*>(base + static_cast<size_t>(slot) * bytes); }
};

// The same for parts that are several: Parts(carver, sizes) for each.
template <class Parts, class Sizes>
struct PartsOfEach {
  char* base;
  size_t bytes;
  Sizes sizes;

  Parts operator[](int64_t slot) const;
};

// Hands out 64-byte aligned parts of one block, or, without a block, counts the bytes.
struct Carver {
  char* base;
  size_t used = 0;
  Carving doing = Carving::use;

  template <class P>
  P* take(int64_t count) {
    const size_t bytes = static_cast<size_t>(count) * sizeof(P), room = (bytes + 63) / 64 * 64 + kGuardBytes;
    char* const part = at(used);
    if constexpr (kGuardBytes > 0)
      if (base != nullptr) guard_part(doing, part, bytes, room);
    used += room;
    return reinterpret_cast<P*>(part);
  }

  template <class P>
  PartOfEach<P> take_each(int64_t slots, int64_t count) {
    const PartOfEach<P> parts = {at(used), (static_cast<size_t>(count) * sizeof(P) + 63) / 64 * 64 + kGuardBytes};
    for (int64_t slot = 0; slot < slots; ++slot) take<P>(count);
    return parts;
  }

  template <class Parts, class Sizes>
  PartsOfEach<Parts, Sizes> each(int64_t slots, const Sizes& sizes) {
    const PartsOfEach<Parts, Sizes> parts = {at(used), bytes_of<Parts>(sizes), sizes};
    if (kGuardBytes > 0 && base != nullptr && doing != Carving::use)
      for (int64_t slot = 0; slot < slots; ++slot) {
        Carver own{at(used + static_cast<size_t>(slot) * parts.bytes), 0, doing};
        static_cast<void>(Parts(own, sizes));
      }
    used += static_cast<size_t>(slots) * parts.bytes;
    return parts;
  }

  // The bytes that Parts(carver, sizes...) takes.
  template <class Parts, class... Sizes>
  static size_t bytes_of(const Sizes&... sizes) {
    Carver counting{nullptr};
    static_cast<void>(Parts(counting, sizes...));
    return counting.used;
  }

 private:
  char* at(size_t offset) const { return reinterpret_cast<char*>(reinterpret_cast<uintptr_t>(base) + offset); }
};

template <class Parts, class Sizes>
inline Parts PartsOfEach<Parts, Sizes>::operator[](int64_t slot) const {
  Carver own{base + static_cast<size_t>(slot) * bytes};
  return Parts(own, sizes);
}

// The parts of a launch, on its scratch.
template <class Parts, class Args>
inline Parts carve(const Args& k) {
  Carver carver{k.ws.scratch};
  return Parts(carver, k);
}

}  // namespace EINKORN_ISA
}  // namespace einkorn
