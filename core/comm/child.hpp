#pragma once

#include <cstdint>

namespace calm::comm {

/// Goes on in a child of this process, and returns in the child alone. The process itself waits for
/// it, hands it the signals that ask to stop, and ends with its exit code; with that of
/// CALM_DEVICE_LOST and a line that names `rank` when the child was killed, and as a shell says it
/// when it crashed, or ended by a signal that it was handed. A launcher answers with the code of
/// the first of its processes that ended badly, and for one that was killed that is the signal's:
/// this way it is the code that says "later it may work". The child ends with its parent. Before
/// any thread is started. Where the system has no room for a child, this process goes on.
void go_on_in_child(std::uint32_t rank);

}  // namespace calm::comm
