package wire

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// MaxSocketPath is the longest path of a Unix socket in bytes: sun_path less its NUL (unix(7)).
const MaxSocketPath = 107

// CheckSocketPath reports why there can be no control socket at path: it is too long, or it names
// an abstract socket, which would have no permissions. The text goes behind the path. Server and
// clients ask it.
func CheckSocketPath(path string) error {
	switch {
	case strings.HasPrefix(path, "@"):
		return fmt.Errorf("an abstract socket, which has no permissions (./%s is a file of that name)", path)
	case strings.IndexByte(path, 0) >= 0:
		return errors.New("a path with a NUL byte")
	case len(path) > MaxSocketPath:
		return fmt.Errorf("a path of %d bytes, a socket has at most %d", len(path), MaxSocketPath)
	}
	return nil
}

// SocketPaths lists the places of the control socket, best first: only $PUSHD_SOCKET when it is set, else
// /run/pushd/pushd.sock, $XDG_RUNTIME_DIR/pushd/pushd.sock, and pushd-UID/pushd.sock below tmp, the directory
// for temporary files. Server and clients go through the same list.
func SocketPaths(getenv func(string) string, uid int, tmp string) []string {
	if p := getenv("PUSHD_SOCKET"); p != "" {
		return []string{p}
	}
	paths := []string{"/run/pushd/pushd.sock"}
	if dir := getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) { // a relative one is to be ignored (XDG base directories)
		paths = append(paths, filepath.Join(dir, "pushd", "pushd.sock"))
	}
	return append(paths, filepath.Join(tmp, "pushd-"+strconv.Itoa(uid), "pushd.sock"))
}
