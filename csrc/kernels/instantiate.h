// EINKORN_INSTANTIATE(name, Args): the float and the double body of a kernel, at the end of its file.

//
// EINKORN_INSTANTIATE_STORED(name, Args): that over arrays of bfloat16 too.

#pragma once

#define EINKORN_INSTANTIATE(name, Args)   \
  template void name(const Args<float>&); \
  template void name(const Args<double>&);

#define EINKORN_INSTANTIATE_STORED(name, Args) \
  EINKORN_INSTANTIATE(name, Args)              \
  template void name(const Args<uint16_t>&);
