#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace calm {

/// A folder being written: its files go into a temporary beside the target, `publish` puts it in
/// place as a whole (save protocol in the design). Unpublished, it leaves nothing behind; a killed
/// process leaves a `.tmp-PID-…` that the next one sweeps. Failures throw Error(CALM_IO).
class OutputFolder {
 public:
  /// Creates missing parents and the temporary.
  explicit OutputFolder(std::string path);
  ~OutputFolder();
  OutputFolder(const OutputFolder &) = delete;
  OutputFolder &operator=(const OutputFolder &) = delete;

  /// Where `name` is to be written now.
  std::string file(const std::string &name) const { return temporary_ + "/" + name; }

  /// Once, after every file was made durable. A folder that has the target's name is replaced: at
  /// every moment the old one, whole, or the new one, whole, has it.
  void publish();

 private:
  std::string path_;
  std::string temporary_;  // empty once published
};

/// A lock on a folder for one process at a time (flock on `.lock` in it, which ends with the
/// process however that ends). Error(CALM_IO) naming the holder's process when another has it.
class FolderLock {
 public:
  explicit FolderLock(const std::string &folder);
  ~FolderLock();
  FolderLock(const FolderLock &) = delete;
  FolderLock &operator=(const FolderLock &) = delete;

 private:
  int descriptor_ = -1;
};

/// Paths of a folder's entries, sorted; none when there is no such folder. Error(CALM_IO).
std::vector<std::string> list_folder(const std::string &folder);

/// Removes the temporaries that processes no longer alive left in `folder`; what cannot be removed
/// stays, with a warning. Returns how many went.
std::size_t sweep_temporaries(const std::string &folder);

/// A name in `folder` for a temporary of this process: ".tmp-PID-RANDOM".
std::string temporary_name(const std::string &folder);

/// Renames within a file system and makes both folders durable. Error(CALM_IO).
void move_entry(const std::string &from, const std::string &to);

}  // namespace calm
