#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace calm::bench {

/// A place weights can be read from, and how fast.
struct Level {
  std::string name;             ///< "L1", "L2", "L3", "DRAM"
  double capacity = 0;          ///< bytes of it that all threads have together
  double probed = 0;            ///< bytes read to measure it, by each thread
  double bytes_per_second = 0;  ///< of all threads together
};

/// What this machine can do with the instruction sets it has, measured: rates of all threads
/// together, each the best of a few short runs.
struct Rates {
  unsigned threads = 1;
  std::string instructions;   ///< "AVX-512", "AVX2", "baseline"
  double flops = 0;           ///< fp32 multiply-adds in registers, two operations each
  double exponentials = 0;    ///< 2^x by a polynomial of degree 5
  double scan = 0;            ///< forward scan, (token, channel, state) triples
  std::vector<Level> levels;  ///< nearest first

  /// The nearest level that holds `bytes`, divided among the threads where a level is private.
  const Level &level_for(double bytes) const;
};

/// Measured on the first call for that number of threads: a second or so.
const Rates &measured_rates(unsigned threads);

}  // namespace calm::bench
