// Uses scratch rightly or wrongly, as the first argument says; what a checked build says about it is tested in
// test_scratch.py.

#include <cstdlib>
#include <cstring>

#include "runtime/carver.h"

using namespace einkorn;

namespace {

struct Args {
  int64_t count;
  int threads;
  struct {
    char* scratch;
  } ws;
};

struct Row {
  float* values;
  int32_t* places;

  Row(Carver& c, const Args& k) : values(c.take<float>(k.count)), places(c.take<int32_t>(k.count)) {}
};

struct Parts {
  double* sums;
  PartOfEach<uint8_t> flags;
  PartsOfEach<Row, Args> rows;

  Parts(Carver& c, const Args& k)
      : sums(c.take<double>(k.count)),
        flags(c.take_each<uint8_t>(k.threads, k.count)),
        rows(c.each<Row>(k.threads, k)) {}
};

}  // namespace

int main(int argc, char** argv) {
  const char* what = argc > 1 ? argv[1] : "";
  const auto is = [what](const char* name) { return std::strcmp(what, name) == 0; };
  Args k = {9, 3, {nullptr}};
  const size_t bytes = Carver::bytes_of<Parts>(k);
  k.ws.scratch = static_cast<char*>(std::aligned_alloc(64, bytes));
  guard_launch("overrun");
  Carver marking{k.ws.scratch, 0, Carving::mark};
  static_cast<void>(Parts(marking, k));
  if (is("another count")) k.count = 200;
  const Parts parts = carve<Parts>(k);
  const Row last = parts.rows[2];
  const float unset = last.values[0];
  if (unset == unset) return 1;  // not NaN
  for (int64_t i = 0; i < k.count; ++i) parts.sums[i] = 0;
  if (is("a part")) parts.sums[9] = 0;
  if (is("a thread's part")) parts.flags[1][9] = 0;
  if (is("a thread's row")) last.values[9] = 0;
  if (is("the last part")) last.places[9] = 0;
  Carver verifying{k.ws.scratch, 0, Carving::verify};
  static_cast<void>(Parts(verifying, k));
  std::free(k.ws.scratch);
  return 0;
}
