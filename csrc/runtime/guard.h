// Guard bytes behind every part of scratch memory, in a checked build (cmake -DEINKORN_CHECKED=ON); none in any other.
//
// Before a launch the parts are filled with 0xff, which floats read as NaN and indices as -1, and the bytes between them
// with a pattern. A part that is taken where none was marked, or a pattern that changed, ends the process with the
// kernel's name. Under AddressSanitizer the bytes between parts are poisoned instead, and it reports whoever touches them.

#pragma once

#include <stddef.h>

namespace einkorn {

// What a Carver does where it takes a part: uses it, marks its end, or looks at the end.
enum class Carving { use, mark, verify };

#ifdef EINKORN_CHECKED
constexpr size_t kGuardBytes = 64;
#else
constexpr size_t kGuardBytes = 0;
#endif

// `part` has `bytes` bytes of use and `room` in all.
void guard_part(Carving doing, char* part, size_t bytes, size_t room);

// Names the kernel that is launched, for the message.
void guard_launch(const char* kernel);

}  // namespace einkorn
