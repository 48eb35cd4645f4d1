// All tables of one instruction set or device, made from the list of families. Free of the standard library, because kernel
// objects include it.

#pragma once

#include "kernels/kernel_list.h"

namespace einkorn {

struct Tables {
#define F(Table, KERNELS) Table<float> Table##_f32 = {};
  EINKORN_FLOAT_FAMILIES(F)
#undef F
#define F(Table, KERNELS) Table<double> Table##_f64 = {};
  EINKORN_FLOAT_FAMILIES(F)
#undef F
#define F(Table, KERNELS) Table<uint16_t> Table##_bf16 = {};
  EINKORN_BFLOAT16_FAMILIES(F)
#undef F
#define F(Table, KERNELS) Table Table##_index = {};
  EINKORN_INDEX_FAMILIES(F)
#undef F
};

}  // namespace einkorn

// Defines active_table<Table>() of every family from active_tables(): once in each module, inside the namespace einkorn.
#define EINKORN_DEFINE_ACTIVE_TABLE(Table, field) \
  template <>                                     \
  const Table& active_table<Table>() {            \
    return active_tables().field;                 \
  }
#define EINKORN_DEFINE_FLOAT_TABLES(Table, KERNELS)      \
  EINKORN_DEFINE_ACTIVE_TABLE(Table<float>, Table##_f32) \
  EINKORN_DEFINE_ACTIVE_TABLE(Table<double>, Table##_f64)
#define EINKORN_DEFINE_STORED_TABLES(Table, KERNELS) EINKORN_DEFINE_ACTIVE_TABLE(Table<uint16_t>, Table##_bf16)
#define EINKORN_DEFINE_INDEX_TABLES(Table, KERNELS) EINKORN_DEFINE_ACTIVE_TABLE(Table, Table##_index)
#define EINKORN_DEFINE_ACTIVE_TABLES                      \
  EINKORN_FLOAT_FAMILIES(EINKORN_DEFINE_FLOAT_TABLES)     \
  EINKORN_BFLOAT16_FAMILIES(EINKORN_DEFINE_STORED_TABLES) \
  EINKORN_INDEX_FAMILIES(EINKORN_DEFINE_INDEX_TABLES)
