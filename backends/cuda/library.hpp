// NVIDIA's libraries are opened when something of them is asked for, never linked: most machines
// that have calm have none of them.
#pragma once

#include <string>
#include <vector>

namespace calm::cuda {

/// The first of `names` (sonames or paths) that can be opened; kept for ever. Null when none can:
/// then `why` is the linker's word on the first. Throws OUT_OF_MEMORY.
void *open_library(const std::vector<std::string> &names, std::string *why);

/// `names` as the system's linker finds them, then in the folders where NVIDIA's installers put
/// them without telling it.
std::vector<std::string> in_usual_places(const std::vector<std::string> &names);

/// The address of a symbol. Throws UNAVAILABLE naming it and `library`.
void *find_symbol(void *handle, const char *symbol, const std::string &library);

/// The same as a function of the type that a header declares.
template <class Function>
void find(void *handle, Function &function, const char *symbol, const std::string &library) {
  function = reinterpret_cast<Function>(find_symbol(handle, symbol, library));
}

}  // namespace calm::cuda
