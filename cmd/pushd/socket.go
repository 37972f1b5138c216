package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"holdfast/pkg/wire"
)

// defaultSocket is the first of the places of the control socket whose directory is usable, or the last of them.
func defaultSocket() string {
	return firstUsable(wire.SocketPaths(noVariable, os.Getuid(), os.TempDir()))
}

// noVariable hides $PUSHD_SOCKET, which was read as an option, and leaves the rest of the environment.
func noVariable(key string) string {
	if key == envPrefix+"SOCKET" {
		return ""
	}
	return os.Getenv(key)
}

func firstUsable(paths []string) string {
	for _, p := range paths {
		if socketDirUsable(p) == nil {
			return p
		}
	}
	return paths[len(paths)-1]
}

// socketDirUsable reports why no socket can be made at path: its directory must be one that we may write in, or may
// create. Our directory under the temporary directory, where anybody may have put one of that name, must be ours.
func socketDirUsable(path string) error {
	dir := filepath.Dir(path)
	info, err := os.Lstat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := writableDir(filepath.Dir(dir)); err != nil {
			return fmt.Errorf("socket %s: cannot create its directory: %w", path, err)
		}
		return nil
	case err != nil:
		return fmt.Errorf("socket %s: %w", path, err)
	}
	if filepath.Base(dir) == fmt.Sprintf("pushd-%d", os.Getuid()) {
		st, ok := info.Sys().(*syscall.Stat_t)
		if !info.IsDir() || !ok || int(st.Uid) != os.Getuid() || info.Mode().Perm()&0o077 != 0 {
			return fmt.Errorf("socket %s: %s must be a directory of ours with mode 0700, and is %v", path, dir, info.Mode())
		}
	}
	if err := writableDir(dir); err != nil {
		return fmt.Errorf("socket %s: %w", path, err)
	}
	return nil
}

func writableDir(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a directory", dir)
	}
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		return fmt.Errorf("write in %s: %w", dir, err)
	}
	return nil
}
