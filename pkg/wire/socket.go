package wire

import (
	"path/filepath"
	"strconv"
)

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
