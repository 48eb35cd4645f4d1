// The dispatch table of a family, made from the family's list of kernels: a row of function pointers and their names.
//
//   #define EINKORN_SOFTMAX_KERNELS(X) X(softmax_forward, Softmax) ...      names and argument structs, written here alone
//   EINKORN_FLOAT_TABLE(SoftmaxKernels, EINKORN_SOFTMAX_KERNELS)            &SoftmaxKernels<T>::softmax_forward
//
// A float table is for kernels over float and double arrays, whose structs are Args<T> and whose bodies are
// `template <class T> void name(const Args<T>&)`; an index table for kernels of fixed types, `void name(const Args&)`.
// Families know nothing of each other: a line added to one list compiles that family anew, and the tables of kernel_list.h.
// Free of the standard library, because kernel objects include it.

#pragma once

#define EINKORN_FLOAT_ENTRY(name, Args) void (*name)(const Args<T>&) = nullptr;
#define EINKORN_INDEX_ENTRY(name, Args) void (*name)(const Args&) = nullptr;
#define EINKORN_ENTRY_NAME(name, Args) #name,

#define EINKORN_FLOAT_TABLE(Table, KERNELS)                                \
  template <class T>                                                       \
  struct Table {                                                           \
    KERNELS(EINKORN_FLOAT_ENTRY)                                           \
    static constexpr const char* kNames[] = {KERNELS(EINKORN_ENTRY_NAME)}; \
  };

#define EINKORN_INDEX_TABLE(Table, KERNELS)                                \
  struct Table {                                                           \
    KERNELS(EINKORN_INDEX_ENTRY)                                           \
    static constexpr const char* kNames[] = {KERNELS(EINKORN_ENTRY_NAME)}; \
  };
