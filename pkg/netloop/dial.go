package netloop

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"holdfast/pkg/stats"
)

// Dialer is what the Handler of a loop that dials may have besides: DialFailed tells why a connection that Dial began
// does not come about. Its Gone follows at once.
type Dialer interface {
	DialFailed(c uint32, err error)
}

// ErrLimit is returned by Dial when the loops hold as many connections as they may.
var ErrLimit = errors.New("netloop: connection limit reached")

// Dial begins a connection to dst and returns its number. Its Handler.Open is called, not refused, when it stands, and
// Gone in the end, whether Open came before or not. Neither is called before Dial returns. What is sent before Open goes out
// as soon as the connection stands, which on a loopback address is often now.
//
// With a valid src that is the connection's own address. Where its port is 0 the kernel chooses one when it knows dst, so
// that each pair of addresses has all the ephemeral ports and not only each source (IP_BIND_ADDRESS_NO_PORT).
func (l *Loop) Dial(dst, src netip.AddrPort) (uint32, error) {
	if !l.cfg.Limit.enter() {
		l.cfg.Limit.leave()
		return 0, ErrLimit
	}
	fd, err := connectSocket(dst, src)
	if err != nil {
		l.cfg.Limit.leave()
		return 0, fmt.Errorf("connect to %s: %w", dst, err)
	}
	id, s, err := l.register(fd)
	if err != nil {
		return 0, fmt.Errorf("watch connection to %s: %w", dst, err)
	}
	s.flags = flagDialing
	return id, nil
}

// dialed handles the first events of a connection that Dial began, and reports whether it stands.
func (l *Loop) dialed(c uint32, s *slot, events uint32) bool {
	if events&(unix.EPOLLERR|unix.EPOLLHUP) != 0 {
		errno, err := unix.GetsockoptInt(int(s.fd), unix.SOL_SOCKET, unix.SO_ERROR)
		switch {
		case err != nil:
		case errno != 0:
			err = unix.Errno(errno)
		default:
			err = unix.ECONNRESET
		}
		l.dialFailed(c, err)
		return false
	}
	if events&unix.EPOLLOUT == 0 {
		return false // not yet
	}
	s.flags &^= flagDialing
	l.handler.Open(c, false)
	return s.fd >= 0
}

func (l *Loop) dialFailed(c uint32, err error) {
	if l.dialer != nil {
		l.dialer.DialFailed(c, err)
	}
	l.close(c, stats.CloseErrorRead)
}

// connectSocket begins to connect a non-blocking socket.
func connectSocket(dst, src netip.AddrPort) (fd int, err error) {
	family, to := sockaddr(dst)
	if fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP); err != nil {
		return -1, err
	}
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return fd, err
	}
	if src.IsValid() {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
			return fd, err
		}
		_, from := sockaddr(src)
		if err := unix.Bind(fd, from); err != nil {
			return fd, fmt.Errorf("from %s: %w", src.Addr(), err)
		}
	}
	if err := unix.Connect(fd, to); err != nil && err != unix.EINPROGRESS {
		return fd, err
	}
	return fd, nil
}
