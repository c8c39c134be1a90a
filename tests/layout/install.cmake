# Installs the build, moves the result, and builds a plugin outside the tree with nothing but the moved
# SDK. Then the moved program must see its own plugins, and the new one when told where it is.
function(step)
  execute_process(COMMAND ${ARGV} RESULT_VARIABLE result OUTPUT_VARIABLE output
                  ERROR_VARIABLE output)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${ARGV}\nexit ${result}\n${output}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE "${work}")
step(${CMAKE_COMMAND} --install "${build}" --prefix "${work}/first")
file(RENAME "${work}/first" "${work}/moved")

file(GLOB_RECURSE package "${work}/moved/lib/cmake/calm/*")
foreach(file IN LISTS package)
  file(READ "${file}" text)
  string(FIND "${text}" "${work}" found)
  if(NOT found EQUAL -1)
    message(FATAL_ERROR "${file} names the prefix it was installed to")
  endif()
endforeach()

step(${CMAKE_COMMAND} -S "${source}" -B "${work}/outside" -G Ninja "-DCMAKE_C_COMPILER=${cc}"
     "-DCMAKE_CXX_COMPILER=${cxx}" "-DCMAKE_CXX_FLAGS=${flags}" "-DCMAKE_C_FLAGS=${flags}"
     "-DCMAKE_PREFIX_PATH=${work}/moved")
step(${CMAKE_COMMAND} --build "${work}/outside")
step("${work}/moved/bin/calm" plugins --plugin-path "${work}/outside")
foreach(name outside reference)
  if(NOT output MATCHES "${name}")
    message(FATAL_ERROR "`calm plugins` does not list ${name}:\n${output}")
  endif()
endforeach()
