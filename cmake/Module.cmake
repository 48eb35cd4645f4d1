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

# Files of bindings are compiled several as one, for which reason each keeps its helpers in a namespace of its own,
# einkorn::bind_<family>. Those that need pybind11 are one by themselves: its headers take longer than all the others together.
function(einkorn_module name)
  python_add_library(${name} MODULE WITH_SOABI ${ARGN})
  target_include_directories(${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  target_include_directories(${name} SYSTEM PRIVATE ${pybind11_copy})
  target_compile_options(${name} PRIVATE -O2 -Wall -Wextra)
  set_target_properties(${name} PROPERTIES UNITY_BUILD ON UNITY_BUILD_MODE GROUP)
  set(count 0)
  foreach(source IN LISTS ARGN)
    file(STRINGS ${source} reads_pybind11 REGEX "#include (<pybind11/|\"bind/kernels.h\")")
    if(reads_pybind11)
      set(group pybind11)
    else()
      math(EXPR group "${count} / 8")
      math(EXPR count "${count} + 1")
    endif()
    set_source_files_properties(${source} PROPERTIES UNITY_GROUP ${group})
  endforeach()
  install(TARGETS ${name} LIBRARY DESTINATION einkorn)
endfunction()
