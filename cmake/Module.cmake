# einkorn_module(NAME SOURCES...): an extension module of Python, from files of bindings.

find_package(Python REQUIRED COMPONENTS Interpreter Development.Module)
find_package(pybind11 CONFIG REQUIRED)

# pybind11's headers, copied to where they stay: a build environment has them in a new place with a new date each time, which
# would have every binding compiled again.
set(pybind11_copy ${CMAKE_CURRENT_BINARY_DIR}/include)
file(GLOB_RECURSE headers RELATIVE ${pybind11_INCLUDE_DIR} ${pybind11_INCLUDE_DIR}/pybind11/*.h)
foreach(header IN LISTS headers)
  get_filename_component(folder ${pybind11_copy}/${header} DIRECTORY)
  file(MAKE_DIRECTORY ${folder})
  file(COPY_FILE ${pybind11_INCLUDE_DIR}/${header} ${pybind11_copy}/${header} ONLY_IF_DIFFERENT)
endforeach()

# Several files are compiled as one: reading pybind11 and compiling its part of a module takes three times as long as a file of
# bindings, which for that reason keeps its helpers in a namespace of its own, einkorn::bind_<family>.
function(einkorn_module name)
  python_add_library(${name} MODULE WITH_SOABI ${ARGN})
  target_include_directories(${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_include_directories(${name} SYSTEM PRIVATE ${pybind11_copy})
  target_compile_options(${name} PRIVATE -O2 -Wall -Wextra)
  set_target_properties(${name} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 6)
  install(TARGETS ${name} LIBRARY DESTINATION einkorn)
endfunction()
