// EINKORN_INSTANTIATE(name, Args): the float and the double body of a kernel, at the end of its file. EINKORN_NO_DOUBLE leaves double out,
// where a body is compiled only to see what it takes (.ci/cuda_resources).
//
// EINKORN_INSTANTIATE_STORED(name, Args): that over arrays of bfloat16 too.

#pragma once

#ifdef EINKORN_NO_DOUBLE
#define EINKORN_INSTANTIATE(name, Args) template void name(const Args<float>&);
#else
#define EINKORN_INSTANTIATE(name, Args)   \
  template void name(const Args<float>&); \
  template void name(const Args<double>&);
#endif

#define EINKORN_INSTANTIATE_STORED(name, Args) \
  EINKORN_INSTANTIATE(name, Args)              \
  template void name(const Args<uint16_t>&);
