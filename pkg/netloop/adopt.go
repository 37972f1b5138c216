package netloop

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// Adopt takes over fd, a listening TCP socket that another process has opened (socket activation), and returns n
// descriptors of it, one for each loop's ListenAdopted. fd itself is closed, but not when there is an error.
//
// Unlike the sockets of Bind, which SO_REUSEPORT makes a group, these have one queue: each new connection wakes all loops
// that are idle, and whichever comes first accepts it. The socket's flags and options change for all who hold it.
func Adopt(fd, n int) (fds []int, bound netip.AddrPort, err error) {
	defer func() {
		if err != nil {
			for _, fd := range fds {
				unix.Close(fd)
			}
			fds, err = nil, fmt.Errorf("adopt descriptor %d: %w", fd, err)
		}
	}()
	if err := checkListening(fd); err != nil {
		return nil, bound, err
	}
	if bound, err = localAddr(fd); err != nil {
		return nil, bound, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, bound, fmt.Errorf("make it non-blocking: %w", err)
	}
	if err := setInherited(fd); err != nil {
		return nil, bound, fmt.Errorf("set socket options: %w", err)
	}
	for range n {
		dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
		if err != nil {
			return fds, bound, fmt.Errorf("duplicate it: %w", err)
		}
		fds = append(fds, dup)
	}
	unix.Close(fd)
	return fds, bound, nil
}

// checkListening reports an error when fd is not a listening TCP socket.
func checkListening(fd int) error {
	for _, want := range []struct {
		name   string
		option int
		values []int
		text   string
	}{
		{"SO_DOMAIN", unix.SO_DOMAIN, []int{unix.AF_INET, unix.AF_INET6}, "not a socket of IPv4 or IPv6"},
		{"SO_TYPE", unix.SO_TYPE, []int{unix.SOCK_STREAM}, "not a stream socket"},
		{"SO_PROTOCOL", unix.SO_PROTOCOL, []int{unix.IPPROTO_TCP}, "not a TCP socket"},
		{"SO_ACCEPTCONN", unix.SO_ACCEPTCONN, []int{1}, "the socket does not listen"},
	} {
		got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, want.option)
		if err == unix.ENOTSOCK {
			return errors.New("not a socket")
		} else if err != nil {
			return fmt.Errorf("read %s: %w", want.name, err)
		}
		if !slices.Contains(want.values, got) {
			return errors.New(want.text)
		}
	}
	return nil
}
