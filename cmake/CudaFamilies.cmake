# What both builds of the CUDA kernels take, by nvcc (Cuda.cmake) and by the C++ compiler (CudaHost.cmake).

file(GLOB_RECURSE cuda_kernel_sources CONFIGURE_DEPENDS kernels/*.cu)

# A family with a CUDA body has its bindings in such a module too: they bear the name of a body or of its folder.
set(cuda_family_bindings)
foreach(source IN LISTS cuda_kernel_sources)
  get_filename_component(body ${source} NAME_WE)
  get_filename_component(folder ${source} DIRECTORY)
  get_filename_component(folder ${folder} NAME)
  foreach(family ${body} ${folder})
    if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/bind/${family}.cpp)
      list(APPEND cuda_family_bindings bind/${family}.cpp)
    endif()
  endforeach()
endforeach()
list(REMOVE_DUPLICATES cuda_family_bindings)
