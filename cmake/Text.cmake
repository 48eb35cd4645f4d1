# einkorn._text: tokenisers. C++ (csrc/text) under Cython, which knows Python's objects; without either, einkorn.text runs its plain form.

# As a module of Python: the program's path is another one in each isolated build.
execute_process(COMMAND ${Python_EXECUTABLE} -m cython --version RESULT_VARIABLE failed OUTPUT_QUIET ERROR_QUIET)
if(failed)
  message(WARNING "Cython was not found: einkorn.text is installed in its slower form in plain Python (pip install cython).")
  return()
endif()

set(wrapper ${CMAKE_CURRENT_BINARY_DIR}/_text.cpp)
file(GLOB text_parts CONFIGURE_DEPENDS text/*.pxi)
add_custom_command(
  OUTPUT ${wrapper}
  COMMAND ${Python_EXECUTABLE} -m cython -3 --cplus --module-name einkorn._text -o ${wrapper} ${CMAKE_CURRENT_SOURCE_DIR}/text/_text.pyx
  DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/text/_text.pyx ${text_parts}
  VERBATIM)
file(GLOB text_sources CONFIGURE_DEPENDS text/*.cpp)
python_add_library(_text MODULE WITH_SOABI ${wrapper} ${text_sources})
target_include_directories(_text PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
target_compile_options(_text PRIVATE ${optimize} -Wall -Wextra)
# Written by Cython: it only hands things over.
set_source_files_properties(${wrapper} PROPERTIES COMPILE_OPTIONS "-O1;-w;-I${CMAKE_CURRENT_BINARY_DIR}")
target_link_libraries(_text PRIVATE Threads::Threads)
if(EINKORN_SANITIZE)
  target_link_options(_text PRIVATE -fsanitize=${EINKORN_SANITIZE})
endif()
install(TARGETS _text DESTINATION einkorn)
