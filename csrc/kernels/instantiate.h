// EINKORN_INSTANTIATE(name, Args): the float and the double body of a kernel, at the end of its file.

#pragma once

#define EINKORN_INSTANTIATE(name, Args)   \
  template void name(const Args<float>&); \
  template void name(const Args<double>&);
