# The host device: einkorn._cuda_host, the CUDA kernels compiled by the C++ compiler over csrc/cuda_host. For tests: every load
# and store of a kernel is announced by -fsanitize=thread to functions of csrc/cuda_host/memory.cpp. No sanitizer is linked.

if(NOT EINKORN_CUDA_HOST)
  return()
endif()

include(../cmake/CudaFamilies.cmake)

# Sources in C++'s name: compilers choose the language by the suffix.
set(host_kernel_sources cuda_host/planted.cpp cuda_host/planted_boxes.cpp)
foreach(source IN LISTS cuda_kernel_sources)
  get_filename_component(stem ${source} NAME_WE)
  set(wrapper ${CMAKE_CURRENT_BINARY_DIR}/cuda_host/${stem}.cpp)
  file(CONFIGURE OUTPUT ${wrapper} CONTENT "#include \"${source}\"\n" @ONLY)
  list(APPEND host_kernel_sources ${wrapper})
endforeach()

add_library(einkorn_kernels_cuda_host OBJECT ${host_kernel_sources})
target_compile_options(einkorn_kernels_cuda_host PRIVATE -O1 -fsanitize=thread -Wall -Wextra -Wno-unknown-pragmas)

einkorn_module(_cuda_host cuda_host/device.cpp cuda_host/memory.cpp cuda_host/bulk.cpp cuda_host/module.cpp bind/cuda/runtime.cpp bind/array.cpp
                          bind/function.cpp ${cuda_family_bindings})
set_target_properties(_cuda_host PROPERTIES UNITY_BUILD OFF)
target_link_libraries(_cuda_host PRIVATE einkorn_kernels_cuda_host)
foreach(target einkorn_kernels_cuda_host _cuda_host)
  target_include_directories(${target} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR} cuda_host)
  target_compile_definitions(${target} PRIVATE EINKORN_ISA=gpu EINKORN_CUDA_HOST)
endforeach()
